import { answered, noGoodToken, nothing, unsupportedPath } from "./answer.ts";
import type { Backend } from "./backend.ts";
import { authOf, lookedUp, type Tokens } from "./tokens.ts";
import type { VaultClock } from "./vault-time.ts";

/** `auth/token/`: a token asks about itself, prolongs itself, ends itself. */
export function createTokenPaths(tokens: Tokens, clock: VaultClock): Backend {
  return {
    handle: ({ kind, path, token }) => {
      if (token === undefined) throw noGoodToken();
      if (path === "lookup-self" && (kind === "read" || kind === "write")) {
        return answered({ data: lookedUp(token, clock) });
      }
      if (path === "renew-self" && kind === "write") {
        const renewed = tokens.renew(token);
        return answered({ auth: authOf(renewed.token, clock), warnings: renewed.warnings });
      }
      if (path === "revoke-self" && kind === "write") {
        tokens.revoke(token.id);
        return nothing;
      }
      throw unsupportedPath();
    },
  };
}
