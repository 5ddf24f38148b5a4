import { Cancelled, type CancelSignal, StoreUnavailable } from "@keyledger/core";
import {
  BACKWARDS,
  type Direction,
  END,
  FORWARDS,
  type KurrentDBClient,
  type ReadPosition,
  streamNameFilter,
} from "@kurrent/kurrentdb-client";
import type { KurrentConnection } from "./kurrent-client.ts";
import { meaningOf, unavailable } from "./kurrent-error.ts";
import type { Resolved } from "./kurrent-event.ts";
import { Backoff, within } from "./kurrent-wait.ts";

/** A read of one stream has failed when nothing came for so long, in milliseconds. */
const STREAM_IDLE_MS = 2_000;
/** Attempts of one read follow each other for so long. */
const RETRY_MS = 2_000;

/**
 * Events of one stream from a revision on, at most `limit`; a missing stream is empty.
 * @param name as the engine knows it
 * @throws {StoreUnavailable}
 * @throws {Cancelled}
 */
export async function readStreamPart(
  connection: KurrentConnection,
  name: string,
  { from, limit }: { from: number; limit: number },
  signal?: CancelSignal,
): Promise<readonly Resolved[]> {
  const open = (client: KurrentDBClient) =>
    client.readStream(name, {
      direction: FORWARDS,
      fromRevision: BigInt(from),
      maxCount: limit,
      ...leadersWord(connection),
    });
  const found = await readSurely(connection, open, STREAM_IDLE_MS, signal);
  return found === "missing" ? [] : found;
}

/**
 * Last event of a stream, or why there is none: it never had one, or all it had are retired.
 * @throws {StoreUnavailable}
 */
export async function readStreamEnd(
  connection: KurrentConnection,
  name: string,
): Promise<Resolved | "missing" | "retired"> {
  const open = (client: KurrentDBClient) =>
    client.readStream(name, {
      direction: BACKWARDS,
      fromRevision: END,
      maxCount: 1,
      ...leadersWord(connection),
    });
  const found = await readSurely(connection, open, STREAM_IDLE_MS);
  return found === "missing" ? found : (found[0] ?? "retired");
}

export interface AllRead {
  readonly direction: Direction;
  /** Inclusive forwards; backwards, what lies before it. */
  readonly from: ReadPosition;
  readonly limit: number;
  /** Beginnings of stream names as the engine knows them; every stream unless given. */
  readonly prefixes?: readonly string[];
  /** It has failed when nothing came for so long. A filter may have to pass over much before it finds something. */
  readonly idleMs: number;
}

/** Events of all streams. @throws {StoreUnavailable} */
export async function readAllPart(
  connection: KurrentConnection,
  { direction, from, limit, prefixes, idleMs }: AllRead,
): Promise<readonly Resolved[]> {
  const open = (client: KurrentDBClient) =>
    client.readAll({
      direction,
      fromPosition: from,
      maxCount: limit,
      ...(prefixes && { filter: streamNameFilter({ prefixes: [...prefixes] }) }),
      ...leadersWord(connection),
    });
  const found = await readSurely(connection, open, idleMs);
  return found === "missing" ? [] : found;
}

/** A follower may answer with what was the end a while ago. */
const leadersWord = ({ credentials }: KurrentConnection) => ({
  requiresLeader: true,
  ...(credentials && { credentials }),
});

/** Once its leader is lost, the client's native half answers `unavailable` for ever, so whenever it does it is replaced. */
async function readSurely(
  connection: KurrentConnection,
  open: (client: KurrentDBClient) => AsyncIterable<Resolved>,
  idleMs: number,
  signal?: CancelSignal,
): Promise<readonly Resolved[] | "missing"> {
  const { host, reads } = connection;
  const backoff = new Backoff(host, 50, 250);
  const giveUpAtMs = host.clock.monotonicMs() + RETRY_MS;
  for (;;) {
    if (signal?.aborted) throw new Cancelled();
    const client = reads.current;
    try {
      return await collect(connection, open(client), idleMs, signal);
    } catch (error) {
      if (error instanceof Cancelled) throw error;
      if (error instanceof Idle) {
        reads.renew(client, "a read was not answered in time");
        throw new StoreUnavailable("KurrentDB did not answer a read in time", { retryable: true });
      }
      const meaning = meaningOf(error);
      if (meaning === "missing") return meaning;
      if (meaning === "refused" || host.clock.monotonicMs() >= giveUpAtMs) {
        throw unavailable("reading", error);
      }
      reads.renew(client, "reads are unavailable");
    }
    await backoff.wait(signal);
  }
}

class Idle extends Error {}

async function collect(
  { host }: KurrentConnection,
  reading: AsyncIterable<Resolved>,
  idleMs: number,
  signal: CancelSignal | undefined,
): Promise<readonly Resolved[]> {
  const events: Resolved[] = [];
  let isGivenUp = false;
  const taking = (async () => {
    for await (const resolved of reading) {
      if (isGivenUp) return;
      events.push(resolved);
    }
  })();
  try {
    for (;;) {
      const before = events.length;
      const outcome = await within(host, idleMs, taking, signal);
      if (typeof outcome === "object") return events;
      if (outcome === "aborted") throw new Cancelled();
      if (events.length === before) throw new Idle();
    }
  } finally {
    isGivenUp = true;
  }
}
