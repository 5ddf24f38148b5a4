import {
  CALLER_KEY_PREFIX,
  type CallerKeys,
  type CallerKeyView,
  type Mac,
  type Owner,
} from "@keyledger/core";
import { refuse } from "./errors.ts";
import type { Principal } from "./handlers.ts";
import type { Identity } from "./jwt-claims.ts";

/** Credentials as they came. */
export interface Credentials {
  /** The `Authorization` header. */
  readonly authorization: string | undefined;
  /** The `X-Api-Key` header. */
  readonly apiKey: string | undefined;
}

/** Who a token speaks of; `undefined` where it proves nothing. */
export type VerifyToken = (token: string) => Promise<Identity | undefined>;

/** Turns credentials into who calls. @throws UNAUTHENTICATED, always the same whatever was wrong. */
export type Authenticate = (credentials: Credentials) => Promise<Principal>;

export function createAuthenticator({
  callerKeys,
  verifyToken,
  mac,
}: {
  callerKeys: Pick<CallerKeys, "recognise">;
  /** Identity by JWT, where it is configured. */
  verifyToken: VerifyToken | undefined;
  mac: Pick<Mac, "opaqueId">;
}): Authenticate {
  function byCallerKey(text: string): Principal {
    const key = callerKeys.recognise(text);
    if (!key) throw refuse("unauthenticated");
    return principalOf(key);
  }

  async function byToken(token: string): Promise<Principal> {
    const identity = await verifyToken?.(token);
    if (!identity) throw refuse("unauthenticated");
    return principalFrom(identity, mac);
  }

  return async ({ authorization, apiKey }) => {
    const bearer = authorization === undefined ? undefined : bearerOf(authorization);
    if (bearer === undefined && apiKey === undefined) throw refuse("unauthenticated");
    const first =
      bearer === undefined
        ? undefined
        : bearer.startsWith(CALLER_KEY_PREFIX)
          ? byCallerKey(bearer)
          : await byToken(bearer);
    const second = apiKey === undefined ? undefined : byCallerKey(apiKey);
    // Two credentials must say the same, or a proxy that checks one header could be talked past with the other.
    if (first && second && !isSame(first, second)) throw refuse("unauthenticated");
    const principal = first ?? second;
    if (!principal) throw refuse("unauthenticated");
    return principal;
  };
}

function bearerOf(header: string): string {
  const [scheme, token, ...rest] = header.split(" ");
  if (scheme?.toLowerCase() !== "bearer" || !token || rest.length > 0)
    throw refuse("unauthenticated");
  return token;
}

const principalOf = ({ role, owner, callerKeyId }: CallerKeyView): Principal => ({
  role,
  owner,
  actor: `caller.${callerKeyId}`,
  isByokDenied: false,
});

/** Claims become ids of ours: those outside the grammar as their keyed hash, so that no personal data gets into a stream. */
function principalFrom(identity: Identity, { opaqueId }: Pick<Mac, "opaqueId">): Principal {
  const { subject, team, organization, features, privileged } = identity;
  const actor = `user.${opaqueId(subject)}`;
  const isByokDenied = features.byok === false;
  if (privileged) return { role: privileged, owner: null, actor, isByokDenied };
  if (team) {
    return {
      role: `team-${team.role}`,
      owner: { kind: "team", id: opaqueId(team.id) },
      actor,
      isByokDenied,
    };
  }
  if (organization?.role === "admin") {
    const owner: Owner = { kind: "organization", id: opaqueId(organization.id) };
    return { role: "organization-admin", owner, actor, isByokDenied };
  }
  return { role: "user", owner: { kind: "user", id: opaqueId(subject) }, actor, isByokDenied };
}

const isSame = (a: Principal, b: Principal): boolean =>
  a.actor === b.actor &&
  a.role === b.role &&
  a.owner?.kind === b.owner?.kind &&
  a.owner?.id === b.owner?.id;
