import { parseInstant } from "./instant.ts";
import { isObject, member, parseJson } from "./json.ts";
import { plainKey } from "./plain-key.ts";
import { oneRequest } from "./probe.ts";
import type { Answer } from "./question.ts";
import type { ProviderRules } from "./rules.ts";
import {
  ACCEPTED,
  KEY_EXPIRED,
  NO_FUNDS,
  UNEXPECTED_ANSWER,
  type Verdict,
  verdictOfStatus,
} from "./verdict.ts";

const MANAGEMENT_KEY: Verdict = {
  outcome: "misconfigured",
  code: "management_key",
  message: "This is a management key: it cannot run inference.",
};

export const openrouter: ProviderRules = {
  name: "openrouter",
  ...plainKey({ prefixes: ["sk-or-v1-", "sk-or-"] }),
  // Not `/api/v1/models`: that list is public and proves nothing.
  probe: oneRequest({
    url: "https://openrouter.ai/api/v1/key",
    readsSuccess: true,
    classify: classifyOpenrouter,
  }),
};

export function classifyOpenrouter({ status, body, at }: Answer): Verdict {
  if (status !== 200) return verdictOfStatus(status);
  const key = member(parseJson(body), "data");
  if (!isObject(key)) return UNEXPECTED_ANSWER;
  if (member(key, "is_management_key") === true || member(key, "is_provisioning_key") === true) {
    return MANAGEMENT_KEY;
  }
  const expiresAt = parseInstant(member(key, "expires_at"));
  if (expiresAt !== undefined && expiresAt <= at) return { ...KEY_EXPIRED, expiresAt };
  const remaining = member(key, "limit_remaining");
  const verdict = typeof remaining === "number" && remaining <= 0 ? NO_FUNDS : ACCEPTED;
  return expiresAt === undefined ? verdict : { ...verdict, expiresAt };
}
