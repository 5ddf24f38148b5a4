import { Canceller, type CancelSignal, type Host } from "@keyledger/core";

/** How waiting ended where it was not by the promise itself. */
export type Ended = "late" | "aborted";

/**
 * The client's own deadlines cannot be relied on: an append that is not answered hangs for ever.
 * @returns what the promise gives, unless the time is over or the signal aborts first; then what it gives later is lost.
 */
export async function within<T>(
  host: Pick<Host, "pause">,
  ms: number,
  promise: Promise<T>,
  signal?: CancelSignal,
): Promise<{ readonly value: T } | Ended> {
  const timer = new Canceller();
  const { promise: aborted, resolve: abort } = Promise.withResolvers<Ended>();
  const onAbort = () => abort("aborted");
  signal?.addEventListener("abort", onAbort, { once: true });
  if (signal?.aborted) onAbort();
  // Whoever comes last is not listened to any more.
  promise.catch(() => {});
  try {
    return await Promise.race([
      promise.then((value) => ({ value })),
      host.pause(ms, timer).then(() => "late" as const),
      aborted,
    ]);
  } finally {
    timer.cancel();
    signal?.removeEventListener("abort", onAbort);
  }
}

/** Pauses that double, each between half and the whole of it, so that many do not come back at once. */
export class Backoff {
  readonly #host: Pick<Host, "pause" | "random">;
  readonly #firstMs: number;
  readonly #maxMs: number;
  #nextMs: number;

  constructor(host: Pick<Host, "pause" | "random">, firstMs: number, maxMs: number) {
    this.#host = host;
    this.#firstMs = firstMs;
    this.#maxMs = maxMs;
    this.#nextMs = firstMs;
  }

  async wait(signal?: CancelSignal): Promise<void> {
    const ms = this.#nextMs * (0.5 + this.#host.random.fraction() / 2);
    this.#nextMs = Math.min(this.#nextMs * 2, this.#maxMs);
    await this.#host.pause(ms, signal);
  }

  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}
