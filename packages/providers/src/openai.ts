import { parseJson, textMember } from "./json.ts";
import { plainKey } from "./plain-key.ts";
import { oneRequest } from "./probe.ts";
import type { Answer } from "./question.ts";
import type { ProviderRules } from "./rules.ts";
import {
  ACCEPTED,
  EGRESS_REGION_REFUSED,
  KEY_REJECTED,
  NO_FUNDS,
  RATE_LIMITED,
  type Verdict,
  verdictOfStatus,
} from "./verdict.ts";

const MISSING_SCOPE: Verdict = {
  outcome: "valid-limited",
  code: "missing_scope",
  message:
    "The provider accepted the key, but it may not list models, so no more could be checked.",
};

const ACCOUNT_DEACTIVATED: Verdict = {
  outcome: "blocked",
  code: "account_deactivated",
  message: "The provider has deactivated the account this key belongs to.",
};

const EGRESS_ADDRESS_REFUSED: Verdict = {
  outcome: "misconfigured",
  code: "egress_address_refused",
  message: "The address this service calls from is not on the allow-list of the key's account.",
};

const WRONG_HOST: Verdict = {
  outcome: "misconfigured",
  code: "wrong_host",
  message: "The key belongs to a project bound to another regional host of the provider.",
};

const VERDICT_OF_CODE: ReadonlyMap<string, Verdict> = new Map([
  ["invalid_api_key", KEY_REJECTED],
  ["unsupported_country_region_territory", EGRESS_REGION_REFUSED],
  ["account_deactivated", ACCOUNT_DEACTIVATED],
  ["ip_not_authorized", EGRESS_ADDRESS_REFUSED],
  ["incorrect_hostname", WRONG_HOST],
  ["insufficient_quota", NO_FUNDS],
  ["rate_limit_exceeded", RATE_LIMITED],
]);

export const openai: ProviderRules = {
  name: "openai",
  ...plainKey({
    prefixes: ["sk-proj-", "sk-svcacct-", "sk-service-", "sk-"],
    wrongKinds: [
      { prefix: "sk-admin-", description: "must not be an admin key: it cannot run inference" },
    ],
  }),
  // Not `/v1/me`: some kinds of key are refused there although they are valid.
  probe: oneRequest({ url: "https://api.openai.com/v1/models", classify: classifyOpenai }),
};

export function classifyOpenai({ status, body }: Answer): Verdict {
  if (status === 200) return ACCEPTED;
  const error = parseJson(body);
  // Seen with 401 and with 403: a good key of a restricted project either way.
  if (textMember(error, "error", "message")?.includes("Missing scopes")) return MISSING_SCOPE;
  const code = VERDICT_OF_CODE.get(textMember(error, "error", "code") ?? "");
  const type = VERDICT_OF_CODE.get(textMember(error, "error", "type") ?? "");
  return code ?? type ?? verdictOfStatus(status);
}
