import type { Failure, Reason, Violation } from "../failure.ts";
import type { ErrorAnswer } from "../plugin.ts";

/** What Neo's clients branch on, and the coarse category that Neo shows beside it. */
export const KIND_OF = {
  invalid_request: "invalid request",
  unauthorized: "unauthorized request",
  forbidden: "forbidden request",
  not_exists: "not exists",
  conflict: "conflict",
  precondition_failed: "precondition failed",
  rate_limited: "rate limited",
  unavailable: "unavailable",
  internal: "internal error",
} as const;

interface Row {
  readonly status: number;
  readonly code: keyof typeof KIND_OF;
  /** Our text for people. Of what came from elsewhere it holds only what was made to be shown. */
  readonly error: string | ((failure: Failure) => string);
  /** Keyledger's finer reason; Neo's clients ignore it. */
  readonly detail?: string;
  /** Seconds to wait, where the vault names none. */
  readonly retryAfterS?: number;
}

const invalidRequest = (error: Row["error"], detail?: string): Row => ({
  status: 400,
  code: "invalid_request",
  error,
  ...(detail && { detail }),
});
const forbidden = (error: string, detail: string): Row => ({
  status: 403,
  code: "forbidden",
  error,
  detail,
});
const notExists = (error: string, detail?: string): Row => ({
  status: 404,
  code: "not_exists",
  error,
  ...(detail && { detail }),
});
const conflict = (error: string, detail: string): Row => ({
  status: 409,
  code: "conflict",
  error,
  detail,
});
const unavailable = (error: string, detail: string): Row => ({
  status: 503,
  code: "unavailable",
  error,
  detail,
  retryAfterS: 1,
});
const INTERNAL: Row = { status: 500, code: "internal", error: "internal error" };

/** Every way to fail, in Neo's vocabulary. */
export const NEO_ERRORS = {
  UNAUTHENTICATED: { status: 401, code: "unauthorized", error: "Unauthorized" },
  BYOK_NOT_ENABLED: forbidden("BYOK is not enabled", "byok_not_enabled"),
  ROLE_NOT_ALLOWED: forbidden("only team admins can manage BYOK", "not_team_admin"),
  OWNER_REQUIRED: forbidden("an owner is required", "owner_required"),

  UNKNOWN_PROVIDER: invalidRequest("unsupported provider"),
  INVALID_FIELDS: invalidRequest(({ violations }) =>
    violations.length === 0 ? "the request is not valid" : violations.map(textOf).join("; "),
  ),
  NO_PROVIDER_KEYS: invalidRequest("no provider keys configured", "no_provider_keys"),
  TOO_MANY_KEYS: invalidRequest("too many provider keys", "too_many_keys"),
  KEY_REJECTED: invalidRequest(
    ({ sentence }) => sentence || "the provider refused the key",
    "key_rejected",
  ),
  TOO_LARGE: { ...invalidRequest("the body is too large", "body_too_large"), status: 413 },
  UNSUPPORTED_MEDIA_TYPE: {
    ...invalidRequest("the body must be application/json in UTF-8", "unsupported_media_type"),
    status: 415,
  },
  METHOD_NOT_ALLOWED: {
    ...invalidRequest("the method is not allowed here", "method_not_allowed"),
    status: 405,
  },

  KEY_NOT_FOUND: notExists("provider key does not exist"),
  API_KEY_NOT_FOUND: notExists("API key does not exist"),
  OWNER_NOT_FOUND: notExists("owner does not exist"),
  NO_SUCH_PATH: notExists("no such path", "no_such_path"),

  CONTENTION: { ...conflict("retry", "contention"), retryAfterS: 1 },
  IDEMPOTENCY_KEY_REUSED: conflict("idempotency key reused", "idempotency_key_reused"),
  OTHER_KEYS_EXIST: conflict(
    "other keys of this provider exist; delete them by id through the multi-key API",
    "other_keys_exist",
  ),
  REVISION_MISMATCH: {
    status: 412,
    code: "precondition_failed",
    error: "revision mismatch",
    detail: "revision_mismatch",
  },
  RATE_LIMITED: { status: 429, code: "rate_limited", error: "too many requests", retryAfterS: 60 },
  TOO_MANY_STREAMS: {
    status: 429,
    code: "rate_limited",
    error: "too many requests",
    retryAfterS: 1,
  },

  PROBE_INDETERMINATE: unavailable(
    "the provider could not say whether the key works; nothing was saved",
    "probe_indeterminate",
  ),
  STORE_UNAVAILABLE: unavailable("the service is unavailable", "store_unavailable"),
  OUTCOME_UNKNOWN: unavailable(
    "whether the change was made is not known; repeat it with the same Idempotency-Key",
    "outcome_unknown",
  ),
  NOT_CAUGHT_UP: unavailable("the service is catching up", "not_caught_up"),
  AUDIT_UNAVAILABLE: unavailable("the service is unavailable", "audit_unavailable"),
  SHUTTING_DOWN: unavailable("the service is shutting down", "shutting_down"),
  DEADLINE_EXCEEDED: unavailable("the deadline passed", "deadline_exceeded"),
  CANCELLED: unavailable("the request was cancelled", "cancelled"),

  // Refusals of Resolve, which has no route here; and faults, of which nothing is told.
  NO_KEY: INTERNAL,
  ALL_DISABLED: INTERNAL,
  EXPIRED: INTERNAL,
  QUARANTINED: INTERNAL,
  NOT_ALLOWED: INTERNAL,
  ALL_SKIPPED: INTERNAL,
  UNDECRYPTABLE: INTERNAL,
  CORRUPTED: INTERNAL,
  UNIMPLEMENTED: INTERNAL,
  INTERNAL,
} satisfies Record<Reason, Row>;

/** A failure as Neo's `ErrorResponse`. */
export function presentNeoError(failure: Failure, errorId: string): ErrorAnswer {
  const row: Row = NEO_ERRORS[failure.reason];
  const { status, code } = row;
  const error = typeof row.error === "string" ? row.error : row.error(failure);
  const kind = KIND_OF[code];
  const detail = failure.violations.some(isSecretInMetadata) ? "secret_in_metadata" : row.detail;
  const retryAfterS = row.retryAfterS && (failure.retryAfterS ?? row.retryAfterS);
  return {
    status,
    headers: {
      ...(retryAfterS && { "retry-after": String(retryAfterS) }),
      ...(status === 401 && { "www-authenticate": "Bearer" }),
    },
    body: JSON.stringify({
      error,
      code,
      kind,
      message: `${kind}: ${error}`,
      error_id: errorId,
      ...(detail && { detail }),
    }),
  };
}

/** Names of the vault's fields as Neo's clients know them. */
const FIELD_NAMES: Readonly<Record<string, string>> = {
  secret: "api_key",
  name: "display_name",
  request_id: "Idempotency-Key",
  expected_revision: "If-Match",
};

const textOf = ({ field, description }: Violation): string =>
  `${FIELD_NAMES[field] ?? field} ${description}`;

const isSecretInMetadata = ({ reason, description }: Violation): boolean =>
  reason === "SECRET_IN_METADATA" || description.includes("secret_in_metadata");
