import { parseJson, textMember } from "./json.ts";
import { plainKey } from "./plain-key.ts";
import { oneRequest } from "./probe.ts";
import type { Answer } from "./question.ts";
import type { ProviderRules } from "./rules.ts";
import {
  ACCEPTED,
  KEY_REJECTED,
  NO_FUNDS,
  PROVIDER_FAILED,
  RATE_LIMITED,
  UNEXPECTED_ANSWER,
  type Verdict,
  verdictOfStatus,
} from "./verdict.ts";

const ORGANIZATION_DISABLED: Verdict = {
  outcome: "blocked",
  code: "organization_disabled",
  message: "The provider has disabled the organization this key belongs to.",
};

const PERMISSION_DENIED: Verdict = {
  outcome: "blocked",
  code: "permission_denied",
  message: "The provider knows the key, but lets it do nothing.",
};

const VERDICT_OF_TYPE: ReadonlyMap<string, Verdict> = new Map([
  ["authentication_error", KEY_REJECTED],
  // Also seen for keys that were disabled or never existed.
  ["not_found_error", KEY_REJECTED],
  ["billing_error", NO_FUNDS],
  ["permission_error", PERMISSION_DENIED],
  ["rate_limit_error", RATE_LIMITED],
  ["api_error", PROVIDER_FAILED],
  ["timeout_error", PROVIDER_FAILED],
  ["overloaded_error", PROVIDER_FAILED],
  // Never says anything about the key, whatever the status beside it.
  ["invalid_request_error", UNEXPECTED_ANSWER],
  ["request_too_large", UNEXPECTED_ANSWER],
]);

export const anthropic: ProviderRules = {
  name: "anthropic",
  ...plainKey({
    prefixes: ["sk-ant-api03-", "sk-ant-"],
    wrongKinds: [
      {
        prefix: "sk-ant-admin",
        description: "must not be an Admin API key: it cannot run inference",
      },
      {
        prefix: "sk-ant-oat",
        description: "must be an API key, not the OAuth token of a subscription",
      },
    ],
  }),
  probe: oneRequest({
    url: "https://api.anthropic.com/v1/models?limit=1",
    headers: { "anthropic-version": "2023-06-01" },
    keyHeader: { name: "x-api-key", prefix: "" },
    classify: classifyAnthropic,
  }),
};

export function classifyAnthropic({ status, body }: Answer): Verdict {
  if (status === 200) return ACCEPTED;
  const error = parseJson(body);
  const type = textMember(error, "error", "type");
  if (
    type === "invalid_request_error" &&
    /organization has been disabled/i.test(textMember(error, "error", "message") ?? "")
  ) {
    return ORGANIZATION_DISABLED;
  }
  return VERDICT_OF_TYPE.get(type ?? "") ?? verdictOfStatus(status);
}
