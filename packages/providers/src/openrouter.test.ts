import { describe, expect, it } from "vitest";
import { classifyOpenrouter } from "./openrouter.ts";

const at = "2026-01-02T03:04:05.000Z";
const classify = (status: number, body: unknown) =>
  classifyOpenrouter({
    kind: "answer",
    status,
    headers: {},
    body: typeof body === "string" ? body : JSON.stringify(body),
    at,
  });

describe("An answer of OpenRouter", () => {
  it.for([
    [200, { data: {} }, "valid", "accepted"],
    [200, { data: { limit_remaining: 74.5, is_management_key: false } }, "valid", "accepted"],
    [200, { data: { limit_remaining: null, expires_at: null } }, "valid", "accepted"],
    [200, { data: { limit_remaining: 0 } }, "valid-limited", "no_funds"],
    [200, { data: { limit_remaining: -0.01 } }, "valid-limited", "no_funds"],
    [200, { data: { is_management_key: true } }, "misconfigured", "management_key"],
    [200, { data: { is_provisioning_key: true } }, "misconfigured", "management_key"],
    [
      200,
      { data: { is_management_key: true, limit_remaining: 0 } },
      "misconfigured",
      "management_key",
    ],
    [200, { data: { expires_at: "2020-01-01T00:00:00Z" } }, "rejected", "key_expired"],
    [200, { data: { expires_at: at } }, "rejected", "key_expired"],
    [200, { data: { expires_at: "soon" } }, "valid", "accepted"],
    [200, {}, "unexpected", "unexpected_answer"],
    [200, { data: [] }, "unexpected", "unexpected_answer"],
    [200, { data: null }, "unexpected", "unexpected_answer"],
    [200, "<html>", "unexpected", "unexpected_answer"],
    [200, "", "unexpected", "unexpected_answer"],
    [401, { error: { message: "User not found.", code: 401 } }, "rejected", "key_rejected"],
    [
      401,
      { error: { message: "No auth credentials found", code: 401 } },
      "rejected",
      "key_rejected",
    ],
    [401, { error: { message: "No cookie auth credentials found" } }, "rejected", "key_rejected"],
    [401, "", "rejected", "key_rejected"],
    [429, "", "rate-limited", "rate_limited"],
    [500, "", "unavailable", "provider_failed"],
    [502, "<html>", "unavailable", "provider_failed"],
    [302, "", "unexpected", "redirected"],
    [204, "", "unexpected", "unexpected_answer"],
    [403, "", "unexpected", "unexpected_answer"],
    [404, "", "unexpected", "unexpected_answer"],
  ] as const)("%i with %j is %s, %s", ([status, body, outcome, code]) => {
    expect(classify(status, body)).toMatchObject({ outcome, code });
  });

  it("tells when the key expires, whatever else it tells", () => {
    const expires_at = "2027-12-31T23:59:59Z";
    const expiresAt = "2027-12-31T23:59:59.000Z";
    expect(classify(200, { data: { expires_at } })).toMatchObject({ outcome: "valid", expiresAt });
    expect(classify(200, { data: { expires_at, limit_remaining: 0 } })).toMatchObject({
      outcome: "valid-limited",
      expiresAt,
    });
    expect(classify(200, { data: { expires_at: null } })).not.toHaveProperty("expiresAt");
  });
});
