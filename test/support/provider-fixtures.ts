/**
 * What the providers answer: one row per case, chosen by the magic key `sk-fake-<case>`. Another provider is one more
 * entry here. Texts the probes must not depend on are placeholders.
 */

import type { ProbeOutcome } from "@keyledger/core";

export interface Fixture {
  readonly status: number;
  /** Reason phrase of the status line. */
  readonly statusText?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: string;
  /** How the answer goes wrong on the way; default: it does not. */
  readonly fault?: "hang" | "cut" | "garbled";
  /** Answered this often with this fixture, and with `ok` from then on. */
  readonly times?: number;
  /** What a probe makes of it. */
  readonly outcome: ProbeOutcome;
  readonly code: string;
}

export interface ProviderFixtures {
  /** The only request that is understood; anything else is 404. */
  readonly method: string;
  readonly path: string;
  readonly requiredHeaders?: Readonly<Record<string, string>>;
  /** Where the key is looked for. */
  readonly keyHeader: string;
  readonly keyPrefix: string;
  /** `key` is for those that repeat it. */
  readonly cases: (key: string) => Readonly<Record<string, Fixture>>;
}

const accepted = { outcome: "valid", code: "accepted" } as const;
const keyRejected = { outcome: "rejected", code: "key_rejected" } as const;
const keyRestricted = { outcome: "misconfigured", code: "key_restricted" } as const;
const noFunds = { outcome: "valid-limited", code: "no_funds" } as const;
const rateLimited = { outcome: "rate-limited", code: "rate_limited" } as const;
const providerFailed = { outcome: "unavailable", code: "provider_failed" } as const;
const egressRefused = { outcome: "unavailable", code: "egress_region_refused" } as const;
const unexpected = { outcome: "unexpected", code: "unexpected_answer" } as const;

const json = (status: number, body: unknown) => ({ status, body: JSON.stringify(body) });

/** Cases that every provider has; a provider's own ones go before them. */
function common(key: string, ok: Fixture, decidesBy200: boolean): Record<string, Fixture> {
  const html = "<!doctype html><title>Sign in</title>";
  const judged = decidesBy200 ? unexpected : accepted;
  const echo: Fixture = {
    status: 401,
    statusText: `Unauthorized ${key}`,
    headers: { "x-echo": key, "www-authenticate": `Bearer error="${key}"` },
    body: JSON.stringify({ error: { message: `no such key: ${key}`, type: key, code: key } }),
    ...keyRejected,
  };
  return {
    ok,
    "429": { status: 429, body: "", ...rateLimited },
    "429-1s": { status: 429, headers: { "retry-after": "1" }, body: "", ...rateLimited },
    "429-60s": { status: 429, headers: { "retry-after": "60" }, body: "", ...rateLimited },
    "500": { status: 500, body: "", ...providerFailed },
    "503": { status: 503, body: "", ...providerFailed },
    "503-once": { status: 503, headers: { "retry-after": "0" }, body: "", times: 1, ...accepted },
    timeout: { ...ok, fault: "hang", outcome: "unavailable", code: "timed_out" },
    cut: {
      ...json(401, { error: { message: "x" } }),
      fault: "cut",
      outcome: "unavailable",
      code: "answer_cut",
    },
    garbled: { ...ok, fault: "garbled", outcome: "unexpected", code: "answer_malformed" },
    redirect: {
      status: 302,
      headers: { location: "https://example.com/elsewhere" },
      body: "",
      outcome: "unexpected",
      code: "redirected",
    },
    garbage: { status: 200, headers: { "content-type": "text/html" }, body: html, ...judged },
    huge: { status: 200, body: `{"data":"${"x".repeat(2 * 1024 * 1024)}"}`, ...judged },
    "huge-error": { status: 403, body: `{"data":"${"x".repeat(2 * 1024 * 1024)}"}`, ...unexpected },
    echo,
    "echo-401": echo,
    "echo-redirect": {
      status: 307,
      headers: { location: `https://example.com/?key=${key}` },
      body: key,
      outcome: "unexpected",
      code: "redirected",
    },
  };
}

const openrouterKey = (fields: object) => json(200, { data: fields });

const openrouter: ProviderFixtures = {
  method: "GET",
  path: "/api/v1/key",
  keyHeader: "authorization",
  keyPrefix: "Bearer ",
  cases: (key) => ({
    ...common(
      key,
      {
        ...openrouterKey({
          label: "sk-or-v1-au7...890",
          limit: 100,
          limit_remaining: 74.5,
          is_management_key: false,
          is_provisioning_key: false,
          expires_at: "2099-12-31T23:59:59Z",
        }),
        ...accepted,
      },
      true,
    ),
    unlimited: { ...openrouterKey({ limit_remaining: null, expires_at: null }), ...accepted },
    management: {
      ...openrouterKey({ is_management_key: true }),
      outcome: "misconfigured",
      code: "management_key",
    },
    provisioning: {
      ...openrouterKey({ is_provisioning_key: true }),
      outcome: "misconfigured",
      code: "management_key",
    },
    empty: { ...openrouterKey({ limit_remaining: 0, is_management_key: false }), ...noFunds },
    expired: {
      ...openrouterKey({ expires_at: "2020-01-01T00:00:00Z" }),
      outcome: "rejected",
      code: "key_expired",
    },
    revoked: { ...json(401, { error: { message: "User not found.", code: 401 } }), ...keyRejected },
    "cut-ok": {
      ...openrouterKey({ limit_remaining: 1 }),
      fault: "cut",
      outcome: "unavailable",
      code: "answer_cut",
    },
  }),
};

const anthropicError = (status: number, type: string, message = "x") =>
  json(status, { type: "error", error: { type, message }, request_id: "req_1" });

const anthropic: ProviderFixtures = {
  method: "GET",
  path: "/v1/models?limit=1",
  requiredHeaders: { "anthropic-version": "2023-06-01" },
  keyHeader: "x-api-key",
  keyPrefix: "",
  cases: (key) => ({
    ...common(
      key,
      {
        ...json(200, {
          data: [{ id: "m", type: "model", display_name: "M", created_at: "2026-01-01T00:00:00Z" }],
          has_more: true,
          first_id: "m",
          last_id: "m",
        }),
        ...accepted,
      },
      false,
    ),
    revoked: {
      ...anthropicError(401, "authentication_error", "invalid x-api-key"),
      ...keyRejected,
    },
    "disabled-key": { ...anthropicError(404, "not_found_error", "not found"), ...keyRejected },
    "disabled-org": {
      ...anthropicError(400, "invalid_request_error", "This organization has been disabled."),
      outcome: "blocked",
      code: "organization_disabled",
    },
    "other-400": { ...anthropicError(400, "invalid_request_error"), ...unexpected },
    billing: { ...anthropicError(402, "billing_error"), ...noFunds },
    forbidden: {
      ...anthropicError(403, "permission_error"),
      outcome: "blocked",
      code: "permission_denied",
    },
    "too-large": { ...anthropicError(413, "request_too_large"), ...unexpected },
    limited: { ...anthropicError(429, "rate_limit_error"), ...rateLimited },
    "api-error": { ...anthropicError(500, "api_error"), ...providerFailed },
    "timeout-error": { ...anthropicError(504, "timeout_error"), ...providerFailed },
    overloaded: { ...anthropicError(529, "overloaded_error"), ...providerFailed },
  }),
};

const openaiError = (status: number, error: object) => json(status, { error });
const missingScope = {
  message: "You have insufficient permissions for this operation. Missing scopes: api.model.read",
};

const openai: ProviderFixtures = {
  method: "GET",
  path: "/v1/models",
  keyHeader: "authorization",
  keyPrefix: "Bearer ",
  cases: (key) => ({
    ...common(key, { ...json(200, { object: "list", data: [] }), ...accepted }, false),
    revoked: {
      ...openaiError(401, {
        message: "Incorrect API key provided: sk-fake*****oked.",
        type: "invalid_request_error",
        param: null,
        code: "invalid_api_key",
      }),
      ...keyRejected,
    },
    noscope: {
      ...openaiError(401, missingScope),
      outcome: "valid-limited",
      code: "missing_scope",
    },
    "noscope-403": {
      ...openaiError(403, missingScope),
      outcome: "valid-limited",
      code: "missing_scope",
    },
    region: {
      ...openaiError(403, {
        code: "unsupported_country_region_territory",
        type: "request_forbidden",
      }),
      ...egressRefused,
    },
    deactivated: {
      ...openaiError(401, { code: "account_deactivated" }),
      outcome: "blocked",
      code: "account_deactivated",
    },
    ip: {
      ...openaiError(401, { code: "ip_not_authorized" }),
      outcome: "misconfigured",
      code: "egress_address_refused",
    },
    hostname: {
      ...openaiError(401, { code: "incorrect_hostname" }),
      outcome: "misconfigured",
      code: "wrong_host",
    },
    limited: { ...openaiError(429, { code: "rate_limit_exceeded" }), ...rateLimited },
    quota: { ...openaiError(429, { code: "insufficient_quota" }), ...noFunds },
  }),
};

const GOOGLE_ERROR_INFO = "type.googleapis.com/google.rpc.ErrorInfo";
const googleError = (
  code: number,
  status: string,
  { reason, message = "x", details = [] }: GoogleRefusal = {},
) => {
  const info = reason && { "@type": GOOGLE_ERROR_INFO, reason, domain: "googleapis.com" };
  return json(code, {
    error: { code, message, status, ...(info && { details: [...details, info] }) },
  });
};

interface GoogleRefusal {
  readonly reason?: string;
  readonly message?: string;
  readonly details?: readonly object[];
}

const google: ProviderFixtures = {
  method: "GET",
  path: "/v1beta/models?pageSize=1",
  keyHeader: "x-goog-api-key",
  keyPrefix: "",
  cases: (key) => ({
    ...common(
      key,
      { ...json(200, { models: [{ name: "models/m" }], nextPageToken: "x" }), ...accepted },
      false,
    ),
    revoked: {
      ...googleError(400, "INVALID_ARGUMENT", {
        reason: "API_KEY_INVALID",
        message: "API key not valid. Please pass a valid API key.",
      }),
      ...keyRejected,
    },
    expired: {
      ...googleError(400, "INVALID_ARGUMENT", { reason: "API_KEY_EXPIRED" }),
      outcome: "rejected",
      code: "key_expired",
    },
    location: {
      ...googleError(400, "FAILED_PRECONDITION", {
        message: "User location is not supported for the API use.",
      }),
      ...egressRefused,
    },
    keytype: {
      ...googleError(401, "UNAUTHENTICATED", { reason: "ACCESS_TOKEN_TYPE_UNSUPPORTED" }),
      outcome: "rejected",
      code: "key_type_unsupported",
    },
    leaked: {
      ...googleError(403, "PERMISSION_DENIED", {
        message: "Your API key was reported as leaked. Please use another API key.",
      }),
      outcome: "blocked",
      code: "key_leaked",
    },
    echo: {
      ...json(403, {
        error: {
          code: 403,
          message: `Permission denied: Consumer 'api_key:${key}' has been suspended.`,
          status: "PERMISSION_DENIED",
          details: [
            {
              "@type": GOOGLE_ERROR_INFO,
              reason: "CONSUMER_SUSPENDED",
              domain: "googleapis.com",
              metadata: { service: "x", containerInfo: `api_key:${key}` },
            },
            {
              "@type": "type.googleapis.com/google.rpc.LocalizedMessage",
              locale: "en-US",
              message: `Permission denied: Consumer 'api_key:${key}' has been suspended.`,
            },
          ],
        },
      }),
      outcome: "blocked",
      code: "consumer_suspended",
    },
    "echo-debug": {
      ...googleError(400, "INVALID_ARGUMENT", {
        reason: "API_KEY_INVALID",
        details: [
          { "@type": "type.googleapis.com/google.rpc.DebugInfo", detail: `key ${key} invalid` },
        ],
      }),
      ...keyRejected,
    },
    service: {
      ...googleError(403, "PERMISSION_DENIED", { reason: "API_KEY_SERVICE_BLOCKED" }),
      ...keyRestricted,
    },
    disabled: {
      ...googleError(403, "PERMISSION_DENIED", { reason: "SERVICE_DISABLED" }),
      outcome: "misconfigured",
      code: "api_not_enabled",
    },
    referrer: {
      ...googleError(403, "PERMISSION_DENIED", { reason: "API_KEY_HTTP_REFERRER_BLOCKED" }),
      ...keyRestricted,
    },
    ip: {
      ...googleError(403, "PERMISSION_DENIED", { reason: "API_KEY_IP_ADDRESS_BLOCKED" }),
      ...keyRestricted,
    },
    android: {
      ...googleError(403, "PERMISSION_DENIED", { reason: "API_KEY_ANDROID_APP_BLOCKED" }),
      ...keyRestricted,
    },
    ios: {
      ...googleError(403, "PERMISSION_DENIED", { reason: "API_KEY_IOS_APP_BLOCKED" }),
      ...keyRestricted,
    },
    exhausted: { ...googleError(429, "RESOURCE_EXHAUSTED"), ...rateLimited },
    internal: { ...googleError(500, "INTERNAL"), ...providerFailed },
    unavailable: { ...googleError(503, "UNAVAILABLE"), ...providerFailed },
    deadline: { ...googleError(504, "DEADLINE_EXCEEDED"), ...providerFailed },
  }),
};

export const providerFixtures: ReadonlyMap<string, ProviderFixtures> = new Map([
  ["openrouter", openrouter],
  ["anthropic", anthropic],
  ["openai", openai],
  ["google", google],
]);
