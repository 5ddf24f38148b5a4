import type { Instant, ProbeOutcome } from "@keyledger/core";
import type { Unanswered } from "./question.ts";

/**
 * What a probe found out, in our own words: an outcome, a code that never changes its meaning, and a fixed sentence.
 * Providers repeat keys in their errors, so no text of theirs ever gets into one.
 */
export interface Verdict {
  readonly outcome: Exclude<ProbeOutcome, "unprobed">;
  /** `^[a-z][a-z0-9_]{0,63}$`. */
  readonly code: string;
  readonly message: string;
  /** When the key expires, where the provider told. */
  readonly expiresAt?: Instant;
}

export const ACCEPTED: Verdict = {
  outcome: "valid",
  code: "accepted",
  message: "The provider accepted the key.",
};

export const NO_FUNDS: Verdict = {
  outcome: "valid-limited",
  code: "no_funds",
  message: "The provider accepted the key, but its account has no funds or is at its limit.",
};

export const KEY_REJECTED: Verdict = {
  outcome: "rejected",
  code: "key_rejected",
  message: "The provider does not accept this key: it is wrong, revoked or deleted.",
};

export const KEY_EXPIRED: Verdict = {
  outcome: "rejected",
  code: "key_expired",
  message: "The key has expired.",
};

export const KEY_RESTRICTED: Verdict = {
  outcome: "misconfigured",
  code: "key_restricted",
  message: "A restriction set on the key keeps it from being used from here.",
};

export const RATE_LIMITED: Verdict = {
  outcome: "rate-limited",
  code: "rate_limited",
  message: "The provider limits our requests; the key was not judged.",
};

export const PROVIDER_FAILED: Verdict = {
  outcome: "unavailable",
  code: "provider_failed",
  message: "The provider could not answer; the key was not judged.",
};

export const EGRESS_REGION_REFUSED: Verdict = {
  outcome: "unavailable",
  code: "egress_region_refused",
  message:
    "The provider refuses requests from the region this service calls from; the key was not judged.",
};

export const REDIRECTED: Verdict = {
  outcome: "unexpected",
  code: "redirected",
  message:
    "The provider pointed to another address, which is never followed; the key was not judged.",
};

export const UNEXPECTED_ANSWER: Verdict = {
  outcome: "unexpected",
  code: "unexpected_answer",
  message: "The provider's answer is none we know; the key was not judged.",
};

/** Ours, not the provider's. */
export const PROBE_FAULT: Verdict = {
  outcome: "unexpected",
  code: "probe_fault",
  message: "The probe itself failed; the key was not judged.",
};

/** Where the body gave no reason: what the status alone may tell. */
export function verdictOfStatus(status: number): Verdict {
  if (status === 401) return KEY_REJECTED;
  if (status === 429) return RATE_LIMITED;
  if (status >= 500) return PROVIDER_FAILED;
  if (status >= 300 && status < 400) return REDIRECTED;
  return UNEXPECTED_ANSWER;
}

const unavailable = (code: string, message: string): Verdict => ({
  outcome: "unavailable",
  code,
  message: `${message}; the key was not judged.`,
});

/** What no answer at all means, unless a provider knows better. */
export const verdictOfSilence: Readonly<Record<Unanswered["because"], Verdict>> = {
  unresolved: unavailable("name_unresolved", "The provider's host name could not be resolved"),
  "unknown-name": unavailable("name_unknown", "The provider's host name does not exist"),
  "refused-address": unavailable(
    "address_refused",
    "The provider's host name leads to an address that must not be called",
  ),
  unconnected: unavailable("connect_failed", "The provider could not be reached"),
  untrusted: unavailable("tls_failed", "No trusted connection to the provider could be made"),
  cut: unavailable("answer_cut", "The provider broke off its answer"),
  malformed: {
    outcome: "unexpected",
    code: "answer_malformed",
    message: "The provider's answer is not HTTP; the key was not judged.",
  },
  "timed-out": unavailable("timed_out", "The provider did not answer in time"),
  cancelled: unavailable("cancelled", "The request was cancelled"),
};
