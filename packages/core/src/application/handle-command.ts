import type { KeyringCommand } from "../domain/commands.ts";
import { type Decision, decide } from "../domain/decider.ts";
import type { KeyringEvent, LedgerEvent } from "../domain/events.ts";
import { evolve, findRequest, type Keyring } from "../domain/keyring.ts";
import type { Rejection } from "../domain/rejection.ts";
import type { KeyringView } from "../domain/views.ts";
import {
  type ExpectedEdit,
  keyringStream,
  type Owner,
  ownerName,
  type Position,
  type Stamp,
} from "../domain/vocabulary.ts";
import { type EventLog, WrongExpectedRevision } from "../ports/event-log.ts";
import { Cancelled, OutcomeUnknown } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import { type AppendAt, appendSurely, asHappened, pauseAfterLostRace, prepare } from "./append.ts";
import type { KeyringLoader } from "./load-keyring.ts";
import { createOwnerQueue } from "./owner-queue.ts";
import { uuidV5 } from "./uuid-v5.ts";

/** A command of an owner, and what is needed to decide it, again and again if races are lost. */
export interface CommandRequest {
  readonly owner: Owner;
  readonly stamp: Stamp;
  /** Keyed hash of the canonical request; empty for work of the system. */
  readonly requestMac: string;
  readonly expected: ExpectedEdit | undefined;
  readonly signal: CancelSignal;
  /** The command against the state as it is now. */
  readonly command: (keyring: KeyringView) => KeyringCommand | Rejection;
  /** Makes durable what the events will name, before they are appended. */
  readonly stage?: Staging;
  /** The events are appended, and this process cannot show them: the call fails, and this is its last chance to act. */
  readonly onUnsettled?: (events: readonly KeyringEvent[]) => void;
}

export interface Staging {
  /** Called with each decision that is to be appended; a repeat for the same names must change nothing. */
  put(events: readonly KeyringEvent[]): Promise<void>;
  /** Nothing that was put got named by an event, unless it is one of these. */
  drop(named: readonly KeyringEvent[]): Promise<void>;
}

export interface Accepted {
  /** What this request appended, now or when it was first made. */
  readonly events: readonly KeyringEvent[];
  /** The keyring right before those events. */
  readonly before: KeyringView;
  /** The keyring right after those events, or as it is where there were none. */
  readonly keyring: KeyringView;
  /** Of the stream's last event; the zero token where there is none. */
  readonly position: Position;
  /** This answers a repeat. */
  readonly isRepeat: boolean;
  /** The answer is this refusal all the same: what the events record is why. */
  readonly refusal?: Rejection;
}

export type Outcome = Accepted | { readonly rejected: Rejection };

export interface CommandHandler {
  handle(request: CommandRequest): Promise<Outcome>;
  /** The answer to a request that is known already, before anything costly is done for it. */
  known(
    request: Pick<CommandRequest, "owner" | "stamp" | "requestMac" | "signal">,
  ): Promise<Outcome | undefined>;
}

/** Load, known request, expected revision, decide, stage, append; again after a lost race, until the deadline. */
export function createCommandHandler({
  log,
  host,
  loader,
  settled,
}: {
  log: EventLog;
  host: Host;
  loader: KeyringLoader;
  /** Resolves when this process's own readers see the position. */
  settled: (position: Position, signal: CancelSignal) => Promise<void>;
}): CommandHandler {
  const queue = createOwnerQueue();

  async function answerKnown(
    keyring: Keyring,
    { owner, stamp, requestMac }: Pick<CommandRequest, "owner" | "stamp" | "requestMac">,
  ): Promise<Outcome | undefined> {
    if (requestMac === "") return undefined;
    const request = findRequest(keyring, stamp.actor, stamp.requestId);
    if (!request) return undefined;
    if (request.requestMac !== requestMac)
      return { rejected: { reason: "idempotency-key-reused" } };
    const { before, keyring: then, events } = await loader.asOf(owner, request.first, request.last);
    return { ...accepted(before, then, events), isRepeat: true };
  }

  const accepted = (
    before: Keyring,
    after: Keyring,
    events: readonly KeyringEvent[],
  ): Accepted => ({
    events,
    before: before.view,
    keyring: after.view,
    position: after.view.position ?? log.zero,
    isRepeat: false,
  });

  async function attempt(request: CommandRequest): Promise<Outcome | "lost-race"> {
    const { owner, stamp, requestMac, expected, signal } = request;
    const keyring = await loader.load(owner);
    const known = await answerKnown(keyring, request);
    if (known) return known;
    if (expected !== undefined && expected !== (keyring.view.editRevision ?? "none")) {
      return { rejected: { reason: "revision-mismatch" } };
    }
    const command = request.command(keyring.view);
    const decision: Decision =
      "reason" in command ? { rejected: command } : decide(command, keyring.view);
    if ("rejected" in decision) return decision;
    const { accepted: events, refusal } = decision;
    const refused = refusal && { refusal };
    if (events.length === 0) return { ...accepted(keyring, keyring, []), ...refused };

    await request.stage?.put(events);
    if (signal.aborted) throw new Cancelled();
    const at: AppendAt = {
      stream: keyringStream(owner),
      revision: keyring.view.revision,
      lastHash: keyring.lastHash,
      scope: ownerName(owner),
      owner: ownerName(owner),
      stamp,
      requestMac,
      idOf: (event) => evidenceId(host, event),
    };
    const stored = prepare(host, at, events);
    try {
      const appended = await appendSurely({ log, host }, at, stored, signal);
      const after = asHappened(at, events, stored, appended).reduce(evolve, keyring);
      loader.keep(after);
      return { ...accepted(keyring, after, events), ...refused };
    } catch (error) {
      loader.forget(owner);
      if (error instanceof WrongExpectedRevision) return "lost-race";
      throw error;
    }
  }

  async function untilDecided(request: CommandRequest): Promise<Outcome> {
    for (;;) {
      const outcome = await attempt(request);
      if (outcome !== "lost-race") return outcome;
      await pauseAfterLostRace(host, request.signal);
      if (request.signal.aborted) return { rejected: { reason: "contention" } };
    }
  }

  return {
    async known(request) {
      const outcome = await answerKnown(await loader.load(request.owner), request);
      if (outcome && !("rejected" in outcome)) await settled(outcome.position, request.signal);
      return outcome;
    },

    async handle(request) {
      const outcome = await queue.run(ownerName(request.owner), async () => {
        if (request.signal.aborted) throw new Cancelled();
        const decided = await untilDecided(request);
        // What a known request, a refusal or a no-op left staged is named by nobody; unless the request is known because
        // an attempt of this very call landed that the log had reported lost.
        if ("rejected" in decided) await request.stage?.drop([]);
        else if (decided.isRepeat || decided.events.length === 0) {
          await request.stage?.drop(decided.events);
        }
        return decided;
      });
      // A no-op waits as well: it was decided on events that the readers may not have seen yet.
      if ("rejected" in outcome) return outcome;
      try {
        await settled(outcome.position, request.signal);
      } catch (error) {
        if (outcome.events.length === 0 || outcome.isRepeat) throw error;
        request.onUnsettled?.(outcome.events);
        throw new OutcomeUnknown("the write happened, and is not visible here yet", {
          cause: error,
        });
      }
      return outcome;
    },
  };
}

/** The evidence of a wipe takes its id from the secret version, so that it can only exist once. */
function evidenceId({ crypto }: Host, event: LedgerEvent): string | undefined {
  return event.type === "SecretShredded"
    ? uuidV5(crypto, ["shredded", event.secretVersion])
    : undefined;
}
