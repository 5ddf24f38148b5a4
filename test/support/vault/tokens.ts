import { randomBytes, randomUUID } from "node:crypto";
import { type Auth, Refusal } from "./answer.ts";
import type { Storage } from "./storage.ts";
import { timestamp, unixSeconds, type VaultClock } from "./vault-time.ts";

export interface TokenGrant {
  readonly policies: readonly string[];
  readonly ttlSeconds: number;
  readonly maxTtlSeconds: number;
  readonly displayName: string;
  /** Login path, e.g. `auth/approle/login`. */
  readonly path: string;
  /** Names the role under `role_name` or `role`. */
  readonly meta: Readonly<Record<string, string>>;
}

export interface Token extends TokenGrant {
  readonly id: string;
  readonly accessor: string;
  readonly entityId: string;
  readonly issuedAtMs: number;
  /** `null` = never: the root token. */
  readonly expiresAtMs: number | null;
}

export interface Tokens {
  issue(grant: TokenGrant): Token;
  /** @returns `undefined` if it is unknown, revoked or over. */
  find(id: string): Token | undefined;
  /** Prolongs by its ttl, as far as its whole life allows. @throws {Refusal} it is none of those that can be prolonged. */
  renew(token: Token): { readonly token: Token; readonly warnings: readonly string[] };
  revoke(id: string): void;
  /** Every token of these roles, or of all. */
  revokeRoles(roles?: readonly string[]): void;
}

const ROOT: Omit<Token, "id"> = {
  accessor: "root",
  entityId: "",
  issuedAtMs: 0,
  expiresAtMs: null,
  policies: ["root"],
  ttlSeconds: 0,
  maxTtlSeconds: 0,
  displayName: "root",
  path: "auth/token/root",
  meta: {},
};

export function createTokens(storage: Storage, clock: VaultClock, rootToken: string): Tokens {
  const keep = (token: Token): Token => {
    storage.put(`token/${token.id}`, token);
    return token;
  };
  return {
    issue: (grant) =>
      keep({
        ...grant,
        policies: [...new Set(["default", ...grant.policies])].sort(),
        id: `s.${randomBytes(18).toString("base64url")}`,
        accessor: randomBytes(18).toString("base64url"),
        entityId: randomUUID(),
        issuedAtMs: clock.nowMs(),
        expiresAtMs: clock.nowMs() + grant.ttlSeconds * 1000,
      }),
    find: (id) => {
      if (id === rootToken) return { id, ...ROOT };
      // An id from outside becomes a name of the storage.
      if (!/^[\w.-]+$/.test(id)) return undefined;
      const token = storage.get<Token>(`token/${id}`);
      if (token?.expiresAtMs == null || token.expiresAtMs > clock.nowMs()) return token;
      storage.delete(`token/${id}`);
      return undefined;
    },
    renew: (token) => {
      if (token.expiresAtMs === null) throw new Refusal(400, "lease is not renewable");
      const wanted = clock.nowMs() + token.ttlSeconds * 1000;
      const last = token.issuedAtMs + token.maxTtlSeconds * 1000;
      const warnings =
        wanted > last ? ["the ttl exceeded what is left of the token's life and was capped"] : [];
      return { token: keep({ ...token, expiresAtMs: Math.min(wanted, last) }), warnings };
    },
    revoke: (id) => storage.delete(`token/${id}`),
    revokeRoles: (roles) => {
      for (const id of storage.entries("token")) {
        const role = roleOf(storage.get<Token>(`token/${id}`));
        if (roles === undefined || (role !== null && roles.includes(role))) {
          storage.delete(`token/${id}`);
        }
      }
    },
  };
}

/** For the record of requests. */
export function roleOf(token: Token | undefined): string | null {
  if (token === undefined) return null;
  return token.meta.role_name ?? token.meta.role ?? token.displayName;
}

const secondsLeft = (token: Token, clock: VaultClock): number =>
  token.expiresAtMs === null ? 0 : Math.ceil((token.expiresAtMs - clock.nowMs()) / 1000);

/** How a login or a renewal shows a token. */
export const authOf = (token: Token, clock: VaultClock): Auth => ({
  client_token: token.id,
  accessor: token.accessor,
  policies: token.policies,
  token_policies: token.policies,
  metadata: token.meta,
  lease_duration: secondsLeft(token, clock),
  renewable: true,
  entity_id: token.entityId,
  token_type: "service",
  mfa_requirement: null,
  num_uses: 0,
  orphan: true,
});

/** How a lookup shows it. */
export const lookedUp = (token: Token, clock: VaultClock): Readonly<Record<string, unknown>> => ({
  accessor: token.accessor,
  creation_time: unixSeconds(token.issuedAtMs),
  creation_ttl: token.ttlSeconds,
  display_name: token.displayName,
  entity_id: token.entityId,
  expire_time: token.expiresAtMs === null ? null : timestamp(token.expiresAtMs),
  explicit_max_ttl: 0,
  id: token.id,
  meta: Object.keys(token.meta).length === 0 ? null : token.meta,
  num_uses: 0,
  orphan: true,
  path: token.path,
  policies: token.policies,
  ttl: secondsLeft(token, clock),
  type: "service",
  ...(token.expiresAtMs === null
    ? {}
    : { issue_time: timestamp(token.issuedAtMs), renewable: true }),
});
