import type { Host } from "@keyledger/core";
import type { Log } from "@keyledger/runtime";
import { openJwks } from "./jwks.ts";
import type { JwksSource } from "./jwks-source.ts";
import { createJwtVerifier } from "./jwt.ts";
import { type ClaimNames, type Identity, identityFrom } from "./jwt-claims.ts";

export interface TokenVerifierConfig {
  /** What `iss` must be, to the letter. */
  readonly issuer: string;
  /** What `aud` must be or hold. */
  readonly audience: string;
  readonly jwks: JwksSource;
  readonly claims: ClaimNames;
}

/** Identity by JWT. */
export interface TokenVerifier extends AsyncDisposable {
  /** Who a token speaks of; `undefined` where it proves nothing. Never rejects. */
  readonly verify: (token: string) => Promise<Identity | undefined>;
}

/** @throws {KeySetUnreadable} where the key set can never be read: see `openJwks`. */
export async function openTokenVerifier(
  { issuer, audience, jwks: source, claims }: TokenVerifierConfig,
  host: Pick<Host, "clock" | "pause">,
  log: Pick<Log, "debug" | "warn">,
): Promise<TokenVerifier> {
  const jwks = await openJwks({
    source,
    host,
    onProblem: (problem) => log.warn("jwks-problem", { problem }),
  });
  // Anybody can send junk: above debug it would fill the log.
  const onRefused = (because: string) => log.debug("token-refused", { because });
  const verifier = createJwtVerifier({ issuer, audience, jwks, clock: host.clock, onRefused });
  return {
    async verify(token) {
      const payload = await verifier.verify(token);
      if (payload === undefined) return undefined;
      const identity = identityFrom(payload, claims);
      if (identity === undefined) onRefused("identity");
      return identity;
    },
    [Symbol.asyncDispose]: () => jwks[Symbol.asyncDispose](),
  };
}
