/** One thing wrong with the input: the field and the bound, never the value. */
export interface Violation {
  readonly field: string;
  readonly description: string;
}

/** Why a command or a read was refused. A value, never thrown by the domain. */
export type RejectionReason =
  | "invalid"
  | "unknown-provider"
  | "key-not-found"
  | "api-key-not-found"
  | "no-keys-for-byok"
  | "too-many-keys"
  | "other-keys-exist"
  | "revision-mismatch"
  | "idempotency-key-reused"
  | "contention"
  | "key-rejected"
  | "probe-indeterminate"
  | "no-key"
  | "all-disabled"
  | "expired"
  | "quarantined"
  | "not-allowed"
  | "all-skipped"
  | "undecryptable";

export interface Rejection {
  readonly reason: RejectionReason;
  /** For `invalid`: what is wrong. */
  readonly violations?: readonly Violation[];
  /** A sentence of our own for people, where the reason alone says too little. */
  readonly message?: string;
  /** When asking again makes sense. */
  readonly retryAfterMs?: number;
  /** For refusals of Resolve. */
  readonly platformFallbackAllowed?: boolean;
  /** For a refused key: the outcome of the probe. */
  readonly probeCode?: string;
}

export const invalid = (field: string, description: string): Rejection => ({
  reason: "invalid",
  violations: [{ field, description }],
});
