import { Cancelled, type CancelSignal, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";

/** Items in one batch: some hundred kilobytes, and some milliseconds of hashing. */
const BATCH_MAX = 256;
/** Items that may wait; beyond that nobody waits any longer. */
const WAITING_MAX = 10_000;

interface Waiting<Item, Result> {
  readonly item: Item;
  resolve(result: Result): void;
  reject(fault: unknown): void;
}

/** Lets callers share the cost of a write: all that arrive while one batch is on its way form the next. */
export class Batches<Item, Result> {
  readonly #write: (batch: readonly Item[]) => Promise<readonly Result[]>;
  readonly #waiting = new Set<Waiting<Item, Result>>();
  #running: Promise<void> | undefined;
  #isClosed = false;

  /** @param write answers for each item, in order; what it throws is the answer for all. One batch at a time. */
  constructor(write: (batch: readonly Item[]) => Promise<readonly Result[]>) {
    this.#write = write;
  }

  /**
   * @throws {StoreUnavailable} too many items wait, or it is closed.
   * @throws {Cancelled} the signal aborted while it waited: nothing was written.
   * @throws {OutcomeUnknown} the signal aborted later.
   */
  async push(item: Item, signal?: CancelSignal): Promise<Result> {
    if (signal?.aborted) throw new Cancelled();
    if (this.#isClosed) throw new StoreUnavailable("the log is closed", { retryable: false });
    if (this.#waiting.size >= WAITING_MAX) {
      throw new StoreUnavailable(`${WAITING_MAX} writes wait already`, { retryable: true });
    }
    const { promise, resolve, reject } = Promise.withResolvers<Result>();
    const waiting = { item, resolve, reject };
    const abandon = () =>
      reject(
        this.#waiting.delete(waiting)
          ? new Cancelled()
          : new OutcomeUnknown("the call was cancelled while it was written"),
      );
    signal?.addEventListener("abort", abandon, { once: true });
    this.#waiting.add(waiting);
    this.#running ??= this.#run();
    try {
      return await promise;
    } finally {
      signal?.removeEventListener("abort", abandon);
    }
  }

  /** Takes no more, and resolves when all that waits is settled. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.size > 0) {
      // One turn of the event loop: whoever is about to call gets into this batch.
      await new Promise(setImmediate);
      const batch = [...this.#waiting].slice(0, BATCH_MAX);
      for (const waiting of batch) this.#waiting.delete(waiting);
      if (batch.length > 0) await this.#settle(batch);
    }
    this.#running = undefined;
  }

  async #settle(batch: readonly Waiting<Item, Result>[]): Promise<void> {
    try {
      const results = await this.#write(batch.map(({ item }) => item));
      for (const [nth, { resolve, reject }] of batch.entries()) {
        const result = results[nth];
        if (result === undefined) reject(new OutcomeUnknown("a write was not answered for"));
        else resolve(result);
      }
    } catch (fault) {
      for (const { reject } of batch) reject(fault);
    }
  }
}
