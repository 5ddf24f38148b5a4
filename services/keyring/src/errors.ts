import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@keyledger/contracts";
import {
  AuditUnavailable,
  Cancelled,
  Corrupted,
  EventIdReused,
  NotCaughtUp,
  OutcomeUnknown,
  type Rejection,
  type RejectionReason,
  StoreUnavailable,
} from "@keyledger/core";

/** The one table from what the core says to what callers see: every text that leaves is fixed here or is our own. */

export const ERROR_DOMAIN = "keyledger.v1";

interface Row {
  readonly code: Code;
  /** Stable; programs branch on it. */
  readonly reason: string;
  readonly message: string;
  /** Suggested pause where nothing better is known. */
  readonly retryAfterMs?: number;
}

const REJECTIONS: Record<RejectionReason, Row> = {
  invalid: {
    code: Code.InvalidArgument,
    reason: "INVALID_FIELDS",
    message: "some fields are not valid",
  },
  "unknown-provider": {
    code: Code.InvalidArgument,
    reason: "UNKNOWN_PROVIDER",
    message: "unsupported provider",
  },
  "key-not-found": {
    code: Code.NotFound,
    reason: "KEY_NOT_FOUND",
    message: "provider key does not exist",
  },
  "api-key-not-found": {
    code: Code.NotFound,
    reason: "API_KEY_NOT_FOUND",
    message: "caller key does not exist",
  },
  "no-keys-for-byok": {
    code: Code.FailedPrecondition,
    reason: "NO_PROVIDER_KEYS",
    message: "no provider keys configured: add or enable one before switching to byok",
  },
  "too-many-keys": {
    code: Code.FailedPrecondition,
    reason: "TOO_MANY_KEYS",
    message: "too many provider keys: a keyring holds at most 500",
  },
  "other-keys-exist": {
    code: Code.FailedPrecondition,
    reason: "OTHER_KEYS_EXIST",
    message: "the provider has other keys too: delete keys one by one by their id",
  },
  "revision-mismatch": {
    code: Code.Aborted,
    reason: "REVISION_MISMATCH",
    message: "revision mismatch: read again and decide on what is there now",
  },
  "idempotency-key-reused": {
    code: Code.FailedPrecondition,
    reason: "IDEMPOTENCY_KEY_REUSED",
    message: "the request id was used for another request: use a new one",
  },
  contention: {
    code: Code.Aborted,
    reason: "CONTENTION",
    message: "others kept writing until the deadline: retry",
    retryAfterMs: 100,
  },
  "key-rejected": {
    code: Code.FailedPrecondition,
    reason: "KEY_REJECTED",
    message: "the provider refused the key",
  },
  "probe-indeterminate": {
    code: Code.Unavailable,
    reason: "PROBE_INDETERMINATE",
    message: "the provider gave no definite answer, and nothing was saved",
    retryAfterMs: 5_000,
  },
  "no-key": {
    code: Code.FailedPrecondition,
    reason: "NO_KEY",
    message: "no key for this provider",
  },
  "all-disabled": {
    code: Code.FailedPrecondition,
    reason: "ALL_DISABLED",
    message: "every key is disabled",
  },
  expired: {
    code: Code.FailedPrecondition,
    reason: "EXPIRED",
    message: "every usable key has expired",
  },
  quarantined: {
    code: Code.FailedPrecondition,
    reason: "QUARANTINED",
    message: "every usable key is quarantined",
  },
  "not-allowed": {
    code: Code.FailedPrecondition,
    reason: "NOT_ALLOWED",
    message: "no key may serve this model, user or caller key",
  },
  "all-skipped": {
    code: Code.FailedPrecondition,
    reason: "ALL_SKIPPED",
    message: "every candidate was skipped",
  },
  undecryptable: {
    code: Code.FailedPrecondition,
    reason: "UNDECRYPTABLE",
    message: "the key's material cannot be opened: store the key again, and tell an operator",
  },
};

/** Refusals at the door, before a use case is reached. */
const REFUSALS = {
  unauthenticated: {
    code: Code.Unauthenticated,
    reason: "UNAUTHENTICATED",
    message: "Unauthorized",
  },
  "byok-not-enabled": {
    code: Code.PermissionDenied,
    reason: "BYOK_NOT_ENABLED",
    message: "BYOK is not enabled",
  },
  "role-not-allowed": {
    code: Code.PermissionDenied,
    reason: "ROLE_NOT_ALLOWED",
    message: "this role may not do this",
  },
  "owner-required": {
    code: Code.PermissionDenied,
    reason: "OWNER_REQUIRED",
    message: "an owner is required: name one in the field owner",
  },
  "owner-not-found": {
    code: Code.NotFound,
    reason: "OWNER_NOT_FOUND",
    message: "owner does not exist",
  },
  "too-many-streams": {
    code: Code.ResourceExhausted,
    reason: "TOO_MANY_STREAMS",
    message: "too many streams of one caller: the most is 10",
  },
  "deadline-exceeded": {
    code: Code.DeadlineExceeded,
    reason: "DEADLINE_EXCEEDED",
    message: "the deadline passed",
  },
  "shutting-down": {
    code: Code.Unavailable,
    reason: "SHUTTING_DOWN",
    message: "the process is stopping: retry",
    retryAfterMs: 1_000,
  },
} as const satisfies Record<string, Row>;

export type Refusal = keyof typeof REFUSALS;

/** Faults, most specific first. What they say inside stays inside. */
const FAULTS: readonly (readonly [new (...args: never[]) => Error, Row])[] = [
  [
    AuditUnavailable,
    {
      code: Code.Unavailable,
      reason: "AUDIT_UNAVAILABLE",
      message: "the access could not be recorded, so nothing was released: retry",
      retryAfterMs: 250,
    },
  ],
  [
    NotCaughtUp,
    {
      code: Code.Unavailable,
      reason: "NOT_CAUGHT_UP",
      message: "the position asked for is not reached here yet: retry",
      retryAfterMs: 500,
    },
  ],
  [
    OutcomeUnknown,
    {
      code: Code.Unavailable,
      reason: "OUTCOME_UNKNOWN",
      message: "it is not known whether the write happened: retry with the same request id",
      retryAfterMs: 500,
    },
  ],
  [
    EventIdReused,
    {
      code: Code.FailedPrecondition,
      reason: "IDEMPOTENCY_KEY_REUSED",
      message: "the request id was used for another request: use a new one",
    },
  ],
  [Cancelled, { code: Code.Canceled, reason: "CANCELLED", message: "the call was cancelled" }],
  [
    Corrupted,
    {
      code: Code.DataLoss,
      reason: "CORRUPTED",
      message: "stored data is damaged: tell an operator",
    },
  ],
  [
    StoreUnavailable,
    {
      code: Code.Unavailable,
      reason: "STORE_UNAVAILABLE",
      message: "a store is not available: retry",
      retryAfterMs: 1_000,
    },
  ],
];

const INTERNAL: Row = { code: Code.Internal, reason: "INTERNAL", message: "internal error" };

/** What is thrown by a method to refuse at the door. */
export const refuse = (refusal: Refusal): ConnectError => errorFrom(REFUSALS[refusal], {});

/** What a rejection is on the wire. */
export function errorOf(rejection: Rejection): ConnectError {
  const row = REJECTIONS[rejection.reason];
  const { platformFallbackAllowed, probeCode } = rejection;
  return errorFrom(
    { ...row, message: rejection.message ?? row.message },
    {
      retryAfterMs: rejection.retryAfterMs,
      violations: rejection.reason === "unknown-provider" ? UNKNOWN_PROVIDER : rejection.violations,
      metadata: {
        ...(platformFallbackAllowed !== undefined && {
          platform_fallback_allowed: String(platformFallbackAllowed),
        }),
        ...(probeCode !== undefined && { probe_code: probeCode }),
      },
    },
  );
}

const UNKNOWN_PROVIDER = [{ field: "provider", description: "is not a supported provider" }];

/** What anything thrown is on the wire. Only errors made here pass as they are. */
export function translate(error: unknown): ConnectError {
  if (error instanceof ConnectError && own.has(error)) return error;
  const row = FAULTS.find(([type]) => error instanceof type)?.[1] ?? INTERNAL;
  return errorFrom(row, {});
}

/** Whether a translated error stands for something nobody expected, which operators must see. */
export const isUnexpected = (error: ConnectError): boolean =>
  error.code === Code.Internal ||
  error.code === Code.DataLoss ||
  reasonOf(error) === REJECTIONS.undecryptable.reason;

export const reasonOf = (error: ConnectError): string =>
  error.findDetails(ErrorInfoSchema)[0]?.reason ?? "";

const own = new WeakSet<ConnectError>();

function errorFrom(
  row: Row,
  extra: {
    readonly retryAfterMs?: number | undefined;
    readonly violations?: Rejection["violations"];
    readonly metadata?: Readonly<Record<string, string>>;
  },
): ConnectError {
  const { violations, metadata = {} } = extra;
  const retryAfterMs = extra.retryAfterMs ?? row.retryAfterMs;
  const error = new ConnectError(sentence(row.message, violations), row.code, undefined, [
    {
      desc: ErrorInfoSchema,
      value: { reason: row.reason, domain: ERROR_DOMAIN, metadata: { ...metadata } },
    },
    ...(violations
      ? [
          {
            desc: BadRequestSchema,
            value: { fieldViolations: violations.map((violation) => ({ ...violation })) },
          },
        ]
      : []),
    ...(retryAfterMs === undefined
      ? []
      : [
          {
            desc: RetryInfoSchema,
            value: create(RetryInfoSchema, { retryDelay: durationOf(retryAfterMs) }),
          },
        ]),
  ]);
  own.add(error);
  return error;
}

/** People who see only the message still learn which field is wrong. */
const sentence = (message: string, violations: Rejection["violations"]): string =>
  violations && violations.length > 0
    ? violations.map(({ field, description }) => `${field} ${description}`).join("; ")
    : message;

const durationOf = (ms: number) => ({
  seconds: BigInt(Math.floor(ms / 1_000)),
  nanos: (ms % 1_000) * 1_000_000,
});
