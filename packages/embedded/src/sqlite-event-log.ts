import type { DatabaseSync } from "node:sqlite";
import {
  type Appended,
  type CancelSignal,
  type Clock,
  Corrupted,
  EventIdReused,
  type EventLog,
  type ExpectedRevision,
  type Followed,
  type Host,
  type Instant,
  isUuid,
  type NewEvent,
  type Page,
  type Position,
  type PositionCheck,
  type RecordedEvent,
  type Revision,
  type Uuid,
  WrongExpectedRevision,
} from "@keyledger/core";
import { claimDeployment, DEPLOYMENT_SCHEMA } from "./deployment.ts";
import { checksumOf, decodeRow, type EventRow, ROW_COLUMNS } from "./event-row.ts";
import { follow, Growth } from "./follow.ts";
import { createGroupCommit, type GroupCommit, type Settled } from "./group-commit.ts";
import { EMBEDDED_CHANGES, type Positions, positionsOf } from "./position.ts";
import { openSqlite, type Sqlite } from "./sqlite.ts";
import { uuidBytes } from "./uuid-bytes.ts";

export interface SqliteEventLogOptions {
  readonly file: string;
  /** Written into a new file; an old one must hold the same. */
  readonly deploymentId: Uuid;
  readonly host: Host;
}

/**
 * The event log in one SQLite file, with this process as its only writer. Each append is on the disk when it resolves;
 * all that wait together share one fsync. Whatever is read was checked against its checksum and its neighbours.
 * @throws {StoreUnavailable} the file cannot be opened, or belongs to another deployment.
 * @throws {Corrupted} the file is not what it should be.
 */
export function openSqliteEventLog(options: SqliteEventLogOptions): EventLog & AsyncDisposable {
  return new SqliteEventLog(options);
}

/** Long enough for every owner id. */
const STREAM_CHARS_MAX = 255;
const EVENTS_MAX = 64;
/** Four times the largest request. */
const DATA_CHARS_MAX = 1_048_576;
const LIMIT_MAX = 10_000;
/** Rows read in one go: some 3 ms, then other work gets its turn. */
const SLICE_ROWS = 500;
/** Streams whose head is kept in memory: a few MB. */
const HEADS_MAX = 10_000;

/** "KL" and one number for each kind of file. */
const APPLICATION_ID = 0x4b4c0001;

// AUTOINCREMENT, or SQLite would give the position of a lost last event to another one. A stream's last revision stands
// twice, beside its name and in the index: a damaged index that hides a stream's last events does not go unnoticed.
const SCHEMA = `
  ${DEPLOYMENT_SCHEMA}
  CREATE TABLE streams (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    revision INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE events (
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    stream_id INTEGER NOT NULL REFERENCES streams,
    revision INTEGER NOT NULL,
    event_id BLOB NOT NULL UNIQUE CHECK (length(event_id) = 16),
    type TEXT NOT NULL,
    data TEXT NOT NULL,
    metadata TEXT NOT NULL,
    recorded_at TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    UNIQUE (stream_id, revision)
  ) STRICT;
  CREATE TRIGGER events_never_changed BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
  CREATE TRIGGER events_never_removed BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
  CREATE TRIGGER streams_only_grow BEFORE UPDATE ON streams
    WHEN NEW.id <> OLD.id OR NEW.name <> OLD.name OR NEW.revision <= OLD.revision
    BEGIN SELECT RAISE(ABORT, 'streams only grow'); END;
  CREATE TRIGGER streams_never_removed BEFORE DELETE ON streams
    BEGIN SELECT RAISE(ABORT, 'streams only grow'); END;
`;

const SELECT_ROWS = `SELECT ${ROW_COLUMNS} FROM events e JOIN streams s ON s.id = e.stream_id`;

const statementsOf = (database: DatabaseSync) => ({
  findStream: database.prepare("SELECT id, revision FROM streams WHERE name = ?"),
  addStream: database.prepare("INSERT INTO streams (name, revision) VALUES (?, ?)"),
  growStream: database.prepare("UPDATE streams SET revision = ? WHERE id = ?"),
  lastRevision: database.prepare("SELECT max(revision) AS last FROM events WHERE stream_id = ?"),
  lastPosition: database.prepare("SELECT max(position) AS last FROM events"),
  lastGiven: database.prepare("SELECT seq FROM sqlite_sequence WHERE name = 'events'"),
  findEvent: database.prepare(
    "SELECT position, stream_id, revision FROM events WHERE event_id = ?",
  ),
  addEvent: database.prepare(
    `INSERT INTO events (stream_id, revision, event_id, type, data, metadata, recorded_at, checksum)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
  ),
  feedRows: database.prepare(
    `${SELECT_ROWS} WHERE e.position > ? ORDER BY e.position LIMIT ?`,
    AS_ARRAYS,
  ),
  streamRows: database.prepare(
    `${SELECT_ROWS} WHERE e.stream_id = ? AND e.revision >= ? ORDER BY e.revision LIMIT ?`,
    AS_ARRAYS,
  ),
});

type Statements = ReturnType<typeof statementsOf>;

/** Half again as fast as objects. */
const AS_ARRAYS = { returnArrays: true } as const;

interface Command {
  readonly stream: string;
  readonly expected: ExpectedRevision;
  readonly events: readonly NewEvent[];
}

/** A stream that has events. */
interface Head {
  readonly streamId: number;
  readonly revision: Revision;
}

interface Place extends Head {
  readonly position: number;
}

class SqliteEventLog implements EventLog, AsyncDisposable {
  readonly name = "changes";
  /** The directory's lock keeps every other process out. */
  readonly isSoleWriter = true;
  readonly zero: Position;
  readonly #file: string;
  readonly #clock: Clock;
  readonly #positions: Positions;
  readonly #sqlite: Sqlite<Statements>;
  readonly #queue: GroupCommit<Command, Appended>;
  readonly #growth = new Growth();
  /** Ends of streams; `undefined` = no such stream. Nobody else writes, so what stands here holds. */
  readonly #heads = new Map<string, Head | undefined>();
  #lastPosition: number | undefined;

  constructor({ file, deploymentId, host }: SqliteEventLogOptions) {
    this.#file = file;
    this.#clock = host.clock;
    this.#positions = positionsOf(EMBEDDED_CHANGES, deploymentId);
    this.zero = this.#positions.zero;
    this.#queue = createGroupCommit({ commit: (batch) => this.#commit(batch) });
    this.#sqlite = openSqlite({
      file,
      applicationId: APPLICATION_ID,
      migrations: [SCHEMA],
      synchronous: "FULL",
      prepare: (database) => {
        assertStreams(database, file);
        const statements = statementsOf(database);
        const isEmpty = lastPositionIn(file, statements) === 0;
        claimDeployment(database, { file, id: deploymentId, isEmpty });
        return statements;
      },
    });
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    { signal }: { signal?: CancelSignal } = {},
  ): Promise<Appended> {
    assertBounds(stream, events);
    return this.#queue.push({ stream, expected, events }, signal);
  }

  async readStream(
    stream: string,
    { from, limit }: { from: Revision; limit: number },
  ): Promise<readonly RecordedEvent[]> {
    assertLimit(limit);
    const head = this.#sqlite.read((statements) => this.#headOf(statements, stream));
    if (head === undefined) return [];
    const { streamId, revision } = head;
    return this.#slices(from, Math.min(from + limit, revision + 1), {
      rows: ({ streamRows }, first, count) => streamRows.all(streamId, first, count),
      place: (event) => event.revision,
      name: (first) => `the event of ${stream} at revision ${first}`,
    });
  }

  async head(): Promise<Position> {
    return this.#positions.encode(this.#headSequence());
  }

  async check(token: string): Promise<PositionCheck> {
    return this.#positions.check(token, this.#headSequence());
  }

  async read({ after, limit }: { after: Position; limit: number }): Promise<Page> {
    assertLimit(limit);
    const head = this.#headSequence();
    const start = this.#positions.sequenceOf(after, head);
    const end = Math.min(start + limit, head);
    const events = await this.#slices(start + 1, end + 1, {
      rows: ({ feedRows }, first, count) => feedRows.all(first - 1, count),
      place: ({ position }) => this.#positions.parse(position),
      name: (first) => `the event at position ${first}`,
    });
    return { events, next: this.#positions.encode(end), atEnd: end === head };
  }

  follow(options: {
    after: Position;
    signal: CancelSignal;
    pageSize?: number;
  }): AsyncIterable<Followed> {
    return follow({ growth: this.#growth, read: (page) => this.read(page) }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.close();
    this.#sqlite[Symbol.dispose]();
    this.#lastPosition = undefined;
    // Followers that wait for the next event learn that there will be none.
    this.#growth.announce();
  }

  #commit(batch: readonly Command[]): readonly Settled<Appended>[] {
    const recordedAt = this.#clock.now();
    try {
      const outcomes = this.#sqlite.write((statements) =>
        batch.map((command) => this.#settle(statements, command, recordedAt)),
      );
      this.#growth.announce();
      return outcomes;
    } catch (error) {
      this.#heads.clear();
      this.#lastPosition = undefined;
      throw error;
    }
  }

  #settle(statements: Statements, command: Command, recordedAt: Instant): Settled<Appended> {
    try {
      return { value: this.#apply(statements, command, recordedAt) };
    } catch (error) {
      const isItsOwn =
        error instanceof WrongExpectedRevision ||
        error instanceof EventIdReused ||
        error instanceof Corrupted;
      if (isItsOwn) return { fault: error };
      throw error;
    }
  }

  /** All that can be refused is refused before the first write, so that no savepoint is needed to undo one command. */
  #apply(statements: Statements, command: Command, recordedAt: Instant): Appended {
    const { stream, expected, events } = command;
    const head = this.#headOf(statements, stream);
    const places = events.map(({ id }) => placeOf(statements, id));
    const last = places.at(-1);
    if (last !== undefined && standThere(places, head, expected)) {
      return this.#appended("already", last.revision, last.position);
    }
    const twice = new Set(events.map(({ id }) => id)).size < events.length;
    if (twice || places.some((place) => place !== undefined)) {
      throw new EventIdReused(stream);
    }
    if (!meets(expected, head)) {
      throw new WrongExpectedRevision(stream, expected, head?.revision ?? "none");
    }
    return this.#write(statements, command, head, recordedAt);
  }

  #write(
    { addStream, growStream, addEvent }: Statements,
    { stream, events }: Command,
    head: Head | undefined,
    recordedAt: Instant,
  ): Appended {
    let revision = head?.revision ?? -1;
    const last = revision + events.length;
    const streamId = head?.streamId ?? Number(addStream.run(stream, last).lastInsertRowid);
    if (head !== undefined) growStream.run(last, streamId);
    let position = 0;
    for (const { id, type, data, metadata } of events) {
      revision++;
      const text = JSON.stringify(metadata);
      const checksum = checksumOf(stream, revision, { id, type, data, metadata: text });
      const row = [streamId, revision, uuidBytes(id), type, data, text, recordedAt, checksum];
      position = Number(addEvent.run(...row).lastInsertRowid);
    }
    this.#remember(stream, { streamId, revision });
    this.#lastPosition = position;
    return this.#appended("appended", revision, position);
  }

  #appended(outcome: Appended["outcome"], revision: Revision, position: number): Appended {
    return { outcome, revision, position: this.#positions.encode(position) };
  }

  #headSequence(): number {
    this.#lastPosition ??= this.#sqlite.read((statements) =>
      lastPositionIn(this.#file, statements),
    );
    return this.#lastPosition;
  }

  #headOf({ findStream, lastRevision }: Statements, stream: string): Head | undefined {
    if (this.#heads.has(stream)) {
      const known = this.#heads.get(stream);
      this.#remember(stream, known);
      return known;
    }
    const row = findStream.get(stream);
    if (row === undefined) {
      this.#remember(stream, undefined);
      return undefined;
    }
    const head = { streamId: Number(row.id), revision: Number(row.revision) };
    if (lastRevision.get(head.streamId)?.last !== head.revision) {
      throw new Corrupted(`${this.#file}: stream ${stream} has lost its last events`);
    }
    this.#remember(stream, head);
    return head;
  }

  /** The map's order is that of last use. */
  #remember(stream: string, head: Head | undefined): void {
    this.#heads.delete(stream);
    this.#heads.set(stream, head);
    if (this.#heads.size <= HEADS_MAX) return;
    for (const oldest of this.#heads.keys()) {
      this.#heads.delete(oldest);
      return;
    }
  }

  /** Events at the places from `first` to below `end`, which are known to exist. */
  async #slices(
    first: number,
    end: number,
    by: {
      rows(statements: Statements, first: number, count: number): readonly unknown[];
      place(event: RecordedEvent): number | undefined;
      name(place: number): string;
    },
  ): Promise<RecordedEvent[]> {
    const events: RecordedEvent[] = [];
    for (let at = first; at < end; at += SLICE_ROWS) {
      if (at > first) await new Promise(setImmediate);
      const count = Math.min(SLICE_ROWS, end - at);
      const rows = this.#sqlite.read((statements) => by.rows(statements, at, count));
      for (let nth = 0; nth < count; nth++) {
        const row = rows[nth] as EventRow | undefined;
        const event = row && decodeRow(row, this.#positions.encode);
        if (event === undefined || by.place(event) !== at + nth) {
          throw new Corrupted(`${this.#file}: ${by.name(at + nth)} is damaged`);
        }
        events.push(event);
      }
    }
    return events;
  }
}

function assertBounds(stream: string, events: readonly NewEvent[]): void {
  if (stream.length === 0 || stream.length > STREAM_CHARS_MAX) {
    throw new RangeError(`a stream's name has 1 to ${STREAM_CHARS_MAX} characters`);
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

function assertLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX) return;
  throw new RangeError(`a limit is 1 to ${LIMIT_MAX}, not ${limit}`);
}

function placeOf({ findEvent }: Statements, id: Uuid): Place | undefined {
  const row = findEvent.get(uuidBytes(id));
  return (
    row && {
      streamId: Number(row.stream_id),
      revision: Number(row.revision),
      position: Number(row.position),
    }
  );
}

/** Whether the events found are all of them, in this stream, in order, and where the caller expected to put them. */
function standThere(
  places: readonly (Place | undefined)[],
  head: Head | undefined,
  expected: ExpectedRevision,
): boolean {
  const first = typeof expected === "number" ? expected + 1 : 0;
  const start = expected === "any" || expected === "exists" ? (places[0]?.revision ?? 0) : first;
  return places.every(
    (place, nth) => place?.streamId === head?.streamId && place?.revision === start + nth,
  );
}

function meets(expected: ExpectedRevision, head: Head | undefined): boolean {
  switch (expected) {
    case "any":
      return true;
    case "none":
      return head === undefined;
    case "exists":
      return head !== undefined;
    default:
      return head?.revision === expected;
  }
}

/**
 * A name that no longer stands where it is looked for would make a stream look untouched. All else is checked when it is
 * read: events against their checksums, and that none is missing against positions and revisions.
 */
function assertStreams(database: DatabaseSync, file: string): void {
  const found = database.prepare("PRAGMA integrity_check(streams)").get();
  if (found?.integrity_check !== "ok") throw new Corrupted(`${file}: its streams are damaged`);
}

/** Positions are given once and never taken back: the last one given is that of the last event. */
function lastPositionIn(file: string, { lastPosition, lastGiven }: Statements): number {
  const last = Number(lastPosition.get()?.last ?? 0);
  if (last !== Number(lastGiven.get()?.seq ?? 0)) {
    throw new Corrupted(`${file}: its last events are missing`);
  }
  return last;
}
