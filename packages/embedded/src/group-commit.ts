import { Cancelled, type CancelSignal, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";

/** How one item of a batch ended. */
export type Settled<Result> = { readonly value: Result } | { readonly fault: Error };

export interface GroupCommitOptions<Item, Result> {
  /**
   * Makes a batch durable in one go and answers for each item, in order. What it throws is the answer for all of them.
   * Never called again before it is done.
   */
  readonly commit: (
    batch: readonly Item[],
  ) => readonly Settled<Result>[] | Promise<readonly Settled<Result>[]>;
  /** Items in a batch, 512 unless given: a synchronous commit of that many keeps the process busy for some 10 ms. */
  readonly batchMax?: number;
  /** Items that may wait, 10,000 unless given: some seconds of work, beyond which nobody waits any longer. */
  readonly waitingMax?: number;
}

export interface GroupCommit<Item, Result> {
  /**
   * Settles only after the item's batch was committed.
   * @throws {StoreUnavailable} too many items wait, or the queue is closed.
   * @throws {Cancelled} the signal aborted before the commit began: nothing was written.
   * @throws {OutcomeUnknown} the signal aborted later.
   */
  push(item: Item, signal?: CancelSignal): Promise<Result>;
  /** Refuses new items and resolves when all others are settled. */
  close(): Promise<void>;
}

/** Lets callers share the cost of making something durable: all that arrive while one batch is written form the next. */
export function createGroupCommit<Item, Result>(
  options: GroupCommitOptions<Item, Result>,
): GroupCommit<Item, Result> {
  return new Queue(options);
}

interface Waiting<Item, Result> {
  readonly item: Item;
  settle(outcome: Settled<Result>): void;
}

class Queue<Item, Result> implements GroupCommit<Item, Result> {
  readonly #commit: GroupCommitOptions<Item, Result>["commit"];
  readonly #batchMax: number;
  readonly #waitingMax: number;
  readonly #waiting = new Set<Waiting<Item, Result>>();
  #running: Promise<void> | undefined;
  #closed = false;

  constructor({ commit, batchMax = 512, waitingMax = 10_000 }: GroupCommitOptions<Item, Result>) {
    this.#commit = commit;
    this.#batchMax = batchMax;
    this.#waitingMax = waitingMax;
  }

  push(item: Item, signal?: CancelSignal): Promise<Result> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) throw new Cancelled();
      if (this.#closed) throw new StoreUnavailable("the store is closed", { retryable: false });
      if (this.#waiting.size >= this.#waitingMax) {
        throw new StoreUnavailable(`${this.#waitingMax} writes wait already`, { retryable: true });
      }
      const abandon = () =>
        reject(
          this.#waiting.delete(waiting)
            ? new Cancelled()
            : new OutcomeUnknown("the call was cancelled while it was written"),
        );
      const waiting: Waiting<Item, Result> = {
        item,
        settle: (outcome) => {
          signal?.removeEventListener("abort", abandon);
          if ("fault" in outcome) reject(outcome.fault);
          else resolve(outcome.value);
        },
      };
      signal?.addEventListener("abort", abandon, { once: true });
      this.#waiting.add(waiting);
      this.#running ??= this.#run();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      // One turn of the event loop: whoever is about to call gets into this batch, and other work gets its share.
      await new Promise(setImmediate);
      const batch = this.#take();
      if (batch.length > 0) await this.#settle(batch);
    }
    this.#running = undefined;
  }

  #take(): Waiting<Item, Result>[] {
    const batch: Waiting<Item, Result>[] = [];
    for (const waiting of this.#waiting) {
      if (batch.length === this.#batchMax) break;
      batch.push(waiting);
      this.#waiting.delete(waiting);
    }
    return batch;
  }

  async #settle(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    let outcomes: readonly Settled<Result>[];
    try {
      outcomes = await this.#commit(batch.map(({ item }) => item));
    } catch (error) {
      const fault = error instanceof Error ? error : new OutcomeUnknown("a write failed");
      for (const waiting of batch) waiting.settle({ fault });
      return;
    }
    for (const [at, waiting] of batch.entries()) {
      waiting.settle(outcomes[at] ?? { fault: new OutcomeUnknown("a write was not answered for") });
    }
  }
}
