import { Code, ConnectError } from "@connectrpc/connect";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "@keyledger/contracts";

/** Why the vault refuses or cannot: `ErrorInfo.reason` in the domain `keyledger.v1`. */
export const SERVICE_REASONS = [
  "UNAUTHENTICATED",
  "BYOK_NOT_ENABLED",
  "ROLE_NOT_ALLOWED",
  "OWNER_REQUIRED",
  "INVALID_FIELDS",
  "UNKNOWN_PROVIDER",
  "KEY_NOT_FOUND",
  "API_KEY_NOT_FOUND",
  "OWNER_NOT_FOUND",
  "NO_PROVIDER_KEYS",
  "TOO_MANY_KEYS",
  "OTHER_KEYS_EXIST",
  "IDEMPOTENCY_KEY_REUSED",
  "KEY_REJECTED",
  "NO_KEY",
  "ALL_DISABLED",
  "EXPIRED",
  "QUARANTINED",
  "NOT_ALLOWED",
  "ALL_SKIPPED",
  "UNDECRYPTABLE",
  "REVISION_MISMATCH",
  "CONTENTION",
  "PROBE_INDETERMINATE",
  "STORE_UNAVAILABLE",
  "OUTCOME_UNKNOWN",
  "NOT_CAUGHT_UP",
  "AUDIT_UNAVAILABLE",
  "SHUTTING_DOWN",
  "DEADLINE_EXCEEDED",
  "CANCELLED",
  "TOO_LARGE",
  "TOO_MANY_STREAMS",
  "RATE_LIMITED",
  "CORRUPTED",
  "UNIMPLEMENTED",
  "INTERNAL",
] as const;

/** What the facade itself finds wrong with a request, beyond the reasons of the vault. */
export const FACADE_REASONS = [
  "UNSUPPORTED_MEDIA_TYPE",
  "NO_SUCH_PATH",
  "METHOD_NOT_ALLOWED",
] as const;

export type Reason = (typeof SERVICE_REASONS)[number] | (typeof FACADE_REASONS)[number];

/** One thing wrong with the input: the field, and a predicate such as `is required`. Never the value. */
export interface Violation {
  readonly field: string;
  readonly description: string;
  /** Machine-readable, upper snake case. */
  readonly reason?: string;
}

/** A request that did not succeed, whoever found out. Each dialect turns it into its own error body. */
export class Failure {
  readonly reason: Reason;
  readonly violations: readonly Violation[];
  /** For a refused key: what the probe says, in the vault's own words. */
  readonly sentence: string | undefined;
  /** Whole seconds to wait before asking again. */
  readonly retryAfterS: number | undefined;

  constructor(
    reason: Reason,
    {
      violations = [],
      sentence,
      retryAfterS,
    }: {
      readonly violations?: readonly Violation[];
      readonly sentence?: string | undefined;
      readonly retryAfterS?: number | undefined;
    } = {},
  ) {
    this.reason = reason;
    this.violations = violations;
    this.sentence = sentence;
    this.retryAfterS = retryAfterS;
  }
}

export const invalid = (field: string, description: string): Failure =>
  new Failure("INVALID_FIELDS", { violations: [{ field, description }] });

/** Reads what a call rejected with. Of the error's texts only those meant for people outside are kept. */
export function failureOf(error: unknown): Failure {
  if (!(error instanceof ConnectError)) return new Failure("INTERNAL");
  const [info] = error.findDetails(ErrorInfoSchema);
  const reason = info?.domain === "keyledger.v1" ? parseReason(info.reason) : undefined;
  const [badRequest] = error.findDetails(BadRequestSchema);
  const [retry] = error.findDetails(RetryInfoSchema);
  const delay = retry?.retryDelay;
  return new Failure(reason ?? REASON_OF[error.code], {
    violations: badRequest?.fieldViolations ?? [],
    sentence: reason === "KEY_REJECTED" ? error.rawMessage : undefined,
    retryAfterS: delay && Math.max(1, Number(delay.seconds) + Math.ceil(delay.nanos / 1e9)),
  });
}

const REASONS: ReadonlySet<string> = new Set(SERVICE_REASONS);
const isReason = (text: string): text is Reason => REASONS.has(text);
const parseReason = (text: string): Reason | undefined => (isReason(text) ? text : undefined);

/** For errors without a reason of ours, as a transport or a proxy makes them. */
const REASON_OF = {
  [Code.Canceled]: "CANCELLED",
  [Code.Unknown]: "INTERNAL",
  [Code.InvalidArgument]: "INVALID_FIELDS",
  [Code.DeadlineExceeded]: "DEADLINE_EXCEEDED",
  [Code.NotFound]: "KEY_NOT_FOUND",
  [Code.AlreadyExists]: "INTERNAL",
  [Code.PermissionDenied]: "ROLE_NOT_ALLOWED",
  [Code.ResourceExhausted]: "RATE_LIMITED",
  [Code.FailedPrecondition]: "INTERNAL",
  [Code.Aborted]: "CONTENTION",
  [Code.OutOfRange]: "INTERNAL",
  [Code.Unimplemented]: "UNIMPLEMENTED",
  [Code.Internal]: "INTERNAL",
  [Code.Unavailable]: "STORE_UNAVAILABLE",
  [Code.DataLoss]: "CORRUPTED",
  [Code.Unauthenticated]: "UNAUTHENTICATED",
} as const satisfies Record<Code, Reason>;
