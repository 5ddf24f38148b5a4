import type { DatabaseSync } from "node:sqlite";
import { RecentIds } from "./recent-ids.ts";
import { openDatabase, type Statements, TOMBSTONE_REVISION } from "./schema.ts";
import {
  isSoftDeleted,
  metaStreamOf,
  parseStreamMetadata,
  SOFT_DELETE_METADATA,
  type StreamMetadata,
  truncateBeforeJson,
} from "./stream-metadata.ts";

export interface ProposedEvent {
  /** Lower-case UUID. */
  readonly id: string;
  readonly type: string;
  readonly contentType: string;
  readonly metadata: Uint8Array;
  readonly data: Uint8Array;
}

export interface StoredEvent extends ProposedEvent {
  /** Commit and prepare position are the same, as they are on servers that write no transactions. */
  readonly position: bigint;
  readonly stream: string;
  readonly revision: bigint;
  readonly createdMs: number;
}

export type Expected = "any" | "none" | "exists" | bigint;

export type Written =
  | {
      readonly kind: "appended" | "idempotent";
      readonly revision: bigint;
      /** Of the last event; missing where an idempotent one can no longer be read. */
      readonly position: bigint | undefined;
    }
  | { readonly kind: "wrong-version"; readonly current: bigint | undefined }
  | { readonly kind: "deleted" };

export type StreamRead =
  | {
      readonly kind: "events";
      readonly events: readonly StoredEvent[];
      readonly first: bigint;
      readonly last: bigint;
    }
  | { readonly kind: "missing" }
  | { readonly kind: "deleted" };

export type Direction = "forwards" | "backwards";

export interface StoreOptions {
  /** A SQLite file; in memory unless given. */
  readonly file?: string;
  /** Ids the server remembers, 100,000 unless given. */
  readonly recentIdsMax?: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** The log behind all nodes of the stand-in, with the rules the server has for appends, deletes and metadata. */
export class KurrentStore implements Disposable {
  readonly #database: DatabaseSync;
  readonly #statements: Statements;
  readonly #recent: RecentIds;
  readonly #now: () => number;
  readonly #listeners = new Set<() => void>();
  #lastPosition: bigint;

  constructor({ file = ":memory:", recentIdsMax = 100_000, now }: StoreOptions) {
    const { database, statements } = openDatabase(file);
    this.#database = database;
    this.#statements = statements;
    this.#recent = new RecentIds(recentIdsMax);
    this.#now = now;
    const last = statements.lastPosition.get()?.last;
    this.#lastPosition = typeof last === "bigint" ? last : 0n;
    if (this.#lastPosition === 0n) this.#writeSystemEvents();
  }

  /** Position of the last event of all. */
  get lastPosition(): bigint {
    return this.#lastPosition;
  }

  /** @returns a function that ends it. */
  onGrowth(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  append(stream: string, expected: Expected, events: readonly ProposedEvent[]): Written {
    const current = this.#lastRevision(stream);
    if (current === TOMBSTONE_REVISION) return { kind: "deleted" };
    const softDeleted = isSoftDeleted(this.#metadataOf(stream));
    if (expected === "exists") {
      if (softDeleted) return { kind: "deleted" };
      // A stream that has nothing but metadata counts as existing.
      if (current < 0n && this.#lastRevision(metaStreamOf(stream)) < 0n) {
        return { kind: "wrong-version", current: undefined };
      }
    }
    const verdict =
      expected === "any" || expected === "exists"
        ? this.#checkWeakly(stream, events)
        : this.#checkStrongly(stream, expected, current, softDeleted, events);
    if (verdict === "append") return this.#write(stream, current, events, softDeleted);
    if (verdict === "refuse") {
      return { kind: "wrong-version", current: current < 0n ? undefined : current };
    }
    const at = this.#eventAt(stream, verdict.last);
    return { kind: "idempotent", revision: verdict.last, position: at?.position };
  }

  /** Soft: the stream reads as missing, can be written again, and its revisions go on. */
  delete(stream: string, expected: Expected): Written {
    const refusal = this.#checkDelete(stream, expected);
    if (refusal) return refusal;
    const meta = metaStreamOf(stream);
    if (this.#lastRevision(stream) < 0n && this.#lastRevision(meta) < 0n) {
      return { kind: "wrong-version", current: undefined };
    }
    return this.#writeMetadata(stream, SOFT_DELETE_METADATA);
  }

  /** For ever: nothing can be read or written again. */
  tombstone(stream: string, expected: Expected): Written {
    const refusal = this.#checkDelete(stream, expected);
    if (refusal) return refusal;
    return this.#write(stream, TOMBSTONE_REVISION - 1n, [systemEvent("$streamDeleted")], false);
  }

  /** @param from inclusive; `start` and `end` are the first and the last that can be read. */
  readStream(
    stream: string,
    from: bigint | "start" | "end",
    direction: Direction,
    limit: number,
  ): StreamRead {
    const last = this.#lastRevision(stream);
    if (last === TOMBSTONE_REVISION) return { kind: "deleted" };
    const metadata = this.#metadataOf(stream);
    if (last < 0n || isSoftDeleted(metadata)) return { kind: "missing" };
    const first = firstVisible(metadata, last);
    const oldest = this.#now() - (metadata.maxAgeSeconds ?? Number.POSITIVE_INFINITY) * 1_000;
    const isVisible = ({ revision, createdMs }: StoredEvent) =>
      revision >= first && createdMs >= oldest;
    const { streamForwards, streamBackwards } = this.#statements;
    const start = from === "start" ? 0n : from === "end" ? last : from;
    const rows =
      direction === "forwards"
        ? streamForwards.iterate(stream, start > first ? start : first)
        : streamBackwards.iterate(stream, start < last ? start : last);
    const events: StoredEvent[] = [];
    for (const row of rows) {
      const event = eventOf(row);
      if (isVisible(event)) events.push(event);
      if (events.length === limit) break;
    }
    return { kind: "events", events, first, last };
  }

  /** @param from inclusive forwards; backwards, what lies before it. */
  readAll(from: bigint | "start" | "end", direction: Direction, limit: number): StoredEvent[] {
    const { allForwards, allBackwards } = this.#statements;
    const beyond = this.#lastPosition + 1n;
    const start = from === "start" ? 0n : from === "end" ? beyond : from;
    const statement = direction === "forwards" ? allForwards : allBackwards;
    return statement.all(start, limit).map(eventOf);
  }

  /** What a server writes by itself, now and then: never of interest, and in everybody's way. */
  writeStatistics(): void {
    const stream = "$stats-127.0.0.1:2113";
    this.#write(stream, this.#lastRevision(stream), [systemEvent("$statsCollected")], false);
  }

  /** What a server that starts again does not know any more. */
  forgetRecentIds(): void {
    this.#recent.clear();
  }

  [Symbol.dispose](): void {
    this.#listeners.clear();
    this.#database.close();
  }

  /** The caller does not say where the ids must stand: only recent commits are looked at. */
  #checkWeakly(stream: string, events: readonly ProposedEvent[]): Verdict {
    const places = events.map(({ id }) => this.#recent.find(id, stream));
    const unknown = places.indexOf(undefined);
    if (unknown === 0 || events.length === 0) return "append";
    return unknown > 0 ? "refuse" : { last: places.at(-1) ?? -1n };
  }

  /**
   * The caller says where: behind the expected revision must stand exactly these ids. **At** it nothing stands yet, and
   * the ids are not looked at: what was written elsewhere is written again.
   */
  #checkStrongly(
    stream: string,
    expected: "none" | bigint,
    current: bigint,
    softDeleted: boolean,
    events: readonly ProposedEvent[],
  ): Verdict {
    const behind = expected === "none" ? -1n : expected;
    if (behind > current) return "refuse";
    if (behind === current) return "append";
    let revision = behind;
    for (const [nth, { id }] of events.entries()) {
      revision++;
      if (this.#eventAt(stream, revision)?.id === id) continue;
      return nth === 0 && expected === "none" && softDeleted ? "append" : "refuse";
    }
    return { last: revision };
  }

  #checkDelete(stream: string, expected: Expected): Written | undefined {
    const current = this.#lastRevision(stream);
    if (current === TOMBSTONE_REVISION) return { kind: "deleted" };
    if (expected === "any") return undefined;
    const meets =
      expected === "exists" ? current >= 0n : current === (expected === "none" ? -1n : expected);
    return meets
      ? undefined
      : { kind: "wrong-version", current: current < 0n ? undefined : current };
  }

  #write(
    stream: string,
    current: bigint,
    events: readonly ProposedEvent[],
    softDeleted: boolean,
  ): Written {
    const { addEvent, setLastRevision } = this.#statements;
    const createdMs = this.#now();
    let revision = current;
    let position = this.#lastPosition;
    this.#database.exec("BEGIN");
    try {
      for (const { id, type, contentType, metadata, data } of events) {
        revision++;
        position = nextPosition(position, metadata.byteLength + data.byteLength);
        addEvent.run(position, stream, revision, id, type, contentType, createdMs, metadata, data);
      }
      setLastRevision.run(stream, revision);
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
    this.#lastPosition = position;
    let at = current;
    for (const { id } of events) this.#recent.put(id, stream, ++at);
    if (softDeleted) this.#writeMetadata(stream, truncateBeforeJson(current + 1n));
    for (const listener of this.#listeners) listener();
    return { kind: "appended", revision, position };
  }

  #writeMetadata(stream: string, data: Uint8Array): Written {
    const meta = metaStreamOf(stream);
    return this.#write(meta, this.#lastRevision(meta), [systemEvent("$metadata", data)], false);
  }

  #writeSystemEvents(): void {
    this.#write("$users", -1n, [systemEvent("$User"), systemEvent("$User")], false);
    this.#write("$user-admin", -1n, [systemEvent("$UserCreated")], false);
    this.#writeMetadata("$user-admin", new TextEncoder().encode('{"$acl":{"$r":"$admins"}}'));
    this.writeStatistics();
  }

  #lastRevision(stream: string): bigint {
    const last = this.#statements.lastRevision.get(stream)?.last;
    return typeof last === "bigint" ? last : -1n;
  }

  #metadataOf(stream: string): StreamMetadata {
    const meta = metaStreamOf(stream);
    const last = this.#eventAt(meta, this.#lastRevision(meta));
    return last ? parseStreamMetadata(last.data) : {};
  }

  #eventAt(stream: string, revision: bigint): StoredEvent | undefined {
    const row = this.#statements.eventAt.get(stream, revision);
    return row && eventOf(row);
  }
}

/** Append it, refuse it as a wrong version, or answer what stands there already. */
type Verdict = "append" | "refuse" | { readonly last: bigint };

/** Gaps as in a log of records of different sizes, on even addresses. */
const nextPosition = (last: bigint, bytes: number): bigint =>
  last + 96n + BigInt(Math.ceil(bytes / 8) * 8);

function firstVisible({ maxCount, truncateBefore = 0n }: StreamMetadata, last: bigint): bigint {
  const counted = maxCount === undefined ? 0n : last + 1n - maxCount;
  return counted > truncateBefore ? counted : truncateBefore;
}

const systemEvent = (
  type: string,
  data: Uint8Array = new TextEncoder().encode("{}"),
): ProposedEvent => ({
  id: crypto.randomUUID(),
  type,
  contentType: "application/json",
  metadata: new Uint8Array(0),
  data,
});

function eventOf(row: Record<string, unknown>): StoredEvent {
  const { position, stream, revision, id, type, content_type, created_ms, metadata, data } = row;
  if (typeof position !== "bigint" || typeof revision !== "bigint") throw new TypeError("no event");
  if (!(metadata instanceof Uint8Array) || !(data instanceof Uint8Array)) {
    throw new TypeError("no event");
  }
  return {
    position,
    revision,
    stream: String(stream),
    id: String(id),
    type: String(type),
    contentType: String(content_type),
    createdMs: Number(created_ms),
    metadata,
    data,
  };
}
