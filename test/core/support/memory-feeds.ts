import {
  type AccessLog,
  type Appended,
  Cancelled,
  type CancelSignal,
  CHAIN_START,
  type Crypto,
  chained,
  EventIdReused,
  type EventLog,
  type ExpectedRevision,
  type Feed,
  type Followed,
  isUuid,
  type NewAccess,
  type NewEvent,
  type Page,
  type Position,
  type RecordedEvent,
  WrongExpectedRevision,
} from "@keyledger/core";

let opened = 0;

/** What every feed can do, over a list. */
class MemoryFeed<Name extends "changes" | "access"> implements Feed {
  readonly name: Name;
  readonly zero: Position;
  readonly events: RecordedEvent[] = [];
  /** Each feed is one of a deployment of its own. */
  readonly #prefix: string;
  #wake: (() => void)[] = [];

  constructor(name: Name) {
    this.name = name;
    opened++;
    this.#prefix = `${name === "changes" ? "0a" : "0b"}${opened.toString(16).padStart(8, "0")}`;
    this.zero = this.positionOf(0);
  }

  positionOf(count: number): Position {
    return `${this.#prefix}${count.toString(16).padStart(16, "0")}`;
  }

  #countAt(position: Position): number | undefined {
    const count = Number.parseInt(position.slice(-16), 16);
    return position === this.positionOf(count) ? count : undefined;
  }

  add(event: NewEvent, stream: string, revision: number): RecordedEvent {
    const position = this.positionOf(this.events.length + 1);
    const recorded = { ...event, stream, revision, position };
    this.events.push(recorded);
    for (const wake of this.#wake.splice(0)) wake();
    return recorded;
  }

  async head(): Promise<Position> {
    return this.positionOf(this.events.length);
  }

  async check(token: string) {
    const count = this.#countAt(token);
    if (count === undefined) return "foreign";
    return count > this.events.length ? "ahead" : "known";
  }

  async read({ after, limit }: { after: Position; limit: number }): Promise<Page> {
    assertLimit(limit);
    const from = this.#countAt(after);
    if (from === undefined || from > this.events.length) throw new RangeError("no such position");
    const events = this.events.slice(from, from + limit);
    const end = from + events.length;
    return { events, next: this.positionOf(end), atEnd: end === this.events.length };
  }

  async *follow(options: {
    after: Position;
    signal: CancelSignal;
    pageSize?: number;
  }): AsyncGenerator<Followed, void, undefined> {
    const { signal, pageSize = 500 } = options;
    let { after } = options;
    while (!signal.aborted) {
      const { events, next, atEnd } = await this.read({ after, limit: pageSize });
      after = next;
      if (signal.aborted) return;
      if (events.length > 0) yield { kind: "page", events, next };
      if (!atEnd) continue;
      if (signal.aborted) return;
      yield { kind: "caught-up", next };
      if (next !== this.positionOf(this.events.length)) continue;
      await new Promise<void>((resolve) => {
        if (signal.aborted) return resolve();
        this.#wake.push(resolve);
        signal.addEventListener("abort", resolve, { once: true });
      });
    }
  }
}

function assertLimit(limit: number): void {
  if (!Number.isInteger(limit) || limit < 1 || limit > 10_000) {
    throw new RangeError("a limit is 1 to 10,000");
  }
}

/** An event log in memory that keeps every promise of the port but durability. */
export class MemoryEventLog extends MemoryFeed<"changes"> implements EventLog {
  constructor() {
    super("changes");
  }

  of(stream: string): readonly RecordedEvent[] {
    return this.events.filter((event) => event.stream === stream);
  }

  async append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    { signal }: { signal?: CancelSignal } = {},
  ): Promise<Appended> {
    if (stream === "") throw new RangeError("a stream has a name");
    if (events.length < 1 || events.length > 64) throw new RangeError("1 to 64 events");
    if (!events.every(({ id }) => isUuid(id))) throw new RangeError("an event id is a UUID");
    if (signal?.aborted) throw new Cancelled();
    const own = this.of(stream);
    const head = own.at(-1)?.revision ?? "none";
    const places = events.map(({ id }) => this.events.find((event) => event.id === id));
    const [first] = places;
    const start =
      typeof expected === "number" ? expected + 1 : expected === "none" ? 0 : first?.revision;
    const last = places.at(-1);
    if (
      last &&
      places.every(
        (place, nth) => place?.stream === stream && place.revision === (start ?? 0) + nth,
      )
    ) {
      return { outcome: "already", revision: last.revision, position: last.position };
    }
    if (places.some(Boolean) || new Set(events.map(({ id }) => id)).size < events.length) {
      throw new EventIdReused(stream);
    }
    const isMet =
      expected === "any" || (expected === "exists" ? head !== "none" : expected === head);
    if (!isMet) throw new WrongExpectedRevision(stream, expected, head);
    const recorded = events.map((event, nth) => this.add(event, stream, own.length + nth));
    const { revision, position } = recorded.at(-1) ?? { revision: -1, position: this.zero };
    return { outcome: "appended", revision, position };
  }

  async readStream(
    stream: string,
    { from, limit }: { from: number; limit: number },
  ): Promise<readonly RecordedEvent[]> {
    assertLimit(limit);
    return this.of(stream).slice(from, from + limit);
  }
}

/** An access log in memory: one stream of one node. */
export class MemoryAccessLog extends MemoryFeed<"access"> implements AccessLog {
  readonly stream = "access-node";
  readonly #crypto: Crypto;

  constructor(crypto: Crypto) {
    super("access");
    this.#crypto = crypto;
  }

  async append({ id, type, data, metadata }: NewAccess) {
    const { stream } = this;
    const revision = this.events.length;
    const prevHash = this.events.at(-1)?.metadata.hash ?? CHAIN_START;
    const unchained = { stream, revision, id, type, data, metadata };
    const linked = chained(this.#crypto, prevHash, unchained);
    const { position } = this.add({ id, type, data, metadata: linked }, stream, revision);
    return { revision, position };
  }

  async retire(): Promise<void> {
    throw new Error("no test retires access records");
  }
}
