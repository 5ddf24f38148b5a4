import { plainKey } from "./plain-key.ts";
import type { ProviderRules } from "./rules.ts";

export const vercelGateway: ProviderRules = {
  name: "vercel-gateway",
  ...plainKey({
    prefixes: ["vck_"],
    wrongKinds: [
      {
        // Base64 of `{"`: a JWT. An OIDC token authenticates as well, but is gone within hours.
        prefix: "eyJ",
        description: "must be an API key, not an OIDC token: that expires within hours",
      },
    ],
  }),
};
