import { describe, expect, it } from "vitest";
import { classifyAnthropic } from "./anthropic.ts";

const classify = (status: number, body: string) =>
  classifyAnthropic({
    kind: "answer",
    status,
    headers: {},
    body,
    at: "2026-01-02T03:04:05.000Z",
  });
const error = (type: unknown, message: unknown = "x") =>
  JSON.stringify({ type: "error", error: { type, message }, request_id: "req_1" });
const disabled = "This organization has been disabled.";

describe("An answer of Anthropic", () => {
  it.for([
    [200, "", "valid", "accepted"],
    [400, error("invalid_request_error", disabled), "blocked", "organization_disabled"],
    [400, error("invalid_request_error", "bad limit"), "unexpected", "unexpected_answer"],
    [400, error("invalid_request_error", 1), "unexpected", "unexpected_answer"],
    [401, error("authentication_error", "invalid x-api-key"), "rejected", "key_rejected"],
    [402, error("billing_error"), "valid-limited", "no_funds"],
    [403, error("permission_error"), "blocked", "permission_denied"],
    [404, error("not_found_error"), "rejected", "key_rejected"],
    [413, error("request_too_large"), "unexpected", "unexpected_answer"],
    [429, error("rate_limit_error"), "rate-limited", "rate_limited"],
    [500, error("api_error"), "unavailable", "provider_failed"],
    [504, error("timeout_error"), "unavailable", "provider_failed"],
    [529, error("overloaded_error"), "unavailable", "provider_failed"],
    // The reason goes before the status.
    [400, error("authentication_error"), "rejected", "key_rejected"],
    [401, error("overloaded_error"), "unavailable", "provider_failed"],
    [401, error("invalid_request_error"), "unexpected", "unexpected_answer"],
    // Without a reason the status is all there is, and a 403 or 404 may be anybody's.
    [401, "", "rejected", "key_rejected"],
    [403, "<html>Access denied</html>", "unexpected", "unexpected_answer"],
    [404, "<html>Not found</html>", "unexpected", "unexpected_answer"],
    [400, error("brand_new_error"), "unexpected", "unexpected_answer"],
    [429, "", "rate-limited", "rate_limited"],
    [529, "", "unavailable", "provider_failed"],
    [301, "", "unexpected", "redirected"],
    [401, error("__proto__"), "rejected", "key_rejected"],
    [401, error(["authentication_error"]), "rejected", "key_rejected"],
    [401, "[]", "rejected", "key_rejected"],
    [401, '{"error":null}', "rejected", "key_rejected"],
    [401, '{"error":"authentication_error"}', "rejected", "key_rejected"],
  ] as const)("%i with %s is %s, %s", ([status, body, outcome, code]) => {
    expect(classify(status, body)).toMatchObject({ outcome, code });
  });
});
