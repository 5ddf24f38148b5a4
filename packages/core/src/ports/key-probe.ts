import type { Secret } from "../domain/secret.ts";
import type { Instant } from "../domain/vocabulary.ts";
import type { CancelSignal } from "./host.ts";

/** How a provider answered. The first five are definitive, the next three indeterminate; `unprobed` = nobody asked. */
export type ProbeOutcome =
  | "valid"
  | "valid-limited"
  | "rejected"
  | "blocked"
  | "misconfigured"
  | "rate-limited"
  | "unavailable"
  | "unexpected"
  | "unprobed";

export interface ProbeReport {
  readonly outcome: ProbeOutcome;
  /** Our own stable reason code, `^[a-z][a-z0-9_]{0,63}$`. */
  readonly code: string;
  /** Our own fixed sentence: never the provider's. */
  readonly message: string;
  readonly retryable: boolean;
  readonly retryAfterMs?: number;
  readonly expiresAt?: Instant;
  /** Facts that are no secret. */
  readonly facts?: Readonly<Record<string, string>>;
}

/** Asks a provider whether a key works, without spending tokens. Never throws: what goes wrong is an outcome. */
export interface KeyProbe {
  /**
   * @param budgetMs over all attempts and regions; spent = `unavailable`.
   * A provider without a probe answers `unprobed`.
   */
  probe(request: {
    readonly provider: string;
    readonly material: Secret;
    readonly location: string | null;
    readonly budgetMs: number;
    readonly signal: CancelSignal;
  }): Promise<ProbeReport>;
}
