import { member, parseJson, textMember } from "./json.ts";
import { plainKey } from "./plain-key.ts";
import { oneRequest } from "./probe.ts";
import type { Answer } from "./question.ts";
import type { ProviderRules } from "./rules.ts";
import {
  ACCEPTED,
  EGRESS_REGION_REFUSED,
  KEY_EXPIRED,
  KEY_REJECTED,
  KEY_RESTRICTED,
  type Verdict,
  verdictOfStatus,
} from "./verdict.ts";

const KEY_TYPE_UNSUPPORTED: Verdict = {
  outcome: "rejected",
  code: "key_type_unsupported",
  message:
    "The provider does not accept this type of key here: check its type and the service identity it is bound to.",
};

const KEY_LEAKED: Verdict = {
  outcome: "blocked",
  code: "key_leaked",
  message: "The provider blocks this key because it was reported as leaked.",
};

const CONSUMER_SUSPENDED: Verdict = {
  outcome: "blocked",
  code: "consumer_suspended",
  message: "The provider has suspended the project this key belongs to.",
};

const API_NOT_ENABLED: Verdict = {
  outcome: "misconfigured",
  code: "api_not_enabled",
  message: "The provider's API is not enabled in the project this key belongs to.",
};

const VERDICT_OF_REASON: ReadonlyMap<string, Verdict> = new Map([
  ["API_KEY_INVALID", KEY_REJECTED],
  ["API_KEY_EXPIRED", KEY_EXPIRED],
  ["ACCESS_TOKEN_TYPE_UNSUPPORTED", KEY_TYPE_UNSUPPORTED],
  ["CONSUMER_SUSPENDED", CONSUMER_SUSPENDED],
  ["SERVICE_DISABLED", API_NOT_ENABLED],
  ["API_KEY_SERVICE_BLOCKED", KEY_RESTRICTED],
  ["API_KEY_HTTP_REFERRER_BLOCKED", KEY_RESTRICTED],
  ["API_KEY_IP_ADDRESS_BLOCKED", KEY_RESTRICTED],
  ["API_KEY_ANDROID_APP_BLOCKED", KEY_RESTRICTED],
  ["API_KEY_IOS_APP_BLOCKED", KEY_RESTRICTED],
]);

export const google: ProviderRules = {
  name: "google",
  ...plainKey({ prefixes: ["AIza", "AQ."] }),
  probe: oneRequest({
    url: "https://generativelanguage.googleapis.com/v1beta/models?pageSize=1",
    keyHeader: { name: "x-goog-api-key", prefix: "" },
    classify: classifyGoogle,
  }),
};

export function classifyGoogle({ status, body }: Answer): Verdict {
  if (status === 200) return ACCEPTED;
  const error = member(parseJson(body), "error");
  const verdict = reasons(error).map((reason) => VERDICT_OF_REASON.get(reason));
  const known = verdict.find((found) => found !== undefined);
  if (known !== undefined) return known;
  // The only refusal without a reason code.
  if (textMember(error, "message")?.includes("reported as leaked")) return KEY_LEAKED;
  if (textMember(error, "status") === "FAILED_PRECONDITION") return EGRESS_REGION_REFUSED;
  return verdictOfStatus(status);
}

function reasons(error: unknown): readonly string[] {
  const details = member(error, "details");
  if (!Array.isArray(details)) return [];
  return details
    .map((detail) => textMember(detail, "reason"))
    .filter((reason) => reason !== undefined);
}
