import type { CancelSignal, Clock, Instant, Pause } from "@keyledger/core";

/**
 * Time that passes only while everybody waits for it: when no other work is left, the earliest pause ends and the clock
 * is there. Minutes take no time, and nothing depends on how fast the machine is.
 */
export interface SimulatedTime {
  readonly clock: Clock;
  readonly pause: Pause;
  /** Milliseconds that have passed. */
  elapsed(): number;
  /** Pauses that somebody is waiting for. */
  pending(): number;
  /** Lets time pass without anybody waiting for it. */
  advance(ms: number): void;
  /** Resolves once so much time has passed. */
  after(ms: number): Promise<void>;
}

const START = Date.UTC(2026, 0, 1);

export function simulatedTime(): SimulatedTime {
  let now = 0;
  let isTicking = false;
  const waiting = new Set<{ readonly at: number; readonly end: () => void }>();

  const tick = (): void => {
    isTicking = false;
    const [first] = [...waiting].sort((a, b) => a.at - b.at);
    if (!first) return;
    if (first.at > now) now = first.at;
    first.end();
    wake();
  };
  const wake = (): void => {
    if (isTicking || waiting.size === 0) return;
    isTicking = true;
    setImmediate(tick);
  };

  const pause = (ms: number, signal?: CancelSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const end = () => {
        waiting.delete(waiter);
        signal?.removeEventListener("abort", end);
        resolve();
      };
      const waiter = { at: now + ms, end };
      waiting.add(waiter);
      signal?.addEventListener("abort", end, { once: true });
      wake();
    });

  return {
    clock: {
      now: (): Instant => new Date(START + now).toISOString(),
      monotonicMs: () => now,
    },
    pause,
    elapsed: () => now,
    pending: () => waiting.size,
    advance: (ms) => {
      now += ms;
    },
    after: (ms) => pause(ms),
  };
}
