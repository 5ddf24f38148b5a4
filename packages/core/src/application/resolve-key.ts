import type { AccessEvent } from "../domain/events.ts";
import type { Rejection } from "../domain/rejection.ts";
import type { Secret } from "../domain/secret.ts";
import {
  type Candidate,
  keyIdOf,
  type ResolvePolicy,
  type Selection,
  select,
} from "../domain/selection.ts";
import { emptyKeyringView, type KeyringView, type KeyView } from "../domain/views.ts";
import {
  type Owner,
  ownerName,
  type Position,
  type Stamp,
  secondsBetween,
} from "../domain/vocabulary.ts";
import { Cancelled } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import type { ReadModels } from "../ports/read-models.ts";
import type { Answer } from "./call.ts";
import type { MaterialOpener } from "./open-material.ts";
import type { AccessRecorder } from "./record-access.ts";

export interface ResolveQuestion {
  readonly owner: Owner;
  readonly provider: string;
  readonly policy: ResolvePolicy;
  readonly model: string | null;
  readonly userId: string | null;
  readonly callerKey: string | null;
  readonly workspaceId: string | null;
  readonly skip: ReadonlySet<string>;
  readonly purpose: string;
}

export interface Resolved {
  readonly source: "byok" | "neo";
  /** The caller wipes it once it is sent; `null` where the platform serves. */
  readonly material: Secret | null;
  readonly key: KeyView | null;
  readonly reason: string;
  readonly alternatives: readonly Candidate[];
  /** How long the answer may be used without asking again, in seconds. */
  readonly leaseSeconds: number;
  readonly platformFallbackAllowed: boolean;
}

/** A lease is short, since whoever holds one is not told of a deletion. */
const LEASE_SECONDS = 60;

/**
 * Decides who serves, records the access durably, then releases the material. The material is opened before the record
 * is written, so that the record says what really happened; it is wiped where the record fails.
 * @throws {AuditUnavailable} nothing was released.
 */
export function createResolveKey({
  models,
  opener,
  recorder,
  host,
  isGateOpen,
  zero,
}: {
  models: ReadModels;
  opener: Pick<MaterialOpener, "open">;
  recorder: Pick<AccessRecorder, "record">;
  host: Host;
  isGateOpen: (view: KeyringView) => boolean;
  /** Position answered for an owner without events. */
  zero: Position;
}): (question: ResolveQuestion, stamp: Stamp, signal: CancelSignal) => Promise<Answer<Resolved>> {
  const choose = (question: ResolveQuestion): { view: KeyringView; selection: Selection } => {
    const view = models.keyring(question.owner) ?? emptyKeyringView(question.owner);
    const selection = select(view, {
      ...question,
      gateOpen: isGateOpen(view),
      now: host.clock.now(),
    });
    return { view, selection };
  };

  const open = (
    owner: Owner,
    { keyId, secretVersion, provider }: KeyView,
  ): Promise<Secret | null> =>
    opener.open({ owner: ownerName(owner), keyId, secretVersion }, provider);

  return async (question, stamp, signal) => {
    let { view, selection } = choose(question);
    let material: Secret | null = null;
    if ("chosen" in selection && selection.chosen.source === "byok") {
      material = await open(question.owner, selection.chosen.key);
      if (!material) {
        // A rotation or deletion may have come between the view and the store: look again, once.
        ({ view, selection } = choose(question));
        if ("chosen" in selection && selection.chosen.source === "byok") {
          material = await open(question.owner, selection.chosen.key);
        }
      }
    }
    const leaseSeconds = leaseOf(selection, host);
    const rejection = rejectionOf(selection, material);
    try {
      if (signal.aborted) throw new Cancelled();
      await recorder
        .record(accessOf(question, stamp, view, selection, rejection, leaseSeconds), stamp)
        .catch((error: unknown) => {
          // A refusal releases nothing, so it stays a refusal even where it cannot be recorded.
          if (!rejection) throw error;
        });
    } catch (error) {
      material?.[Symbol.dispose]();
      throw error;
    }
    if (rejection || !("chosen" in selection)) {
      return { rejected: rejection ?? { reason: "no-key" } };
    }
    const { chosen, reason, alternatives, platformFallbackAllowed } = selection;
    return {
      source: chosen.source,
      material,
      key: chosen.source === "byok" ? chosen.key : null,
      reason,
      alternatives,
      leaseSeconds,
      platformFallbackAllowed,
      revision: view.editRevision,
      position: view.position ?? zero,
    };
  };
}

function rejectionOf(selection: Selection, material: Secret | null): Rejection | undefined {
  const { platformFallbackAllowed } = selection;
  if ("refused" in selection) return { reason: selection.refused, platformFallbackAllowed };
  if (selection.chosen.source === "byok" && !material) {
    return { reason: "undecryptable", platformFallbackAllowed };
  }
  return undefined;
}

/** The lease of a key ends with the key, which may be while it was opened. */
function leaseOf(selection: Selection, { clock }: Host): number {
  if (!("chosen" in selection) || selection.chosen.source === "neo") return LEASE_SECONDS;
  const { expiresAt } = selection.chosen.key;
  if (expiresAt === null) return LEASE_SECONDS;
  const left = secondsBetween(clock.now(), expiresAt);
  if (left < 0) return 0;
  return left < LEASE_SECONDS ? left : LEASE_SECONDS;
}

function accessOf(
  question: ResolveQuestion,
  stamp: Stamp,
  view: KeyringView,
  selection: Selection,
  rejection: Rejection | undefined,
  leaseSeconds: number,
): AccessEvent {
  const chosen = "chosen" in selection ? selection.chosen : undefined;
  const key = chosen?.source === "byok" ? chosen.key : undefined;
  return {
    type: rejection ? "AccessRefused" : "AccessGranted",
    owner: ownerName(question.owner),
    provider: question.provider,
    model: question.model,
    userId: question.userId,
    callerKey: question.callerKey,
    workspaceId: question.workspaceId,
    purpose: question.purpose,
    service: stamp.actor,
    source: rejection ? null : (chosen?.source ?? null),
    keyId: chosen ? keyIdOf(chosen) : null,
    secretVersion: key?.secretVersion ?? null,
    reason: rejection ? rejection.reason : "reason" in selection ? selection.reason : "",
    revisionSeen: view.editRevision,
    leaseSeconds: rejection ? null : leaseSeconds,
  };
}
