import type { Clock } from "@keyledger/core";
import {
  type AllStreamSubscription,
  type KurrentDBClient,
  type ReadPosition,
  streamNameFilter,
} from "@kurrent/kurrentdb-client";
import type { Resolved } from "./kurrent-event.ts";
import type { LogPosition } from "./kurrent-position.ts";

/** Events the client may hold for a reader that is slow; beyond that the server waits. */
const BUFFERED_MAX = 64;
/** Windows of the server's between two checkpoints: some thousand events that are not ours. */
const CHECKPOINT_WINDOWS = 32;

/** What is to be had at one moment. */
export interface Taken {
  readonly events: readonly Resolved[];
  /** That was all there is. */
  readonly atEnd: boolean;
  /** Where there is one, nothing of the feed stands between the last event and here. */
  readonly checkpoint: LogPosition | undefined;
}

/** A subscription that will not go on; the cause is what the client said. */
export class SubscriptionEnded extends Error {
  constructor(cause: unknown) {
    super("a subscription ended", { cause });
    this.name = "SubscriptionEnded";
  }
}

/** One subscription to all streams with certain beginnings of names. It ends with its first error. */
export class AllSubscription {
  readonly #subscription: AllStreamSubscription;
  readonly #changed = new Set<() => void>();
  readonly #clock: Clock;
  #isConfirmed = false;
  #heardMs: number;
  #isLive = false;
  #ended: SubscriptionEnded | undefined;
  #checkpoint: LogPosition | undefined;

  constructor(
    client: KurrentDBClient,
    clock: Clock,
    { from, prefixes }: { from: ReadPosition; prefixes: readonly string[] },
  ) {
    this.#clock = clock;
    this.#heardMs = clock.monotonicMs();
    const filter = streamNameFilter({
      prefixes: [...prefixes],
      checkpointInterval: CHECKPOINT_WINDOWS,
      checkpointReached: (_, position) => {
        this.#checkpoint = position;
        this.#change();
      },
    });
    this.#subscription = client.subscribeToAll(
      { fromPosition: from, filter, requiresLeader: true },
      { highWaterMark: BUFFERED_MAX },
    );
    this.#subscription.on("readable", () => this.#change());
    this.#subscription.on("confirmation", () => {
      this.#isConfirmed = true;
      this.#change();
    });
    this.#subscription.on("caughtUp", () => {
      this.#isLive = true;
      this.#change();
    });
    this.#subscription.on("error", (error) => this.#end(error));
    this.#subscription.on("close", () => this.#end(new Error("the subscription was closed")));
    this.#subscription.on("end", () => this.#end(new Error("the subscription ended")));
  }

  /** Whether the server has said that it is there. */
  get isConfirmed(): boolean {
    return this.#isConfirmed;
  }

  /** When it last gave a sign of life, on the monotonic clock. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /**
   * Up to `limit` of what is there, without waiting for more than what is on its way within the process.
   * @throws {SubscriptionEnded} once everything is taken
   */
  async take(limit: number): Promise<Taken> {
    const events: Resolved[] = [];
    for (let quietTurns = 0; events.length < limit && quietTurns < QUIET_TURNS; ) {
      const resolved: Resolved | null = this.#subscription.read();
      if (resolved !== null) {
        quietTurns = 0;
        events.push(resolved);
        continue;
      }
      quietTurns++;
      await new Promise(setImmediate);
    }
    if (this.#ended && events.length === 0) throw this.#ended;
    const isDrained = this.#subscription.readableLength === 0;
    // Whatever came before the checkpoint was taken before, or just now.
    const checkpoint = isDrained ? this.#checkpoint : undefined;
    return { events, atEnd: this.#isLive && isDrained, checkpoint };
  }

  /** Calls back whenever something came. @returns a function that ends it. */
  onChange(listener: () => void): () => void {
    this.#changed.add(listener);
    return () => void this.#changed.delete(listener);
  }

  cancel(): void {
    this.#changed.clear();
    this.#subscription.unsubscribe().catch(() => {});
    this.#subscription.destroy();
  }

  #end(cause: unknown): void {
    this.#ended ??= new SubscriptionEnded(cause);
    this.#change();
  }

  #change(): void {
    this.#heardMs = this.#clock.monotonicMs();
    for (const listener of this.#changed) listener();
  }
}

/** The client hands an event on in a few turns of the event loop. */
const QUIET_TURNS = 2;
