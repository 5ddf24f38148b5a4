import { Canceller, type Position } from "@keyledger/core";
import { BACKWARDS, END, FORWARDS, START } from "@kurrent/kurrentdb-client";
import type { KurrentConnection } from "./kurrent-client.ts";
import type { LogPosition, Positions } from "./kurrent-position.ts";
import { readAllPart } from "./kurrent-read.ts";

/** Looks at the end of the log follow each other by so much, in milliseconds. */
const PROBE_EVERY_MS = 1_000;
/** A look that takes longer has failed. */
const PROBE_IDLE_MS = 2_000;
/** The first look may have to pass over whatever else was written since this feed's last event. */
const FIRST_PROBE_IDLE_MS = 60_000;
/** Events taken in one go. */
const PAGE = 1_000;
/** What was the newest event at earlier looks: enough for a reader that is some seconds behind. */
const LOOKS_MAX = 16;

/** What one look at the end of the log found. */
interface Look {
  /** When it began: nothing newer was there then. */
  readonly atMs: number;
  /** Position of the feed's last event, or zero. */
  readonly newest: Position;
}

/**
 * Where a feed ends. While it is idle, a subscription hears nothing, and neither does one that is dead: only a look at
 * the log itself tells them apart.
 */
export class KurrentTail {
  readonly #connection: KurrentConnection;
  readonly #positions: Positions;
  readonly #prefixes: readonly string[];
  readonly #listeners = new Set<(newest: Position) => void>();
  #looks: readonly Look[] = [];
  #newest: Position;
  /** End of the whole log, as last seen. */
  #end: Position;
  /** Everything up to here was looked at for events of the feed; `undefined` before the first look. */
  #scanned: Position | undefined;
  #probing: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #users = 0;
  #idle: Canceller | undefined;

  constructor(connection: KurrentConnection, positions: Positions, prefixes: readonly string[]) {
    this.#connection = connection;
    this.#positions = positions;
    this.#prefixes = prefixes;
    this.#newest = positions.zero;
    this.#end = positions.zero;
  }

  /** The greatest position known to hold an event of the feed, or zero. */
  get newest(): Position {
    return this.#newest;
  }

  /** The greatest position known to hold an event of anybody. */
  get end(): Position {
    return this.#end > this.#newest ? this.#end : this.#newest;
  }

  /** An event of the feed stands here. */
  seen(position: Position): void {
    if (position > this.#newest) this.#newest = position;
    if (this.#scanned !== undefined && position > this.#scanned) this.#scanned = position;
  }

  /** A subscription that began at or before what was looked at has passed over everything up to here. */
  passed(from: Position, to: Position): void {
    if (to > this.#end) this.#end = to;
    if (this.#scanned !== undefined && from <= this.#scanned && to > this.#scanned) {
      this.#scanned = to;
    }
  }

  /**
   * Looks at the end of the log; whatever was acknowledged before the call is known after it.
   * @throws {StoreUnavailable}
   */
  async probe(): Promise<void> {
    // A look that is under way may have begun too early for this caller; one that waits to begin has not.
    this.#next ??= (async () => {
      await this.#probing?.catch(() => {});
      this.#probing = this.#next;
      this.#next = undefined;
      await this.#look();
    })();
    await this.#next;
  }

  /** How long it is certain that nothing stands behind a position, in milliseconds; infinite where it never was. */
  ageMs(position: Position): number {
    const nowMs = this.#connection.host.clock.monotonicMs();
    const look = this.#looks.findLast(({ newest }) => newest <= position);
    return look ? nowMs - look.atMs : Number.POSITIVE_INFINITY;
  }

  /** Hears of every look that succeeded. @returns a function that ends it. */
  onLook(listener: (newest: Position) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Looks again and again as long as somebody uses it. @returns a function that ends the use. */
  use(): () => void {
    this.#users++;
    if (this.#users === 1) {
      this.#idle = new Canceller();
      void this.#run(this.#idle);
    }
    let isUsed = true;
    return () => {
      if (!isUsed) return;
      isUsed = false;
      this.#users--;
      if (this.#users === 0) this.#idle?.cancel();
    };
  }

  async #run(idle: Canceller): Promise<void> {
    const { pause } = this.#connection.host;
    while (!idle.aborted) {
      // What fails is seen by its consequence: the age grows.
      await this.probe().catch(() => {});
      await pause(PROBE_EVERY_MS, idle);
    }
  }

  async #look(): Promise<void> {
    const atMs = this.#connection.host.clock.monotonicMs();
    const last = await this.#lastOf(undefined, PROBE_IDLE_MS);
    const end = last ?? this.#positions.zero;
    if (end > this.#end) this.#end = end;
    if (this.#scanned === undefined) {
      const newest = await this.#lastOf(this.#prefixes, FIRST_PROBE_IDLE_MS);
      this.#scanned = end;
      if (newest !== undefined) this.seen(newest);
    } else {
      await this.#scan(end);
    }
    this.#looks = [...this.#looks.slice(1 - LOOKS_MAX), { atMs, newest: this.#newest }];
    for (const listener of this.#listeners) listener(this.#newest);
  }

  async #scan(end: Position): Promise<void> {
    for (;;) {
      const from = this.#scanned ?? this.#positions.zero;
      if (from >= end) return;
      const page = await readAllPart(this.#connection, {
        direction: FORWARDS,
        from: this.#logPosition(from),
        limit: PAGE,
        prefixes: this.#prefixes,
        idleMs: PROBE_IDLE_MS,
      });
      for (const { event } of page) if (event?.position) this.seen(this.#encode(event.position));
      if (page.length < PAGE) {
        if (this.#scanned === undefined || end > this.#scanned) this.#scanned = end;
        return;
      }
    }
  }

  async #lastOf(
    prefixes: readonly string[] | undefined,
    idleMs: number,
  ): Promise<Position | undefined> {
    const [last] = await readAllPart(this.#connection, {
      direction: BACKWARDS,
      from: END,
      limit: 1,
      idleMs,
      ...(prefixes && { prefixes }),
    });
    return last?.event?.position && this.#encode(last.event.position);
  }

  #encode(position: LogPosition): Position {
    return this.#positions.encode(position);
  }

  #logPosition(position: Position): LogPosition | typeof START {
    const parsed = this.#positions.parse(position);
    return parsed === undefined || position === this.#positions.zero ? START : parsed;
  }
}
