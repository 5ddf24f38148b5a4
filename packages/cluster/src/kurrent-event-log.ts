import {
  type Appended,
  type CancelSignal,
  Corrupted,
  EventIdReused,
  type EventLog,
  type ExpectedRevision,
  isUuid,
  type NewEvent,
  OutcomeUnknown,
  type Position,
  type RecordedEvent,
  type Revision,
  StoreUnavailable,
  type Uuid,
  WrongExpectedRevision,
} from "@keyledger/core";
import {
  ANY,
  type AppendStreamState,
  END,
  NO_STREAM,
  STREAM_EXISTS,
  streamNameFilter,
} from "@kurrent/kurrentdb-client";
import { AnsweredAppends } from "./kurrent-answered.ts";
import { APPEND_DEADLINE_MS, appendOnce } from "./kurrent-append.ts";
import { KurrentConnection, type KurrentConnectionOptions } from "./kurrent-client.ts";
import { claimDeployment } from "./kurrent-deployment.ts";
import { KurrentEcho } from "./kurrent-echo.ts";
import { decodeEvent, encodeEvent } from "./kurrent-event.ts";
import { assertLimit, KurrentFeed } from "./kurrent-feed.ts";
import { type KurrentNames, namesIn } from "./kurrent-names.ts";
import { CLUSTER_CHANGES, type Positions, positionsOf } from "./kurrent-position.ts";
import { readStreamEnd, readStreamPart } from "./kurrent-read.ts";

export interface KurrentEventLogOptions extends KurrentConnectionOptions {
  /** Written into a log that has none; another one's must be the same. */
  readonly deploymentId: Uuid;
  /** Put before every stream's name, so that several deployments can share one engine; none unless given. */
  readonly namespace?: string;
  /** An append that is not answered for so long is `OutcomeUnknown`, in milliseconds; 3,000 unless given. */
  readonly appendDeadlineMs?: number;
}

/** Whether what was read up to a position is still the whole truth, as far as anybody can know. */
export interface Freshness {
  readonly isFresh: boolean;
  /** How long ago the log was last seen to hold nothing beyond it, in milliseconds; infinite where it never was. */
  readonly ageMs: number;
}

export interface KurrentEventLog extends EventLog, AsyncDisposable {
  /**
   * A reader that is not fresh may have missed something for longer than it may: it is cut off, or far behind.
   * @param at what the reader has seen; everything unless given, which only says whether the log can be heard.
   */
  freshness(at?: Position): Freshness;
}

/** A reader that knows nothing newer for so long must not answer from what it knows, in milliseconds. */
export const FRESHNESS_LEASE_MS = 5_000;

/**
 * The event log in KurrentDB, in the streams of the categories `keyring` and `caller`. Acknowledged means what the
 * engine means by it: on the disk of the leader and of a majority.
 * @throws {RangeError} the connection string is not taken.
 * @throws {StoreUnavailable} the engine cannot be reached, or holds another deployment.
 */
export async function openKurrentEventLog(
  options: KurrentEventLogOptions,
): Promise<KurrentEventLog> {
  const names = namesIn(options.namespace);
  const connection = new KurrentConnection(options);
  const log = new EventLogOnKurrent(connection, names, options);
  try {
    await claimDeployment(connection, names, options.deploymentId);
    await log.begin();
    return log;
  } catch (error) {
    await log[Symbol.asyncDispose]();
    throw error;
  }
}

/** Long enough for every owner id. */
const STREAM_CHARS_MAX = 255;
const EVENTS_MAX = 64;
/** Four times the largest request. */
const DATA_CHARS_MAX = 1_048_576;

class EventLogOnKurrent implements KurrentEventLog {
  readonly name = "changes";
  readonly zero: Position;
  readonly #connection: KurrentConnection;
  readonly #names: KurrentNames;
  readonly #positions: Positions;
  readonly #feed: KurrentFeed<"changes">;
  readonly #deadlineMs: number;
  readonly #answered = new AnsweredAppends();
  readonly #echo: KurrentEcho;
  readonly #appending = new Set<Promise<Appended>>();
  #release: (() => void) | undefined;

  constructor(
    connection: KurrentConnection,
    names: KurrentNames,
    {
      deploymentId,
      observe = () => {},
      appendDeadlineMs = APPEND_DEADLINE_MS,
    }: KurrentEventLogOptions,
  ) {
    this.#connection = connection;
    this.#names = names;
    this.#positions = positionsOf(CLUSTER_CHANGES, deploymentId);
    this.zero = this.#positions.zero;
    this.#deadlineMs = appendDeadlineMs;
    const prefixes = ["keyring-", "caller-"].map(names.toEngine);
    this.#feed = new KurrentFeed({
      name: this.name,
      connection,
      positions: this.#positions,
      names,
      prefixes,
      observe,
    });
    const filter = streamNameFilter({ prefixes });
    this.#echo = new KurrentEcho(
      connection.host,
      () => connection.subscriptions.current.subscribeToAll({ fromPosition: END, filter }),
      (resolved) => decodeEvent(resolved, this.#positions, names),
    );
  }

  /** What stands there already was not appended by this process. */
  async begin(): Promise<void> {
    const { tail } = this.#feed;
    await tail.probe();
    this.#release = tail.use();
    this.#echo.begin();
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    { signal }: { signal?: CancelSignal } = {},
  ): Promise<Appended> {
    assertBounds(stream, events);
    this.#feed.assertOpen();
    if (new Set(events.map(({ id }) => id)).size < events.length) throw new EventIdReused(stream);
    const appending = this.#append(stream, expected, events, signal);
    this.#appending.add(appending);
    try {
      return await appending;
    } finally {
      this.#appending.delete(appending);
    }
  }

  async #append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    signal: CancelSignal | undefined,
  ): Promise<Appended> {
    const encoded = events.map(encodeEvent);
    const { end: known } = this.#feed.tail;
    const acknowledged = await appendOnce(
      this.#connection,
      {
        name: this.#names.toEngine(stream),
        expected: stateOf(expected),
        events: encoded,
        deadlineMs: this.#deadlineMs,
      },
      signal,
    );
    if (acknowledged === "conflict") return this.#explain(stream, expected, events);
    const { revision } = acknowledged;
    const position = acknowledged.position && this.#positions.encode(acknowledged.position);
    // It stood there before it was sent.
    if (position !== undefined && position <= known) {
      return { outcome: "already", revision, position };
    }
    try {
      return await this.#confirm(stream, revision, events);
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      throw new OutcomeUnknown("an append was acknowledged, but could not be read back", {
        cause: error,
      });
    }
  }

  async readStream(
    stream: string,
    { from, limit }: { from: Revision; limit: number },
  ): Promise<readonly RecordedEvent[]> {
    assertLimit(limit);
    this.#feed.assertOpen();
    return this.#read(stream, from, limit);
  }

  head = () => this.#feed.head();
  check = (token: string) => this.#feed.check(token);
  read = (options: { after: Position; limit: number }) => this.#feed.read(options);
  follow = (options: { after: Position; signal: CancelSignal; pageSize?: number }) =>
    this.#feed.follow(options);

  freshness(at?: Position): Freshness {
    const { tail } = this.#feed;
    const ageMs = tail.ageMs(at ?? tail.newest);
    return { isFresh: ageMs <= FRESHNESS_LEASE_MS, ageMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#feed.close();
    this.#release?.();
    // Each has a deadline of its own.
    await Promise.allSettled(this.#appending);
    await this.#echo.end();
    await this.#connection[Symbol.asyncDispose]();
  }

  /**
   * The engine acknowledges a repeated append like a new one, and it looks at nothing but ids, which another process that
   * was sent the same request makes too. So it is looked at what stands there.
   */
  async #confirm(
    stream: string,
    revision: Revision,
    events: readonly NewEvent[],
  ): Promise<Appended> {
    const first = revision - events.length + 1;
    const stored =
      (await this.#echo.span(stream, first, revision)) ??
      (await this.#read(stream, first, events.length));
    const last = stored.at(-1);
    if (last?.revision !== revision || !haveIds(stored, events)) {
      throw new Corrupted(`stream ${stream} does not hold what was acknowledged at ${revision}`);
    }
    const { position } = last;
    this.#feed.tail.seen(position);
    const isOurs = events.every((event, nth) => isSame(event, stored[nth]));
    // Sent twice at once, it was appended once.
    const outcome = isOurs && this.#answered.add(position) ? "appended" : "already";
    return { outcome, revision, position };
  }

  /**
   * Why the engine refused: the events stand there already, an id stands in the way, or somebody else was first. The
   * revision it names is not relied on: servers of different ages name it in different fields.
   */
  async #explain(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
  ): Promise<Appended> {
    const first = typeof expected === "number" ? expected + 1 : 0;
    const stored = await this.#read(stream, first, events.length);
    const last = stored.at(-1);
    if (last && stored.length === events.length && haveIds(stored, events)) {
      return { outcome: "already", revision: last.revision, position: last.position };
    }
    const ids = new Set(events.map(({ id }) => id));
    if (stored.some(({ id }) => ids.has(id))) throw new EventIdReused(stream);
    const tip = await readStreamEnd(this.#connection, this.#names.toEngine(stream));
    const actual = typeof tip === "string" || !tip.event ? "none" : Number(tip.event.revision);
    throw new WrongExpectedRevision(stream, expected, actual);
  }

  async #read(stream: string, from: Revision, limit: number): Promise<readonly RecordedEvent[]> {
    const name = this.#names.toEngine(stream);
    const found = await readStreamPart(this.#connection, name, { from, limit });
    return found
      .map((each) => decodeEvent(each, this.#positions, this.#names))
      .filter((event) => event !== undefined);
  }
}

function stateOf(expected: ExpectedRevision): AppendStreamState {
  switch (expected) {
    case "none":
      return NO_STREAM;
    case "exists":
      return STREAM_EXISTS;
    case "any":
      return ANY;
    default:
      return BigInt(expected);
  }
}

const haveIds = (stored: readonly RecordedEvent[], events: readonly NewEvent[]): boolean =>
  events.every(({ id }, nth) => stored[nth]?.id === id);

function isSame(event: NewEvent, stored: RecordedEvent | undefined): boolean {
  if (!stored || event.type !== stored.type || event.data !== stored.data) return false;
  const names = Object.keys(event.metadata);
  return (
    names.length === Object.keys(stored.metadata).length &&
    names.every((name) => event.metadata[name] === stored.metadata[name])
  );
}

function assertBounds(stream: string, events: readonly NewEvent[]): void {
  if (stream.length === 0 || stream.length > STREAM_CHARS_MAX || stream.startsWith("$")) {
    throw new RangeError(
      `a stream's name has 1 to ${STREAM_CHARS_MAX} characters and does not begin with $`,
    );
  }
  if (events.length === 0 || events.length > EVENTS_MAX) {
    throw new RangeError(`an append has 1 to ${EVENTS_MAX} events, not ${events.length}`);
  }
  for (const { id, data } of events) {
    if (!isUuid(id)) throw new RangeError("an event id is a lower-case UUID");
    if (data.length > DATA_CHARS_MAX) {
      throw new RangeError(
        `an event's data has ${data.length} characters, the most is ${DATA_CHARS_MAX}`,
      );
    }
  }
}
