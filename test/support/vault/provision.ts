import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import type { ProvisionedVault, RoleCredentials } from "./api.ts";
import { askVault, textAt, type VaultAddress, type VaultAnswer } from "./client.ts";
import {
  DEFAULT_LAYOUT,
  KEK_NAME,
  MAC_KEY_NAME,
  MAC_ROOT_PATH,
  VAULT_ROLES,
  type VaultLayout,
  type VaultRole,
} from "./layout.ts";

/** An engine and the token of its administrator. */
export interface AdministeredVault extends VaultAddress {
  readonly rootToken: string;
}

type Ask = (method: string, path: string, body?: object) => Promise<VaultAnswer>;

/**
 * Does what `deploy/openbao/init.sh` does, for an empty layout: mounts, keys, the Mac root, policies and roles, with a
 * secret id for each role. Disposing it takes all of that away again.
 */
export async function provisionVault(
  vault: AdministeredVault,
  layout: VaultLayout = DEFAULT_LAYOUT,
): Promise<ProvisionedVault & AsyncDisposable> {
  const { transitMount, kvMount, appRoleMount } = layout;
  const ask = asker(vault);
  await ask("POST", `sys/mounts/${transitMount}`, { type: "transit" });
  await ask("POST", `sys/mounts/${kvMount}`, { type: "kv", options: { version: "2" } });
  const logins = await ask("GET", "sys/auth");
  if (!(`${appRoleMount}/` in (logins.body as object))) {
    await ask("POST", `sys/auth/${appRoleMount}`, { type: "approle" });
  }
  await onceReady(() => ask("POST", `${kvMount}/config`, { max_versions: 1, cas_required: true }));
  await ask("POST", `${transitMount}/config/keys`, { disable_upsert: true });
  await ask("POST", `${transitMount}/keys/${KEK_NAME}`, { type: "aes256-gcm96", derived: true });
  await ask("POST", `${transitMount}/keys/${MAC_KEY_NAME}`, { type: "aes256-gcm96" });
  const root = await ask("POST", `${transitMount}/datakey/wrapped/${MAC_KEY_NAME}`, {});
  await ask("POST", `${kvMount}/data/${MAC_ROOT_PATH}`, {
    options: { cas: 0 },
    data: {
      mac_root_id: randomBytes(4).toString("hex"),
      wrapped: textAt(root.body, "data.ciphertext"),
    },
  });
  const roles = await Promise.all(
    VAULT_ROLES.map(async (role) => [role, await makeRole(ask, layout, role)] as const),
  );
  const credentials = Object.fromEntries(roles) as Record<VaultRole, RoleCredentials>;
  return {
    layout,
    roles: credentials,
    login: async (role) => {
      const secretId = await newSecretId(ask, layout, role);
      return loginWith(vault, appRoleMount, { roleId: credentials[role].roleId, secretId });
    },
    [Symbol.asyncDispose]: () => remove(ask, layout),
  };
}

/** A layout of its own on an engine that others use too. */
export function layoutOfItsOwn(): VaultLayout {
  const suffix = randomBytes(4).toString("hex");
  return {
    transitMount: `${DEFAULT_LAYOUT.transitMount}-${suffix}`,
    kvMount: `${DEFAULT_LAYOUT.kvMount}-${suffix}`,
    appRoleMount: `${DEFAULT_LAYOUT.appRoleMount}-${suffix}`,
    rolePrefix: `${DEFAULT_LAYOUT.rolePrefix}-${suffix}`,
  };
}

/** @returns a fresh token. @throws {Error} the login was refused. */
export async function loginWith(
  vault: VaultAddress,
  appRoleMount: string,
  { roleId, secretId }: RoleCredentials,
): Promise<string> {
  const path = `/v1/auth/${appRoleMount}/login`;
  const body = { role_id: roleId, secret_id: secretId };
  const answer = await askVault(vault, { method: "POST", path, body });
  return textAt(answer.body, "auth.client_token");
}

/** The policy of a role as `deploy/openbao` has it, with the names of a layout. */
export function policyOf(role: VaultRole, layout: VaultLayout): string {
  const file = new URL(`../../../deploy/openbao/policies/${role}.hcl`, import.meta.url);
  return readFileSync(file, "utf8")
    .replaceAll(`"${DEFAULT_LAYOUT.transitMount}/`, `"${layout.transitMount}/`)
    .replaceAll(`"${DEFAULT_LAYOUT.kvMount}/`, `"${layout.kvMount}/`);
}

const SERVICE_TOKENS = { token_ttl: "1h", token_max_ttl: "24h" };
const BREAK_GLASS_TOKENS = {
  token_ttl: "15m",
  token_max_ttl: "1h",
  secret_id_ttl: "15m",
  secret_id_num_uses: 1,
};

async function makeRole(ask: Ask, layout: VaultLayout, role: VaultRole): Promise<RoleCredentials> {
  const name = `${layout.rolePrefix}-${role}`;
  const path = `auth/${layout.appRoleMount}/role/${name}`;
  await ask("PUT", `sys/policies/acl/${name}`, { policy: policyOf(role, layout) });
  const tokens = role === "operator" ? BREAK_GLASS_TOKENS : SERVICE_TOKENS;
  await ask("POST", path, { token_policies: [name], ...tokens });
  const roleId = await ask("GET", `${path}/role-id`);
  return {
    roleId: textAt(roleId.body, "data.role_id"),
    secretId: await newSecretId(ask, layout, role),
  };
}

async function newSecretId(
  ask: Ask,
  { appRoleMount, rolePrefix }: VaultLayout,
  role: VaultRole,
): Promise<string> {
  const path = `auth/${appRoleMount}/role/${rolePrefix}-${role}/secret-id`;
  return textAt((await ask("POST", path, {})).body, "data.secret_id");
}

async function remove(ask: Ask, layout: VaultLayout): Promise<void> {
  await ask("DELETE", `sys/mounts/${layout.transitMount}`);
  await ask("DELETE", `sys/mounts/${layout.kvMount}`);
  for (const role of VAULT_ROLES) {
    const name = `${layout.rolePrefix}-${role}`;
    await ask("DELETE", `auth/${layout.appRoleMount}/role/${name}`);
    await ask("DELETE", `sys/policies/acl/${name}`);
  }
  if (layout.appRoleMount !== DEFAULT_LAYOUT.appRoleMount) {
    await ask("DELETE", `sys/auth/${layout.appRoleMount}`);
  }
}

const ATTEMPTS_MAX = 20;
const PAUSE_MS = 250;

/** A KV mount that has just been made answers 400 for a moment. */
async function onceReady(attempt: () => Promise<unknown>): Promise<void> {
  for (let left = ATTEMPTS_MAX; ; left -= 1) {
    try {
      await attempt();
      return;
    } catch (fault) {
      if (left === 1) throw fault;
    }
    await setTimeout(PAUSE_MS);
  }
}

const asker =
  (vault: AdministeredVault): Ask =>
  async (method, path, body) => {
    const call = { method, path: `/v1/${path}`, token: vault.rootToken, body };
    const answer = await askVault(vault, call);
    if (answer.status < 300) return answer;
    throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  };
