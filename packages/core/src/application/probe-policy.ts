import type { ProbeFinding } from "../domain/commands.ts";
import type { ProbeVerdict } from "../domain/events.ts";
import type { Rejection } from "../domain/rejection.ts";
import type { KeyProbe, ProbeOutcome, ProbeReport } from "../ports/key-probe.ts";

/** What is done with the answer of a probe. */
export interface ProbePolicy {
  /** Whether providers are asked at all. */
  readonly isOn: boolean;
  /** A definitive refusal: refuse the command, or store the key as not validated. */
  readonly onRejected: "reject" | "store";
  /** No definitive answer: store the key as not validated, or refuse the command. */
  readonly onIndeterminate: "store" | "reject";
}

/** What an outcome proves; `null` = nothing, because nobody asked. */
export const verdictOf: Readonly<Record<ProbeOutcome, ProbeVerdict | null>> = {
  valid: "valid",
  "valid-limited": "valid",
  rejected: "rejected",
  blocked: "rejected",
  misconfigured: "rejected",
  "rate-limited": "indeterminate",
  unavailable: "indeterminate",
  unexpected: "indeterminate",
  unprobed: null,
};

export function findingOf({ outcome, code }: ProbeReport): ProbeFinding | null {
  const verdict = verdictOf[outcome];
  return verdict && { outcome: verdict, code };
}

/** Why the policy refuses a credential with this answer; `null` = it does not. */
export function refusalOf(report: ProbeReport, policy: ProbePolicy): Rejection | null {
  const verdict = verdictOf[report.outcome];
  if (verdict === "rejected" && policy.onRejected === "reject") {
    return { reason: "key-rejected", message: report.message, probeCode: report.code };
  }
  if (verdict === "indeterminate" && policy.onIndeterminate === "reject") {
    const retryAfterMs = report.retryAfterMs ?? 5_000;
    return {
      reason: "probe-indeterminate",
      message: report.message,
      probeCode: report.code,
      retryAfterMs,
    };
  }
  return null;
}

export const unprobed: ProbeReport = {
  outcome: "unprobed",
  code: "unprobed",
  message: "The provider was not asked.",
  retryable: false,
};

/** Time a probe may take in all, and what must be left of the call's deadline behind it, in milliseconds. */
const BUDGET_MAX_MS = 10_000;
const LEFT_BEHIND_MS = 3_000;

/** min(10 s, what is left of the deadline - 3 s); not positive: there is no time to ask. */
export const probeBudgetMs = (remainingMs: number): number =>
  remainingMs - LEFT_BEHIND_MS < BUDGET_MAX_MS ? remainingMs - LEFT_BEHIND_MS : BUDGET_MAX_MS;

/** Asks the provider within the budget that the call's deadline leaves. */
export async function askProvider(
  probe: KeyProbe,
  policy: ProbePolicy,
  request: Omit<Parameters<KeyProbe["probe"]>[0], "budgetMs">,
  remainingMs: number,
): Promise<ProbeReport> {
  if (!policy.isOn) return unprobed;
  const budgetMs = probeBudgetMs(remainingMs);
  if (budgetMs <= 0) {
    return {
      outcome: "unavailable",
      code: "no_time_left",
      message: "The deadline left no time to ask the provider.",
      retryable: true,
    };
  }
  return probe.probe({ ...request, budgetMs });
}
