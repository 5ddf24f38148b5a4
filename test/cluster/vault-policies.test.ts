import { randomUUID } from "node:crypto";
import { readdirSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ProvisionedVault } from "../support/vault/api.ts";
import { askVault, at } from "../support/vault/client.ts";
import { REAL_VAULT, type VaultUnderTest, vaultUnderTest } from "../support/vault/engine.ts";
import { VAULT_ROLES, type VaultRole } from "../support/vault/layout.ts";
import { layoutOfItsOwn, provisionVault } from "../support/vault/provision.ts";
import { forbiddenPaths, VAULT_OPERATIONS, type World, worldOf } from "./vault-operations.ts";

const POLICIES = new URL("../../deploy/openbao/policies/", import.meta.url);

describe(`The Vault policies, on ${REAL_VAULT ?? "the stand-in"},`, () => {
  let vault: VaultUnderTest;
  let provisioned: ProvisionedVault & AsyncDisposable;
  let world: World;
  const tokens = new Map<VaultRole, string>();

  beforeAll(async () => {
    vault = await vaultUnderTest();
    provisioned = await provisionVault(vault, layoutOfItsOwn());
    const { layout } = provisioned;
    world = worldOf(vault, layout);
    await world.admin("POST", `${layout.kvMount}/data/deployment`, {
      options: { cas: 0 },
      data: { deployment_id: randomUUID() },
    });
    for (const role of VAULT_ROLES) tokens.set(role, await provisioned.login(role));
  }, 60_000);

  afterAll(async () => {
    await provisioned[Symbol.asyncDispose]();
    await vault[Symbol.asyncDispose]();
  });

  it("are one for each role and no more", () => {
    const files = readdirSync(POLICIES).toSorted();
    expect(files).toStrictEqual(VAULT_ROLES.map((role) => `${role}.hcl`).toSorted());
  });

  describe.for(VAULT_ROLES)("let the %s", (role) => {
    const inOwnRights = VAULT_OPERATIONS.filter(({ may }) => may.includes(role));
    const beyond = VAULT_OPERATIONS.filter(({ may }) => !may.includes(role));

    it.for(inOwnRights)("$name", async ({ prepare }) => {
      const call = await prepare(world);
      const { status } = await askVault(vault, { ...call, token: tokens.get(role) ?? null });
      expect([200, 204]).toContain(status);
    });

    it.for(beyond)("not $name", async ({ prepare }) => {
      const call = await prepare(world);
      const { status } = await askVault(vault, { ...call, token: tokens.get(role) ?? null });
      expect(status).toBe(403);
    });

    it("do nothing to the engine itself, to other roles or to keys as such", async () => {
      const paths = forbiddenPaths(provisioned.layout);
      const { body } = await askVault(vault, {
        method: "POST",
        path: "/v1/sys/capabilities-self",
        token: tokens.get(role) ?? null,
        body: { paths },
      });
      const data = at(body, "data");
      expect(data).toStrictEqual(Object.fromEntries(paths.map((path) => [path, ["deny"]])));
    });

    it("be nobody for longer than an hour unless it asks again", async () => {
      const token = tokens.get(role) ?? null;
      const call = { method: "GET", path: "/v1/auth/token/lookup-self", token };
      const { body } = await askVault(vault, call);
      expect(at(body, "data.creation_ttl")).toBe(role === "operator" ? 900 : 3600);
      expect(at(body, "data.renewable")).toBe(true);
    });
  });

  // Without this a misspelt path would be as forbidden as can be.
  it.for(VAULT_OPERATIONS)("are what stands between a role and: $name", async (operation) => {
    const call = await operation.prepare(world);
    const { status } = await askVault(vault, { ...call, token: vault.rootToken });
    expect(operation.asRoot === undefined ? [200, 204] : [operation.asRoot]).toContain(status);
  });

  it("keep encrypting from making keys, even where the mount would", async () => {
    const { transitMount } = provisioned.layout;
    const name = `unknown-${randomUUID()}`;
    await world.admin("POST", `${transitMount}/config/keys`, { disable_upsert: false });
    try {
      const body = { plaintext: "eA==", context: "eA==" };
      const path = `/v1/${transitMount}/encrypt/${name}`;
      const token = tokens.get("command") ?? null;
      const { status } = await askVault(vault, { method: "POST", path, token, body });
      expect(status).toBe(403);
      const look = { method: "GET", path: `/v1/${transitMount}/keys/${name}` };
      expect(await askVault(vault, { ...look, token: vault.rootToken })).toMatchObject({
        status: 404,
      });
      const asRoot = { method: "POST", path, token: vault.rootToken, body };
      expect(await askVault(vault, asRoot)).toMatchObject({ status: 200 });
    } finally {
      await world.admin("POST", `${transitMount}/config/keys`, { disable_upsert: true });
    }
  });

  it("let the rotator bring no wiped record back", async () => {
    const { kvMount } = provisioned.layout;
    const path = `${kvMount}/data/records/user.u1/${randomUUID()}/${randomUUID()}`;
    await world.admin("POST", path, { options: { cas: 0 }, data: { a: "1" } });
    await world.admin("DELETE", path.replace("/data/", "/metadata/"));
    const token = tokens.get("rotator") ?? null;
    const body = { options: { cas: 0 }, data: { a: "1" } };
    const answer = await askVault(vault, { method: "POST", path: `/v1/${path}`, token, body });
    expect(answer.status).toBe(403);
  });

  it("let the operator in once per secret id", async () => {
    const { appRoleMount, rolePrefix } = provisioned.layout;
    const at = `auth/${appRoleMount}/role/${rolePrefix}-operator`;
    const id = (await world.admin("GET", `${at}/role-id`)) as { data: { role_id: string } };
    const secret = (await world.admin("POST", `${at}/secret-id`, {})) as {
      data: { secret_id: string };
    };
    const login = {
      method: "POST",
      path: `/v1/auth/${appRoleMount}/login`,
      body: { role_id: id.data.role_id, secret_id: secret.data.secret_id },
    };
    expect((await askVault(vault, login)).status).toBe(200);
    expect((await askVault(vault, login)).status).toBe(400);
  });
});
