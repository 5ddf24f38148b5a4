import type { AllowList } from "./events.ts";
import { compareKeys, effectiveMode, type KeyringView, type KeyView } from "./views.ts";
import type { Instant, Uuid } from "./vocabulary.ts";

/** How the owner's mode and the platform's capacity combine. */
export type ResolvePolicy = "mode" | "own-keys-first";

/** In `skip`: the platform's own capacity was tried. */
export const PLATFORM = "platform";

export interface Question {
  readonly provider: string;
  readonly policy: ResolvePolicy;
  readonly gateOpen: boolean;
  readonly model: string | null;
  readonly userId: string | null;
  readonly callerKey: string | null;
  readonly workspaceId: string | null;
  /** Key ids already tried, or `platform`. */
  readonly skip: ReadonlySet<string>;
  readonly now: Instant;
}

export type Candidate =
  | { readonly source: "byok"; readonly key: KeyView }
  | { readonly source: "neo" };

export type RefusalReason =
  | "no-key"
  | "all-disabled"
  | "not-allowed"
  | "expired"
  | "quarantined"
  | "all-skipped";

export type Selection = { readonly platformFallbackAllowed: boolean } & (
  | {
      readonly chosen: Candidate;
      readonly reason: "MODE_NEO" | "GATE_OFF" | "FIRST_CANDIDATE" | "NEXT_CANDIDATE" | "PLATFORM";
      /** In order of trial. */
      readonly alternatives: readonly Candidate[];
    }
  | { readonly refused: RefusalReason }
);

/** Which key serves, or the platform, or why nobody: the whole table behind Resolve. */
export function select(keyring: KeyringView, question: Question): Selection {
  if (!question.gateOpen) return platform("GATE_OFF");
  if (question.policy === "mode" && effectiveMode(keyring, true) === "neo")
    return platform("MODE_NEO");

  const visible = [...keyring.keys.values()]
    .filter((key) => isVisible(key, question))
    .sort(compareKeys);
  const platformFallbackAllowed =
    question.policy === "own-keys-first" && !visible.some((key) => rulesPlatformOut(key, question));
  const usable = sieve(visible, question);

  const own = usable.keys.filter((key) => !key.fallback).map(ofKey);
  const fallback = usable.keys.filter((key) => key.fallback).map(ofKey);
  const middle: Candidate[] = platformFallbackAllowed ? [{ source: "neo" }] : [];
  const candidates = [...own, ...middle, ...fallback].filter(
    (candidate) => !question.skip.has(candidate.source === "neo" ? PLATFORM : candidate.key.keyId),
  );
  const [chosen, ...alternatives] = candidates;
  if (!chosen) return { refused: usable.emptied ?? "all-skipped", platformFallbackAllowed };
  const first = question.skip.size === 0 ? "FIRST_CANDIDATE" : "NEXT_CANDIDATE";
  const reason = chosen.source === "neo" ? "PLATFORM" : first;
  return { chosen, reason, alternatives, platformFallbackAllowed };
}

const platform = (reason: "MODE_NEO" | "GATE_OFF"): Selection => ({
  chosen: { source: "neo" },
  reason,
  alternatives: [],
  platformFallbackAllowed: true,
});

const ofKey = (key: KeyView): Candidate => ({ source: "byok", key });

const isVisible = (key: KeyView, { provider, workspaceId }: Question): boolean =>
  key.provider === provider && (key.workspaceId === null || key.workspaceId === workspaceId);

/** Owners demand this with an enabled key; whether that key can serve right now does not matter. */
const rulesPlatformOut = (key: KeyView, { model }: Question): boolean =>
  !key.disabled &&
  ((key.byokOnly && !key.fallback) ||
    (key.requiredForItsModels && admits(key.allowedModels, model)));

/** Keeps what can serve; where nothing is left, says what took the last ones. */
function sieve(
  visible: readonly KeyView[],
  question: Question,
): { readonly keys: readonly KeyView[]; readonly emptied?: RefusalReason } {
  if (visible.length === 0) return { keys: visible, emptied: "no-key" };
  const steps: readonly (readonly [RefusalReason, (key: KeyView) => boolean])[] = [
    ["all-disabled", (key) => !key.disabled],
    ["not-allowed", (key) => isAllowed(key, question)],
    ["expired", (key) => key.expiresAt === null || key.expiresAt > question.now],
    ["quarantined", (key) => key.health !== "quarantined"],
  ];
  let keys = visible;
  for (const [emptied, keeps] of steps) {
    keys = keys.filter(keeps);
    if (keys.length === 0) return { keys, emptied };
  }
  return { keys };
}

const isAllowed = (key: KeyView, { model, userId, callerKey }: Question): boolean =>
  admits(key.allowedModels, model) &&
  admits(key.allowedUsers, userId) &&
  admits(key.allowedCallerKeys, callerKey);

/** What the request leaves out never matches a restriction. */
const admits = (list: AllowList, value: string | null): boolean =>
  list === null || (value !== null && list.includes(value));

/** The key of a candidate, for records that name it. */
export const keyIdOf = (candidate: Candidate): Uuid | null =>
  candidate.source === "byok" ? candidate.key.keyId : null;
