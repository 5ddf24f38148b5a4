import type { LedgerEvent } from "../domain/events.ts";
import { chained } from "../domain/hash-chain.ts";
import type { Happened } from "../domain/keyring.ts";
import type { Stamp } from "../domain/vocabulary.ts";
import {
  type Appended,
  type EventLog,
  type NewEvent,
  WrongExpectedRevision,
} from "../ports/event-log.ts";
import { Fault, OutcomeUnknown } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import { encodeData } from "./event-codec.ts";
import { metadataOf } from "./metadata.ts";
import { uuidV5 } from "./uuid-v5.ts";

/** Everything about an append but its events. */
export interface AppendAt {
  readonly stream: string;
  /** Revision of the stream's last event; `null` = it has none. */
  readonly revision: number | null;
  readonly lastHash: string;
  /** What request ids are unique in: the owner of a keyring, the stream of a caller key. */
  readonly scope: string;
  /** Canonical name of the owner the events are about; `null` = none. */
  readonly owner: string | null;
  readonly stamp: Stamp;
  readonly requestMac: string;
  /** Ids that do not come from the request. */
  readonly idOf?: (event: LedgerEvent) => string | undefined;
}

/**
 * Turns decided events into stored ones: ids derived from scope, actor, request, expected revision and index, so that a
 * repeated attempt is the same append and a command decided again is another one; hashes chained to the stream's last.
 */
export function prepare(
  host: Host,
  at: AppendAt,
  events: readonly LedgerEvent[],
): readonly NewEvent[] {
  const { crypto } = host;
  const metadata = metadataOf(at.stamp, at);
  const expected = at.revision === null ? "none" : String(at.revision);
  let revision = (at.revision ?? -1) + 1;
  let prevHash = at.lastHash;
  return events.map((event, index) => {
    const { actor, requestId } = at.stamp;
    const id =
      at.idOf?.(event) ?? uuidV5(crypto, [at.scope, actor, requestId, expected, String(index)]);
    const unchained = { id, type: event.type, data: encodeData(event), metadata };
    const linked = chained(crypto, prevHash, { ...unchained, stream: at.stream, revision });
    prevHash = linked.hash;
    revision++;
    return { ...unchained, metadata: linked };
  });
}

/** Pauses between attempts whose outcome is unknown, in milliseconds; the call's signal ends the last one. */
const UNKNOWN_PAUSE_MS = 50;

/**
 * Appends, and repeats the very same append while its outcome is unknown: the log answers `already` if it was there.
 * @throws {WrongExpectedRevision} also where the ids stand there, but with what somebody else made of the same request.
 * @throws {OutcomeUnknown} still unknown when the signal aborted. Besides what the port throws.
 */
export async function appendSurely(
  { log, host }: { log: EventLog; host: Host },
  at: AppendAt,
  events: readonly NewEvent[],
  signal: CancelSignal,
): Promise<Appended> {
  const expected = at.revision ?? "none";
  // Once an attempt may have landed, no fault of a later one says that nothing was written.
  let mayStand = false;
  for (;;) {
    try {
      const appended = await log.append(at.stream, expected, events, { signal });
      if (appended.outcome === "appended") return appended;
      mayStand = true;
      if (await isOurs(log, at.stream, events, appended)) return appended;
      throw new WrongExpectedRevision(at.stream, expected, appended.revision);
    } catch (error) {
      mayStand ||= error instanceof OutcomeUnknown;
      if (!mayStand || !(error instanceof Fault)) throw error;
      if (signal.aborted || !error.retryable) {
        throw new OutcomeUnknown("it is not known whether the write happened", { cause: error });
      }
      await host.pause(UNKNOWN_PAUSE_MS, signal);
    }
  }
}

/** Ids come from the request, so another process that was sent it too makes the same ones. The hash tells. */
async function isOurs(
  log: EventLog,
  stream: string,
  events: readonly NewEvent[],
  { revision }: Appended,
): Promise<boolean> {
  const [last] = await log.readStream(stream, { from: revision, limit: 1 });
  return last !== undefined && last.metadata.hash === events.at(-1)?.metadata.hash;
}

/** Pause after a lost race: 1 to this many milliseconds, at random. */
const RACE_PAUSE_MS = 20;

/** Lets those who lost the same race come back at different times. */
export const pauseAfterLostRace = ({ pause, random }: Host, signal: CancelSignal): Promise<void> =>
  pause(1 + random.fraction() * RACE_PAUSE_MS, signal);

/** What happened, as the log now holds it. Only the last position is known; the log itself delivers the others. */
export function asHappened<E extends LedgerEvent>(
  { stamp, requestMac }: AppendAt,
  events: readonly E[],
  stored: readonly NewEvent[],
  { revision, position }: Appended,
): readonly Happened<E>[] {
  const first = revision - events.length + 1;
  const { time, actor, requestId } = stamp;
  return events.map((event, index) => ({
    event,
    revision: first + index,
    position,
    time,
    actor,
    requestId,
    requestMac,
    hash: stored[index]?.metadata.hash ?? "",
  }));
}
