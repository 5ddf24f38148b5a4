import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../support/keyledger-process.ts";
import type { VaultStandIn } from "../support/vault/api.ts";
import { askVault, at, textAt } from "../support/vault/client.ts";
import { DEFAULT_LAYOUT, VAULT_ROLES } from "../support/vault/layout.ts";
import { provisionVault } from "../support/vault/provision.ts";
import { startVaultStandIn } from "../support/vault/stand-in.ts";

const INIT = fileURLToPath(new URL("../../deploy/openbao/init.sh", import.meta.url));
const SERVICE_ROLES = VAULT_ROLES.filter((role) => role !== "operator");

// CI promises curl, so that there its absence fails instead.
const hasCurl = spawnSync("curl", ["--version"]).status === 0 || process.env.CI !== undefined;

interface Run {
  readonly code: number;
  readonly output: string;
}

async function init(
  vault: VaultStandIn,
  directory: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Run> {
  const tokenFile = join(directory, "token");
  await writeFile(tokenFile, `${vault.rootToken}\n`, { mode: 0o600 });
  const child = spawn("sh", [INIT], {
    env: {
      PATH: process.env.PATH ?? "",
      BAO_ADDR: vault.address,
      BAO_TOKEN_FILE: tokenFile,
      ...env,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const output: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => output.push(chunk));
  const [code] = await once(child, "close");
  return { code: Number(code), output: Buffer.concat(output).toString() };
}

const read = async (vault: VaultStandIn, path: string): Promise<unknown> =>
  (await askVault(vault, { method: "GET", path: `/v1/${path}`, token: vault.rootToken })).body;

/** Everything that init leaves behind, but for what is random. */
async function stateOf(vault: VaultStandIn): Promise<unknown> {
  const { transitMount, kvMount, appRoleMount, rolePrefix } = DEFAULT_LAYOUT;
  const paths = [
    "sys/mounts",
    "sys/auth",
    "sys/policies/acl?list=true",
    `${kvMount}/config`,
    `${transitMount}/config/keys`,
    `${transitMount}/keys?list=true`,
    ...VAULT_ROLES.flatMap((role) => [
      `sys/policies/acl/${rolePrefix}-${role}`,
      `auth/${appRoleMount}/role/${rolePrefix}-${role}`,
    ]),
  ];
  const shown = await Promise.all(
    paths.map(async (path) => [path, at(await read(vault, path), "data")] as const),
  );
  const keys = await Promise.all(
    ["keyledger-kek", "keyledger-mac"].map(async (name) => {
      const key = at(await read(vault, `${transitMount}/keys/${name}`), "data");
      return [name, { ...(key as object), keys: null }] as const;
    }),
  );
  return Object.fromEntries([...shown, ...keys]);
}

const macRoot = async (vault: VaultStandIn): Promise<unknown> =>
  at(await read(vault, "keyledger-kv/data/mac-root"), "data.data");

describe.skipIf(!hasCurl)(`deploy/openbao/init.sh${hasCurl ? "" : " (skipped: no curl)"}`, () => {
  it("leaves what tests are provisioned with", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    await using other = await startVaultStandIn();
    await provisionVault(other);
    expect(await init(vault, directory.path)).toMatchObject({ code: 0 });
    expect(await stateOf(vault)).toStrictEqual(await stateOf(other));
  });

  it("makes a Mac root of 32 bytes that only the command side opens", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    const credentials = join(directory.path, "credentials");
    await init(vault, directory.path, { KEYLEDGER_CREDENTIALS_DIR: credentials });
    const token = await loginFrom(vault, join(credentials, "command"));
    const entry = await askVault(vault, {
      method: "GET",
      path: "/v1/keyledger-kv/data/mac-root",
      token,
    });
    expect(at(entry.body, "data.data.mac_root_id")).toMatch(/^[0-9a-f]{8}$/);
    const opened = await askVault(vault, {
      method: "POST",
      path: "/v1/keyledger-transit/decrypt/keyledger-mac",
      token,
      body: { ciphertext: textAt(entry.body, "data.data.wrapped") },
    });
    expect(Buffer.from(textAt(opened.body, "data.plaintext"), "base64")).toHaveLength(32);
  });

  it("may run again, and keeps the Mac root and the keys", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    await init(vault, directory.path);
    const before = [await stateOf(vault), await macRoot(vault)];
    expect(await init(vault, directory.path)).toMatchObject({ code: 0 });
    expect([await stateOf(vault), await macRoot(vault)]).toStrictEqual(before);
  });

  it("makes no other Mac root where there are records", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    await init(vault, directory.path);
    const ask = { token: vault.rootToken, body: { options: { cas: 0 }, data: { a: "1" } } };
    const record = "/v1/keyledger-kv/data/records/user.u1/key/version";
    await askVault(vault, { method: "POST", path: record, ...ask });
    const gone = { method: "DELETE", path: "/v1/keyledger-kv/metadata/mac-root" };
    await askVault(vault, { ...gone, token: vault.rootToken });
    const { code, output } = await init(vault, directory.path);
    expect(code).not.toBe(0);
    expect(output).toContain("restore it");
    expect(await macRoot(vault)).toBeUndefined();
  });

  it("writes credentials for each service role that nobody else can read", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    const credentials = join(directory.path, "credentials");
    await init(vault, directory.path, { KEYLEDGER_CREDENTIALS_DIR: credentials });
    for (const role of SERVICE_ROLES) {
      const { mode } = await stat(join(credentials, role, "secret-id"));
      expect(mode & 0o777).toBe(0o600);
      expect(await loginFrom(vault, join(credentials, role))).toMatch(/^s\./);
    }
    await expect(stat(join(credentials, "operator"))).rejects.toMatchObject({ code: "ENOENT" });
  });

  it("lets pods of its namespace in, and no others", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    await init(vault, directory.path, { KUBERNETES_HOST: "https://10.0.0.1" });
    const accounts = {
      ours: { name: "keyledger-keyring", namespace: "keyledger" },
      another: { name: "default", namespace: "keyledger" },
      elsewhere: { name: "keyledger-keyring", namespace: "default" },
    };
    const statuses = await Promise.all(
      Object.entries(accounts).map(async ([jwt, account]) => {
        await vault.control.acceptServiceAccount(jwt, account);
        const body = { role: "keyledger-resolver", jwt };
        const path = "/v1/auth/kubernetes/login";
        return (await askVault(vault, { method: "POST", path, body })).status;
      }),
    );
    expect(statuses).toStrictEqual([200, 403, 403]);
  });

  it("stops at the first refusal and says which", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    await vault.control.inject({ fault: { kind: "status", status: 500 }, path: "keyledger-mac" });
    const { code, output } = await init(vault, directory.path);
    expect(code).not.toBe(0);
    expect(output).toContain("500");
    expect(await macRoot(vault)).toBeUndefined();
  });

  it("shows its token to no one", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultStandIn();
    const { output } = await init(vault, directory.path);
    expect(output).not.toContain(vault.rootToken);
    expect(vault.requests.some(({ url }) => url.includes(vault.rootToken))).toBe(false);
  });
});

async function loginFrom(vault: VaultStandIn, directory: string): Promise<string> {
  const [roleId, secretId] = await Promise.all(
    ["role-id", "secret-id"].map((name) => readFile(join(directory, name), "utf8")),
  );
  const body = { role_id: roleId, secret_id: secretId };
  const answer = await askVault(vault, { method: "POST", path: "/v1/auth/approle/login", body });
  return textAt(answer.body, "auth.client_token");
}
