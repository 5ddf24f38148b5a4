import { describe, expect, it } from "vitest";
import { classifyGoogle } from "./google.ts";

const classify = (status: number, body: string) =>
  classifyGoogle({ kind: "answer", status, headers: {}, body, at: "2026-01-02T03:04:05.000Z" });

const error = (status: string, fields: object = {}) =>
  JSON.stringify({ error: { message: "x", status, ...fields } });
const info = (reason: unknown) => ({
  "@type": "type.googleapis.com/google.rpc.ErrorInfo",
  reason,
  domain: "googleapis.com",
});
const because = (status: string, reason: unknown) => error(status, { details: [info(reason)] });
const debug = { "@type": "type.googleapis.com/google.rpc.DebugInfo", detail: "x" };
const leaked = "Your API key was reported as leaked. Please use another API key.";

describe("An answer of Google", () => {
  it.for([
    [200, "", "valid", "accepted"],
    [400, because("INVALID_ARGUMENT", "API_KEY_INVALID"), "rejected", "key_rejected"],
    [400, because("INVALID_ARGUMENT", "API_KEY_EXPIRED"), "rejected", "key_expired"],
    [400, error("FAILED_PRECONDITION"), "unavailable", "egress_region_refused"],
    [
      401,
      because("UNAUTHENTICATED", "ACCESS_TOKEN_TYPE_UNSUPPORTED"),
      "rejected",
      "key_type_unsupported",
    ],
    [403, error("PERMISSION_DENIED", { message: leaked }), "blocked", "key_leaked"],
    [403, because("PERMISSION_DENIED", "CONSUMER_SUSPENDED"), "blocked", "consumer_suspended"],
    [
      403,
      because("PERMISSION_DENIED", "API_KEY_SERVICE_BLOCKED"),
      "misconfigured",
      "key_restricted",
    ],
    [403, because("PERMISSION_DENIED", "SERVICE_DISABLED"), "misconfigured", "api_not_enabled"],
    [
      403,
      because("PERMISSION_DENIED", "API_KEY_HTTP_REFERRER_BLOCKED"),
      "misconfigured",
      "key_restricted",
    ],
    [
      403,
      because("PERMISSION_DENIED", "API_KEY_IP_ADDRESS_BLOCKED"),
      "misconfigured",
      "key_restricted",
    ],
    [
      403,
      because("PERMISSION_DENIED", "API_KEY_ANDROID_APP_BLOCKED"),
      "misconfigured",
      "key_restricted",
    ],
    [
      403,
      because("PERMISSION_DENIED", "API_KEY_IOS_APP_BLOCKED"),
      "misconfigured",
      "key_restricted",
    ],
    [429, error("RESOURCE_EXHAUSTED"), "rate-limited", "rate_limited"],
    [500, error("INTERNAL"), "unavailable", "provider_failed"],
    [503, error("UNAVAILABLE"), "unavailable", "provider_failed"],
    [504, error("DEADLINE_EXCEEDED"), "unavailable", "provider_failed"],
    // The reason stands anywhere among the details, and goes before the status.
    [
      400,
      error("INVALID_ARGUMENT", { details: [debug, info("API_KEY_INVALID")] }),
      "rejected",
      "key_rejected",
    ],
    [
      400,
      error("INVALID_ARGUMENT", { details: [info("UNHEARD_OF"), info("API_KEY_INVALID")] }),
      "rejected",
      "key_rejected",
    ],
    [403, because("PERMISSION_DENIED", "API_KEY_INVALID"), "rejected", "key_rejected"],
    // Without a reason we know, the status is all there is.
    [400, because("INVALID_ARGUMENT", "UNHEARD_OF"), "unexpected", "unexpected_answer"],
    [400, error("INVALID_ARGUMENT"), "unexpected", "unexpected_answer"],
    [401, error("UNAUTHENTICATED"), "rejected", "key_rejected"],
    [403, error("PERMISSION_DENIED"), "unexpected", "unexpected_answer"],
    [403, "<html>", "unexpected", "unexpected_answer"],
    [404, "", "unexpected", "unexpected_answer"],
    [307, "", "unexpected", "redirected"],
    [
      401,
      error("UNAUTHENTICATED", { details: { reason: "API_KEY_EXPIRED" } }),
      "rejected",
      "key_rejected",
    ],
    [
      401,
      error("UNAUTHENTICATED", { details: [null, 1, [], info(1)] }),
      "rejected",
      "key_rejected",
    ],
  ] as const)("%i with %s is %s, %s", ([status, body, outcome, code]) => {
    expect(classify(status, body)).toMatchObject({ outcome, code });
  });
});
