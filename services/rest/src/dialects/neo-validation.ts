import { ProbeOutcome, type ProbeResult } from "@keyledger/contracts";

interface Outcome {
  /** Keyledger's name of the outcome, an extension of Neo's `ValidationResult`. */
  readonly status: string;
  readonly valid: boolean;
  /** What is added to the probe's own sentence where the key is not valid. */
  readonly details: string;
}

/** What each outcome means to Neo's clients. */
export const OUTCOMES = {
  [ProbeOutcome.UNSPECIFIED]: { status: "unprobed", valid: false, details: "not checked" },
  [ProbeOutcome.VALID]: { status: "valid", valid: true, details: "" },
  [ProbeOutcome.VALID_LIMITED]: { status: "valid_limited", valid: true, details: "" },
  [ProbeOutcome.REJECTED]: { status: "rejected", valid: false, details: "refused by the provider" },
  [ProbeOutcome.BLOCKED]: { status: "blocked", valid: false, details: "blocked by the provider" },
  [ProbeOutcome.MISCONFIGURED]: {
    status: "misconfigured",
    valid: false,
    details: "wrong configuration",
  },
  [ProbeOutcome.RATE_LIMITED]: {
    status: "rate_limited",
    valid: false,
    details: "indeterminate: rate limited by the provider",
  },
  [ProbeOutcome.UNAVAILABLE]: {
    status: "unavailable",
    valid: false,
    details: "indeterminate: the provider could not be asked",
  },
  [ProbeOutcome.UNEXPECTED]: {
    status: "unexpected",
    valid: false,
    details: "indeterminate: the provider gave an unexpected answer",
  },
  [ProbeOutcome.UNPROBED]: { status: "unprobed", valid: false, details: "not checked" },
} as const satisfies Record<(typeof ProbeOutcome)[keyof typeof ProbeOutcome], Outcome>;

/** Neo's `ValidationResult`. An outcome that a newer vault invented counts as one nobody described. */
export function validationTo(probe: ProbeResult | undefined) {
  const outcomes: Readonly<Record<number, Outcome>> = OUTCOMES;
  const { outcome, message, retryable } = probe ?? UNPROBED;
  const { status, valid, details } = outcomes[outcome] ?? OUTCOMES[ProbeOutcome.UNEXPECTED];
  if (!valid) return { valid, error: message || details, details, status, retryable };
  // A limited key is valid, and its sentence a warning.
  const warning = status === "valid_limited" && message !== "" ? { details: message } : {};
  return { valid, ...warning, status, retryable };
}

const UNPROBED = { outcome: ProbeOutcome.UNPROBED, message: "", retryable: false } as const;
