import {
  type Answer,
  answered,
  denied,
  notFound,
  nothing,
  Refusal,
  unsupportedPath,
} from "./answer.ts";
import type { Backend } from "./backend.ts";
import { type Body, namesOf, textOf } from "./body.ts";
import type { ServiceAccount } from "./control.ts";
import {
  displayNameOf,
  lifeOf,
  type RoleSettings,
  roleSettings,
  shownSettings,
} from "./role-settings.ts";
import type { Storage } from "./storage.ts";
import type { TokenReview } from "./token-review.ts";
import { authOf, type Tokens } from "./tokens.ts";
import type { VaultClock } from "./vault-time.ts";

interface Role extends RoleSettings {
  readonly names: readonly string[];
  readonly namespaces: readonly string[];
}

/** `auth/<mount>/`: pods log in with the token of their service account. */
export function createKubernetes(
  storage: Storage,
  clock: VaultClock,
  tokens: Tokens,
  mount: string,
  reviewer: TokenReview,
): Backend {
  const at = `mount/${mount}`;
  const roleOf = (name: string): Role | undefined => storage.get(`${at}role/${name}`);

  const login = (body: Body): Answer => {
    const name = required(body, "role");
    const jwt = required(body, "jwt");
    const role = /^[\w.-]+$/.test(name) ? roleOf(name) : undefined;
    if (role === undefined) throw new Refusal(400, `invalid role name "${name}"`);
    const account = reviewer.review(jwt);
    if (account === undefined || !isBound(role, account)) throw denied();
    const token = tokens.issue({
      policies: role.policies,
      ...lifeOf(role),
      displayName: `${displayNameOf(mount)}-${account.namespace}-${account.name}`,
      path: `${mount}login`,
      meta: {
        role: name,
        service_account_name: account.name,
        service_account_namespace: account.namespace,
      },
    });
    return answered({ auth: authOf(token, clock) });
  };

  return {
    isOpen: (path) => path === "login",
    handle: ({ kind, path, body }) => {
      if (path === "login" && kind === "write") return login(body);
      if (path === "config" && kind === "write") {
        storage.put(`${at}config`, { kubernetes_host: required(body, "kubernetes_host") });
        return nothing;
      }
      if (path === "config" && kind === "read") {
        const config = storage.get<Body>(`${at}config`);
        if (config === undefined) throw notFound();
        return answered({ data: config });
      }
      const [, name] = /^role\/([\w.-]+)$/.exec(path) ?? [];
      if (name === undefined) throw unsupportedPath();
      const role = roleOf(name);
      if (kind === "write") {
        storage.put(`${at}role/${name}`, {
          ...roleSettings(body, role),
          names: namesOf(body, "bound_service_account_names"),
          namespaces: namesOf(body, "bound_service_account_namespaces"),
        });
        return nothing;
      }
      if (kind === "delete") {
        storage.delete(`${at}role/${name}`);
        return nothing;
      }
      if (kind !== "read" || role === undefined) throw notFound();
      const bound = {
        bound_service_account_names: role.names,
        bound_service_account_namespaces: role.namespaces,
      };
      return answered({ data: { ...bound, ...shownSettings(role) } });
    },
  };
}

function required(body: Body, field: string): string {
  const text = textOf(body, field);
  if (text === "") throw new Refusal(400, `missing ${field}`);
  return text;
}

const isBound = ({ names, namespaces }: Role, account: ServiceAccount): boolean =>
  (names.includes("*") || names.includes(account.name)) &&
  (namespaces.includes("*") || namespaces.includes(account.namespace));
