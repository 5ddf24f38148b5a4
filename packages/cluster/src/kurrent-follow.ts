import {
  Canceller,
  type CancelSignal,
  type Followed,
  type Host,
  type Position,
  type RecordedEvent,
  StoreUnavailable,
} from "@keyledger/core";
import { type ReadPosition, START } from "@kurrent/kurrentdb-client";
import type { KurrentConnection, KurrentIncident } from "./kurrent-client.ts";
import { describeError, meaningOf, unavailable } from "./kurrent-error.ts";
import type { Resolved } from "./kurrent-event.ts";
import type { Positions } from "./kurrent-position.ts";
import { AllSubscription, SubscriptionEnded, type Taken } from "./kurrent-subscription.ts";
import type { KurrentTail } from "./kurrent-tail.ts";
import { Backoff } from "./kurrent-wait.ts";

/** Events per page, unless the caller says otherwise: some milliseconds of work. */
const PAGE_SIZE = 500;
/** While catching up, a page that is not full is given after so long, in milliseconds: what is found is not held back. */
const FILL_MS = 500;
/** A subscription is dead when it said nothing for so long, in milliseconds, though it is not confirmed or is behind. */
const SILENT_MS = 2_000;
/** A position without events is given every so often, in milliseconds, so that a restart passes over less. */
const CHECKPOINT_EVERY_MS = 10_000;

export interface FollowedFeed {
  readonly name: KurrentIncident["part"];
  readonly connection: KurrentConnection;
  readonly positions: Positions;
  readonly tail: KurrentTail;
  readonly prefixes: readonly string[];
  /** Aborts when the log is closed. */
  readonly closed: CancelSignal;
  decode(resolved: Resolved): RecordedEvent | undefined;
  observe(incident: KurrentIncident): void;
}

/**
 * `Feed.follow` by a subscription that is watched: it ends with its first error and never resumes, or falls silent
 * without one. Then another takes over behind the last event that was given away. What was only buffered is dropped and
 * comes again, so there is neither gap nor duplicate.
 * @throws {StoreUnavailable} the log is closed, or refuses.
 * @throws {Corrupted} an event that nobody can go on from.
 */
export async function* followAll(
  feed: FollowedFeed,
  {
    after,
    signal,
    pageSize = PAGE_SIZE,
  }: { after: Position; signal: CancelSignal; pageSize?: number },
): AsyncGenerator<Followed, void, undefined> {
  const { connection, tail, positions } = feed;
  const { host, subscriptions } = connection;
  const place: Place = { given: after, resumeAt: after, toldAtMs: host.clock.monotonicMs() };
  const backoff = new Backoff(host, 50, 2_000);
  let isCaughtUp = false;
  const release = tail.use();
  try {
    while (!signal.aborted) {
      const client = subscriptions.current;
      const from = startOf(positions, place.resumeAt);
      const subscription = new AllSubscription(client, host.clock, {
        from,
        prefixes: feed.prefixes,
      });
      try {
        for (;;) {
          const taken = await nextPage(feed, subscription, { place, pageSize, isCaughtUp }, signal);
          if (taken === "aborted") return;
          backoff.reset();
          for (const item of itemsOf(feed, place, taken)) {
            yield item;
            if (signal.aborted) return;
          }
          if (!taken.atEnd) isCaughtUp = false;
          else if (!isCaughtUp || taken.events.length > 0) {
            isCaughtUp = true;
            yield { kind: "caught-up", next: place.given };
            if (signal.aborted) return;
          }
        }
      } catch (error) {
        if (feed.closed.aborted) throw closedFault();
        if (!(error instanceof SubscriptionEnded)) throw error;
        const { cause } = error;
        if (cause === SILENT) subscriptions.renew(client, "a subscription was silent");
        else if (meaningOf(cause) === "refused") throw unavailable("following the log", cause);
        const because = cause === SILENT ? "it was silent" : describeError(cause);
        feed.observe({ kind: "resubscribed", part: feed.name, because });
      } finally {
        subscription.cancel();
      }
      await backoff.wait(signal);
    }
  } finally {
    release();
  }
}

export const closedFault = (): StoreUnavailable =>
  new StoreUnavailable("the log is closed", { retryable: false });

/** No word from a subscription that should have had one. */
const SILENT = Symbol("silent");

interface Place {
  /** Last position the reader was given. */
  given: Position;
  /** Nothing of the feed stands between `given` and here. */
  resumeAt: Position;
  toldAtMs: number;
}

const startOf = (positions: Positions, position: Position): ReadPosition => {
  const parsed = positions.parse(position);
  return parsed === undefined || position === positions.zero ? START : parsed;
};

/** What was taken, as the reader sees it; moves the place along. */
function* itemsOf(feed: FollowedFeed, place: Place, taken: Taken): Generator<Followed> {
  const { positions, tail } = feed;
  const { clock } = feed.connection.host;
  const from = place.resumeAt;
  const events = taken.events
    .map((resolved) => feed.decode(resolved))
    .filter((event) => event !== undefined);
  const last = events.at(-1);
  if (last) {
    place.given = last.position;
    place.resumeAt = last.position;
    place.toldAtMs = clock.monotonicMs();
    tail.seen(last.position);
  }
  const checkpoint = taken.checkpoint && positions.encode(taken.checkpoint);
  if (checkpoint !== undefined && checkpoint > place.resumeAt) {
    place.resumeAt = checkpoint;
    tail.passed(from, checkpoint);
  }
  if (last) yield { kind: "page", events, next: place.given };
  else if (
    place.resumeAt > place.given &&
    clock.monotonicMs() - place.toldAtMs >= CHECKPOINT_EVERY_MS
  ) {
    place.given = place.resumeAt;
    place.toldAtMs = clock.monotonicMs();
    yield { kind: "page", events: [], next: place.given };
  }
}

/** Waits for a page: while catching up for a full one or the end, afterwards for anything. */
async function nextPage(
  { connection, tail, positions, closed }: FollowedFeed,
  subscription: AllSubscription,
  { place, pageSize, isCaughtUp }: { place: Place; pageSize: number; isCaughtUp: boolean },
  signal: CancelSignal,
): Promise<Taken | "aborted"> {
  const { clock, pause } = connection.host;
  const wakes = new Wakes(subscription, tail, [signal, closed]);
  const startedMs = clock.monotonicMs();
  const events: Resolved[] = [];
  let behindSinceMs: number | undefined;
  try {
    for (;;) {
      if (signal.aborted) return "aborted";
      if (closed.aborted) throw closedFault();
      const taken = await subscription.take(pageSize - events.length);
      events.push(...taken.events);
      const nowMs = clock.monotonicMs();
      const isDue = isCaughtUp || taken.atEnd || nowMs - startedMs >= FILL_MS;
      const hasMoved =
        taken.checkpoint !== undefined && positions.encode(taken.checkpoint) > place.resumeAt;
      if (events.length > 0 ? isDue || events.length === pageSize : hasMoved) {
        return { ...taken, events };
      }
      if (taken.atEnd && !isCaughtUp) return { ...taken, events };
      const isBehind = tail.newest > place.resumeAt && events.length === 0;
      behindSinceMs = isBehind ? (behindSinceMs ?? nowMs) : undefined;
      const heardMs = Math.max(subscription.heardMs, behindSinceMs ?? nowMs);
      if (isSilent(subscription, nowMs - startedMs, nowMs - heardMs))
        throw new SubscriptionEnded(SILENT);
      await wakes.next(pause, FILL_MS);
    }
  } finally {
    wakes.stop();
  }
}

const isSilent = (
  { isConfirmed }: AllSubscription,
  waitedMs: number,
  behindAndSilentMs: number,
): boolean => behindAndSilentMs >= SILENT_MS || (!isConfirmed && waitedMs >= SILENT_MS);

/** Whatever may end a wait. What happens while nobody waits is not slept through. */
class Wakes {
  readonly #stops: (() => void)[];
  #hasHappened = false;
  #wake: () => void = () => {};

  constructor(subscription: AllSubscription, tail: KurrentTail, signals: readonly CancelSignal[]) {
    const happen = () => {
      this.#hasHappened = true;
      this.#wake();
    };
    this.#stops = [subscription.onChange(happen), tail.onLook(happen)];
    for (const signal of signals) {
      signal.addEventListener("abort", happen);
      this.#stops.push(() => signal.removeEventListener("abort", happen));
    }
  }

  async next(pause: Host["pause"], ms: number): Promise<void> {
    if (!this.#hasHappened) {
      const timer = new Canceller();
      this.#wake = () => timer.cancel();
      await pause(ms, timer);
    }
    this.#hasHappened = false;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }
}
