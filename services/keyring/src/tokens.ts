import type { Host } from "@keyledger/core";
import type { Log } from "@keyledger/runtime";
import type { VerifyToken } from "./auth.ts";
import { openJwks } from "./jwks.ts";
import type { JwksSource } from "./jwks-source.ts";
import { createJwtVerifier } from "./jwt.ts";
import { type ClaimNames, identityFrom } from "./jwt-claims.ts";

export interface TokenSettings {
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: JwksSource;
  readonly claims: ClaimNames;
}

/** Identity by JWT: the issuer's keys kept fresh, tokens verified, claims read. */
export async function openTokenVerifier(
  { issuer, audience, jwks: source, claims }: TokenSettings,
  host: Pick<Host, "clock" | "pause">,
  log: Pick<Log, "warn" | "debug">,
): Promise<{ readonly verify: VerifyToken } & AsyncDisposable> {
  const jwks = await openJwks({
    source,
    host,
    onProblem: (sentence) => log.warn("jwks-problem", { sentence }),
  });
  const verifier = createJwtVerifier({
    issuer,
    audience,
    jwks,
    clock: host.clock,
    onRefused: (because) => log.debug("token-refused", { because }),
  });
  return {
    async verify(token) {
      const payload = await verifier.verify(token);
      const identity = payload && identityFrom(payload, claims);
      if (payload && !identity) log.debug("token-refused", { because: "identity" });
      return identity;
    },
    [Symbol.asyncDispose]: () => jwks[Symbol.asyncDispose](),
  };
}
