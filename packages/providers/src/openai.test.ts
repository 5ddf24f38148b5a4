import { describe, expect, it } from "vitest";
import { classifyOpenai } from "./openai.ts";

const classify = (status: number, body: string) =>
  classifyOpenai({ kind: "answer", status, headers: {}, body, at: "2026-01-02T03:04:05.000Z" });
const error = (fields: object) => JSON.stringify({ error: fields });

const incorrect = error({
  message: "Incorrect API key provided: sk-fake*****oked.",
  type: "invalid_request_error",
  param: null,
  code: "invalid_api_key",
});
const scopes = error({
  message: "You have insufficient permissions for this operation. Missing scopes: api.model.read",
});
const region = error({
  code: "unsupported_country_region_territory",
  type: "request_forbidden",
});

describe("An answer of OpenAI", () => {
  it.for([
    [200, "", "valid", "accepted"],
    [401, incorrect, "rejected", "key_rejected"],
    [401, error({ message: "Incorrect API key provided" }), "rejected", "key_rejected"],
    [401, scopes, "valid-limited", "missing_scope"],
    [403, scopes, "valid-limited", "missing_scope"],
    [403, region, "unavailable", "egress_region_refused"],
    [401, error({ code: "account_deactivated" }), "blocked", "account_deactivated"],
    [401, error({ code: "ip_not_authorized" }), "misconfigured", "egress_address_refused"],
    [401, error({ code: "incorrect_hostname" }), "misconfigured", "wrong_host"],
    [429, error({ code: "rate_limit_exceeded" }), "rate-limited", "rate_limited"],
    [429, error({ code: "insufficient_quota" }), "valid-limited", "no_funds"],
    [429, error({ type: "insufficient_quota" }), "valid-limited", "no_funds"],
    [429, "", "rate-limited", "rate_limited"],
    [500, "", "unavailable", "provider_failed"],
    [503, "<html>", "unavailable", "provider_failed"],
    // The reason goes before the status.
    [400, incorrect, "rejected", "key_rejected"],
    [403, error({ code: "invalid_api_key" }), "rejected", "key_rejected"],
    // Without a reason we know, the status is all there is.
    [401, "", "rejected", "key_rejected"],
    [403, error({ code: "brand_new" }), "unexpected", "unexpected_answer"],
    [403, "<html>", "unexpected", "unexpected_answer"],
    [404, "", "unexpected", "unexpected_answer"],
    [302, "", "unexpected", "redirected"],
    [401, error({ code: 1, type: null, message: {} }), "rejected", "key_rejected"],
  ] as const)("%i with %s is %s, %s", ([status, body, outcome, code]) => {
    expect(classify(status, body)).toMatchObject({ outcome, code });
  });
});
