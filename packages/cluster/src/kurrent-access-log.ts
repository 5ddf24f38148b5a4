import {
  type AccessLog,
  type CancelSignal,
  CHAIN_START,
  Corrupted,
  chained,
  type Host,
  type Instant,
  type NewAccess,
  type NewEvent,
  OutcomeUnknown,
  type Position,
  type RecordedEvent,
  type Revision,
  StoreUnavailable,
  type Uuid,
} from "@keyledger/core";
import { BACKWARDS, END, NO_STREAM } from "@kurrent/kurrentdb-client";
import { APPEND_DEADLINE_MS, appendOnce, type KurrentAppend } from "./kurrent-append.ts";
import { Batches } from "./kurrent-batches.ts";
import { KurrentConnection, type KurrentConnectionOptions } from "./kurrent-client.ts";
import { KurrentEcho } from "./kurrent-echo.ts";
import { decodeEvent, encodeEvent, type Resolved } from "./kurrent-event.ts";
import { KurrentFeed } from "./kurrent-feed.ts";
import { type KurrentNames, namesIn } from "./kurrent-names.ts";
import { CLUSTER_ACCESS, type Positions, positionsOf } from "./kurrent-position.ts";
import { readAllPart, readStreamEnd, readStreamPart } from "./kurrent-read.ts";
import { retireBefore, setMaxAge } from "./kurrent-retention.ts";

export interface KurrentAccessLogOptions extends KurrentConnectionOptions {
  readonly deploymentId: Uuid;
  /** The single writer of the stream `access-<nodeId>`. The feed holds those of all nodes. */
  readonly nodeId: Uuid;
  /** Put before every stream's name, as in the event log. */
  readonly namespace?: string;
  /** Age at which the engine drops this node's records, in milliseconds; never unless given. */
  readonly retentionMs?: number;
  /** A batch that is not answered for so long is `OutcomeUnknown`, in milliseconds; 3,000 unless given. */
  readonly appendDeadlineMs?: number;
}

/**
 * The access log in KurrentDB: one append for all records that wait together, chained when it is written.
 * @throws {RangeError} the connection string is not taken.
 * @throws {StoreUnavailable} the engine cannot be reached.
 */
export async function openKurrentAccessLog(
  options: KurrentAccessLogOptions,
): Promise<AccessLog & AsyncDisposable> {
  const names = namesIn(options.namespace);
  const connection = new KurrentConnection(options);
  const log = new AccessLogOnKurrent(connection, names, options);
  try {
    await log.begin();
    return log;
  } catch (error) {
    await log[Symbol.asyncDispose]();
    throw error;
  }
}

/** An access record is some 500 characters. */
const DATA_CHARS_MAX = 65_536;
/** Somebody else wrote to this node's stream, or an append thought lost came late: it is looked again where it ends. */
const ATTEMPTS_MAX = 5;
/** The last record is searched among everything else that was written since. */
const SEARCH_IDLE_MS = 60_000;

/** Last record of the node's stream. */
interface Tip {
  /** -1 where there is none. */
  readonly revision: Revision;
  readonly hash: string;
}

interface Place {
  readonly revision: Revision;
  readonly position: Position;
}

class AccessLogOnKurrent implements AccessLog, AsyncDisposable {
  readonly name = "access";
  readonly zero: Position;
  readonly #connection: KurrentConnection;
  readonly #names: KurrentNames;
  readonly #stream: string;
  /** As the engine knows it. */
  readonly #streamName: string;
  readonly #host: Host;
  readonly #positions: Positions;
  readonly #feed: KurrentFeed<"access">;
  readonly #echo: KurrentEcho;
  readonly #batches: Batches<NewAccess, Place>;
  readonly #deadlineMs: number;
  readonly #retentionMs: number | undefined;
  /** `undefined` where it is not known what an earlier append left. */
  #tip: Tip | undefined;

  constructor(
    connection: KurrentConnection,
    names: KurrentNames,
    {
      deploymentId,
      nodeId,
      observe = () => {},
      appendDeadlineMs = APPEND_DEADLINE_MS,
      retentionMs,
    }: KurrentAccessLogOptions,
  ) {
    this.#connection = connection;
    this.#names = names;
    this.#stream = `access-${nodeId}`;
    this.#streamName = names.toEngine(this.#stream);
    this.#host = connection.host;
    this.#positions = positionsOf(CLUSTER_ACCESS, deploymentId);
    this.zero = this.#positions.zero;
    this.#deadlineMs = appendDeadlineMs;
    this.#retentionMs = retentionMs;
    this.#feed = new KurrentFeed({
      name: this.name,
      connection,
      positions: this.#positions,
      names,
      prefixes: [names.toEngine("access-")],
      observe,
    });
    this.#echo = new KurrentEcho(
      connection.host,
      () =>
        connection.subscriptions.current.subscribeToStream(this.#streamName, { fromRevision: END }),
      (resolved) => decodeEvent(resolved, this.#positions, names),
    );
    this.#batches = new Batches((batch) => this.#write(batch));
  }

  async begin(): Promise<void> {
    await setMaxAge(this.#connection, this.#streamName, this.#retentionMs);
    this.#tip = await this.#readTip();
    this.#echo.begin();
  }

  async append(record: NewAccess, { signal }: { signal?: CancelSignal } = {}): Promise<Place> {
    if (record.data.length > DATA_CHARS_MAX) {
      throw new RangeError(
        `a record's data has ${record.data.length} characters, the most is ${DATA_CHARS_MAX}`,
      );
    }
    // What cannot be written must fail its own caller only.
    encodeEvent(record);
    return this.#batches.push(record, signal);
  }

  /** Whole records from the beginning on; those by age the engine drops by itself where a retention is set. */
  async retire(olderThan: Instant): Promise<void> {
    this.#feed.assertOpen();
    await retireBefore(this.#connection, this.#streamName, (resolved) => {
      const record = decodeEvent(resolved, this.#positions, this.#names);
      return record === undefined || (record.metadata.time ?? "") < olderThan;
    });
  }

  head = () => this.#feed.head();
  check = (token: string) => this.#feed.check(token);
  read = (options: { after: Position; limit: number }) => this.#feed.read(options);
  follow = (options: { after: Position; signal: CancelSignal; pageSize?: number }) =>
    this.#feed.follow(options);

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#batches.close();
    this.#feed.close();
    await this.#echo.end();
    await this.#connection[Symbol.asyncDispose]();
  }

  /** One at a time: the queue waits for each batch before it gives the next. */
  async #write(batch: readonly NewAccess[]): Promise<readonly Place[]> {
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      this.#tip ??= await this.#readTip();
      const { revision: behind } = this.#tip;
      const events = this.#chain(batch, this.#tip);
      const tip = { revision: behind + batch.length, hash: events.at(-1)?.metadata.hash ?? "" };
      // Whatever comes of it, where the stream ends then has to be looked up.
      this.#tip = undefined;
      const acknowledged = await this.#append(behind, events);
      if (acknowledged === "conflict") continue;
      const stored = await this.#storedAt(behind + 1, tip.revision);
      if (stored.length !== batch.length || stored.some(({ id }, nth) => id !== batch[nth]?.id)) {
        throw new Corrupted(`stream ${this.#stream} does not hold what was acknowledged`);
      }
      this.#tip = tip;
      for (const { position } of stored) this.#feed.tail.seen(position);
      return stored.map(({ revision, position }) => ({ revision, position }));
    }
    throw new StoreUnavailable(`somebody else writes to ${this.#stream}`, { retryable: true });
  }

  /** Where it is not known what became of it, the same append again tells: the engine looks at the ids. */
  async #append(behind: Revision, events: readonly NewEvent[]) {
    const append: KurrentAppend = {
      name: this.#streamName,
      expected: behind < 0 ? NO_STREAM : BigInt(behind),
      events: events.map(encodeEvent),
      deadlineMs: this.#deadlineMs,
    };
    try {
      return await appendOnce(this.#connection, append);
    } catch (error) {
      if (!(error instanceof OutcomeUnknown)) throw error;
    }
    try {
      return await appendOnce(this.#connection, append);
    } catch (error) {
      throw new OutcomeUnknown("it is not known whether access records were written", {
        cause: error,
      });
    }
  }

  #chain(batch: readonly NewAccess[], { revision, hash }: Tip): readonly NewEvent[] {
    let prevHash = hash;
    return batch.map((record, nth) => {
      const place = { stream: this.#stream, revision: revision + 1 + nth };
      const metadata = chained(this.#host.crypto, prevHash, { ...record, ...place });
      prevHash = metadata.hash;
      return { ...record, metadata };
    });
  }

  /** Each record's place: the engine acknowledges that of the last one only. */
  async #storedAt(first: Revision, last: Revision): Promise<readonly RecordedEvent[]> {
    const echoed = await this.#echo.span(this.#stream, first, last);
    if (echoed) return echoed;
    try {
      const limit = last - first + 1;
      const read = await readStreamPart(this.#connection, this.#streamName, { from: first, limit });
      return read
        .map((resolved) => decodeEvent(resolved, this.#positions, this.#names))
        .filter((event) => event !== undefined);
    } catch (error) {
      throw new OutcomeUnknown("access records were acknowledged, but could not be read back", {
        cause: error,
      });
    }
  }

  /** Where the stream ends. Records that were retired count, and the chain goes on from the last of them. */
  async #readTip(): Promise<Tip> {
    let last = await readStreamEnd(this.#connection, this.#streamName);
    if (last === "retired") last = await this.#findRetired();
    if (last === "missing") return { revision: -1, hash: CHAIN_START };
    const record = decodeEvent(last, this.#positions, this.#names);
    const hash = record?.metadata.hash;
    if (!record || hash === undefined) {
      throw new Corrupted(`stream ${this.#stream} ends with a record without a hash`);
    }
    return { revision: record.revision, hash };
  }

  /** The engine keeps the last event of a stream in its log, though the stream does not show it. */
  async #findRetired(): Promise<Resolved | "missing"> {
    const [last] = await readAllPart(this.#connection, {
      direction: BACKWARDS,
      from: END,
      limit: 1,
      prefixes: [this.#streamName],
      idleMs: SEARCH_IDLE_MS,
    });
    if (last) return last;
    throw new Corrupted(`stream ${this.#stream} has lost its last record`);
  }
}
