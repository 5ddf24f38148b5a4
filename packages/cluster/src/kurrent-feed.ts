import {
  Canceller,
  type CancelSignal,
  type Feed,
  type Followed,
  type Page,
  type Position,
  type PositionCheck,
  type RecordedEvent,
} from "@keyledger/core";
import { FORWARDS, START } from "@kurrent/kurrentdb-client";
import type { KurrentConnection, KurrentIncident } from "./kurrent-client.ts";
import { decodeEvent } from "./kurrent-event.ts";
import { closedFault, followAll } from "./kurrent-follow.ts";
import type { KurrentNames } from "./kurrent-names.ts";
import type { Positions } from "./kurrent-position.ts";
import { readAllPart } from "./kurrent-read.ts";
import { KurrentTail } from "./kurrent-tail.ts";

/** A page is found within so long, in milliseconds, or the read has failed: the filter may have much to pass over. */
const PAGE_IDLE_MS = 10_000;
const LIMIT_MAX = 10_000;

export interface KurrentFeedOptions<Name extends Feed["name"]> {
  readonly name: Name;
  readonly connection: KurrentConnection;
  readonly positions: Positions;
  readonly names: KurrentNames;
  /** Beginnings of the names of its streams, as the engine knows them. */
  readonly prefixes: readonly string[];
  observe(incident: KurrentIncident): void;
}

/** One feed over the engine's log of all streams: what both logs have in common. */
export class KurrentFeed<Name extends Feed["name"]> implements Feed {
  readonly name: Name;
  readonly zero: Position;
  readonly tail: KurrentTail;
  readonly #options: KurrentFeedOptions<Name>;
  readonly #prefixes: readonly string[];
  readonly #closed = new Canceller();

  constructor(options: KurrentFeedOptions<Name>) {
    const { name, connection, positions, prefixes } = options;
    this.name = name;
    this.zero = positions.zero;
    this.#options = options;
    this.#prefixes = prefixes;
    this.tail = new KurrentTail(connection, positions, prefixes);
  }

  async head(): Promise<Position> {
    this.assertOpen();
    await this.tail.probe();
    return this.tail.newest;
  }

  async check(token: string): Promise<PositionCheck> {
    this.assertOpen();
    if (this.#options.positions.parse(token) === undefined) return "foreign";
    return (await this.#isBeyond("feed", token)) ? "ahead" : "known";
  }

  async read({ after, limit }: { after: Position; limit: number }): Promise<Page> {
    this.assertOpen();
    assertLimit(limit);
    const { connection, positions } = this.#options;
    const from = await this.#startOf("feed", after);
    const resolved = await readAllPart(connection, {
      direction: FORWARDS,
      from: from ?? START,
      // The one at `after` itself may come along, and one more says that there is more.
      limit: limit + 2,
      prefixes: this.#prefixes,
      idleMs: PAGE_IDLE_MS,
    });
    const found = resolved
      .map((each) => decodeEvent(each, positions, this.#options.names))
      .filter((event): event is RecordedEvent => event !== undefined && event.position > after);
    const events = found.slice(0, limit);
    const next = events.at(-1)?.position ?? after;
    if (next > after) this.tail.seen(next);
    return { events, next, atEnd: found.length <= limit };
  }

  async *follow(options: {
    after: Position;
    signal: CancelSignal;
    pageSize?: number;
  }): AsyncGenerator<Followed, void, undefined> {
    if (options.signal.aborted) return;
    this.assertOpen();
    // A reader that was idle for long stands where nothing of this feed stands any more.
    await this.#startOf("log", options.after);
    const { connection, positions, names, name, observe } = this.#options;
    yield* followAll(
      {
        name,
        connection,
        positions,
        tail: this.tail,
        prefixes: this.#prefixes,
        closed: this.#closed,
        decode: (resolved) => decodeEvent(resolved, positions, names),
        observe,
      },
      options,
    );
  }

  /** Followers end with a fault; whatever is called afterwards has one. */
  close(): void {
    this.#closed.cancel();
  }

  /** @throws {StoreUnavailable} */
  assertOpen(): void {
    if (this.#closed.aborted) throw closedFault();
  }

  /**
   * @returns `undefined` for zero.
   * @throws {RangeError} no token of this feed, or beyond the end. Tokens from outside are checked before.
   */
  async #startOf(end: "feed" | "log", after: Position) {
    const parsed = this.#options.positions.parse(after);
    if (parsed === undefined) throw new RangeError("the position is not one of this feed");
    if (after === this.zero) return undefined;
    if (await this.#isBeyond(end, after)) {
      throw new RangeError(`the position is beyond the end of the ${end}`);
    }
    return parsed;
  }

  async #isBeyond(end: "feed" | "log", position: Position): Promise<boolean> {
    const { tail } = this;
    const isBeyond = () => position > (end === "feed" ? tail.newest : tail.end);
    if (!isBeyond()) return false;
    await tail.probe();
    return isBeyond();
  }
}

export function assertLimit(limit: number): void {
  if (Number.isInteger(limit) && limit >= 1 && limit <= LIMIT_MAX) return;
  throw new RangeError(`a limit is 1 to ${LIMIT_MAX}, not ${limit}`);
}
