import { createHash, randomUUID } from "node:crypto";
import {
  type Answer,
  answered,
  notFound,
  nothing,
  Refusal,
  unsupportedOperation,
  unsupportedPath,
} from "./answer.ts";
import type { Backend, Operation } from "./backend.ts";
import { type Body, integerOf, secondsOf, textOf } from "./body.ts";
import {
  displayNameOf,
  lifeOf,
  type RoleSettings,
  roleSettings,
  shownSettings,
} from "./role-settings.ts";
import type { Storage } from "./storage.ts";
import { authOf, type Tokens } from "./tokens.ts";
import type { VaultClock } from "./vault-time.ts";

interface Role extends RoleSettings {
  readonly roleId: string;
  /** 0 = any number of logins, for ever. */
  readonly secretIdUses: number;
  readonly secretIdTtlSeconds: number;
}

interface SecretId {
  readonly role: string;
  /** Logins left; 0 = any number. */
  readonly uses: number;
  readonly expiresAtMs: number | null;
}

/** `auth/<mount>/`: machines log in with a role id and a secret id. */
export function createAppRole(
  storage: Storage,
  clock: VaultClock,
  tokens: Tokens,
  mount: string,
): Backend {
  const at = `mount/${mount}`;
  const roleOf = (name: string): Role | undefined => storage.get(`${at}role/${name}`);
  const known = (name: string): Role => {
    const role = roleOf(name);
    if (role === undefined) throw new Refusal(404);
    return role;
  };
  const secretIdAt = (secretId: string): string =>
    `${at}secret-id/${createHash("sha256").update(secretId).digest("hex")}`;

  const login = (body: Body): Answer => {
    const roleId = textOf(body, "role_id").trim();
    if (roleId === "") throw new Refusal(500, "missing role_id");
    const name = storage.get<string>(`${at}role-id/${encodeURIComponent(roleId)}`);
    const role = name === undefined ? undefined : roleOf(name);
    if (name === undefined || role === undefined) throw wrongCredentials();
    const place = secretIdAt(textOf(body, "secret_id").trim());
    const secretId = storage.get<SecretId>(place);
    if (secretId === undefined || secretId.role !== name) throw wrongCredentials();
    if (secretId.expiresAtMs !== null && secretId.expiresAtMs <= clock.nowMs()) {
      throw wrongCredentials();
    }
    if (secretId.uses === 1) storage.delete(place);
    else if (secretId.uses > 1) storage.put(place, { ...secretId, uses: secretId.uses - 1 });
    const token = tokens.issue({
      policies: role.policies,
      ...lifeOf(role),
      displayName: displayNameOf(mount),
      path: `${mount}login`,
      meta: { role_name: name },
    });
    return answered({ auth: authOf(token, clock) });
  };

  const newSecretId = (name: string): Answer => {
    const { secretIdUses, secretIdTtlSeconds } = known(name);
    const secretId = randomUUID();
    const expiresAtMs = secretIdTtlSeconds > 0 ? clock.nowMs() + secretIdTtlSeconds * 1000 : null;
    storage.put(secretIdAt(secretId), { role: name, uses: secretIdUses, expiresAtMs });
    return answered({
      data: {
        secret_id: secretId,
        secret_id_accessor: randomUUID(),
        secret_id_num_uses: secretIdUses,
        secret_id_ttl: secretIdTtlSeconds,
      },
    });
  };

  const rolePaths = (name: string, what: string, { kind, body }: Operation): Answer => {
    if (what === "role-id" && kind === "read") {
      return answered({ data: { role_id: known(name).roleId } });
    }
    if (what === "secret-id" && kind === "write") return newSecretId(name);
    if (what !== "") throw unsupportedPath();
    if (kind === "read") {
      const { secretIdUses, secretIdTtlSeconds, ...role } = known(name);
      const secretIds = { secret_id_num_uses: secretIdUses, secret_id_ttl: secretIdTtlSeconds };
      return answered({ data: { bind_secret_id: true, ...secretIds, ...shownSettings(role) } });
    }
    if (kind === "write") {
      const before = roleOf(name);
      const role: Role = {
        ...roleSettings(body, before),
        roleId: before?.roleId ?? randomUUID(),
        secretIdUses: integerOf(body, "secret_id_num_uses") ?? before?.secretIdUses ?? 0,
        secretIdTtlSeconds: secondsOf(body, "secret_id_ttl") ?? before?.secretIdTtlSeconds ?? 0,
      };
      storage.put(`${at}role/${name}`, role);
      storage.put(`${at}role-id/${role.roleId}`, name);
      return nothing;
    }
    if (kind !== "delete") throw unsupportedOperation();
    const role = roleOf(name);
    if (role !== undefined) storage.delete(`${at}role-id/${role.roleId}`);
    storage.delete(`${at}role/${name}`);
    return nothing;
  };

  return {
    isOpen: (path) => path === "login",
    handle: (operation) => {
      const { kind, path, body } = operation;
      if (path === "login" && kind === "write") return login(body);
      if (path === "role/" && kind === "list") {
        const keys = storage.entries(`${at}role`);
        if (keys.length === 0) throw notFound();
        return answered({ data: { keys } });
      }
      const [, name, what = ""] = /^role\/([\w.-]+)(?:\/([\w-]+))?$/.exec(path) ?? [];
      if (name === undefined) throw unsupportedPath();
      return rolePaths(name, what, operation);
    },
  };
}

const wrongCredentials = (): Refusal => new Refusal(400, "invalid role or secret ID");
