import type { Host } from "@keyledger/core";

/** SIGHUP: the terminal was closed. */
const STOP_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
export type StopSignal = (typeof STOP_SIGNALS)[number];

/**
 * One Ctrl-C reaches a process that npm started twice: from the terminal, then forwarded by npm. Only a signal later than
 * this means that somebody lost patience.
 */
const REPEATS_IGNORED_MS = 1000;

/** What of `process` the signals need. */
export interface SignalSource {
  on(signal: StopSignal, listener: () => void): unknown;
  /** Ends the process at once. */
  exit(code: number): void;
}

/**
 * Resolves at the first SIGINT, SIGTERM or SIGHUP. From the call on these signals no longer end the process by
 * themselves; a second one, over a second after the first, does so at once, with the exit code of a shell for it.
 */
export function untilSignal(
  clock: Pick<Host["clock"], "monotonicMs">,
  source: SignalSource = process,
): Promise<StopSignal> {
  return new Promise((resolve) => {
    let firstAtMs: number | undefined;
    for (const signal of STOP_SIGNALS) {
      source.on(signal, () => {
        const nowMs = clock.monotonicMs();
        firstAtMs ??= nowMs;
        if (nowMs - firstAtMs > REPEATS_IGNORED_MS) source.exit(EXIT_CODE[signal]);
        resolve(signal);
      });
    }
  });
}

/** 128 + the number of the signal. */
const EXIT_CODE = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const satisfies Record<
  StopSignal,
  number
>;

export interface DrainStep {
  /** For the log. */
  readonly name: string;
  /** @param signal aborts when the grace time is over: whoever still waits for others must now cut them off. */
  run(signal: AbortSignal): Promise<void>;
}

export interface DrainedStep {
  readonly name: string;
  /** `cut-off`: it had not ended when its time was over, and goes on behind our back. */
  readonly end: "done" | "failed" | "cut-off";
  readonly elapsedMs: number;
  readonly error?: unknown;
}

/** What a step may still take once the grace time is over: enough to close files, and a bound for the whole. */
const LAST_STEP_MS = 1000;

/**
 * Takes the steps of an orderly stop one after the other, each to its end or until time is up: the grace time for all
 * together, and a second for each that comes to its turn later. A failed step stops none of the others.
 * Never rejects. Where a step was cut off, end the process by force.
 */
export async function drain(
  steps: readonly DrainStep[],
  graceMs: number,
  { clock, pause }: Pick<Host, "clock" | "pause">,
): Promise<readonly DrainedStep[]> {
  const startedMs = clock.monotonicMs();
  const grace = new AbortController();
  const drained: DrainedStep[] = [];
  for (const { name, run } of steps) {
    const stepMs = clock.monotonicMs();
    const leftMs = startedMs + graceMs - stepMs;
    const ended = new AbortController();
    const expiry = expire(grace, leftMs, ended.signal, pause);
    // Through a microtask, so that a step which throws at once is a failed one too.
    const ending = Promise.resolve()
      .then(() => run(grace.signal))
      .then(
        () => ({ end: "done" as const }),
        (error: unknown) => ({ end: "failed" as const, error }),
      );
    const result = await Promise.race([ending, expiry]);
    ended.abort();
    drained.push({ name, ...result, elapsedMs: clock.monotonicMs() - stepMs });
  }
  return drained;
}

async function expire(
  grace: AbortController,
  leftMs: number,
  ended: AbortSignal,
  pause: Host["pause"],
): Promise<{ readonly end: "cut-off" }> {
  if (leftMs > 0) await pause(leftMs, ended);
  if (!ended.aborted) {
    grace.abort();
    await pause(LAST_STEP_MS, ended);
  }
  return { end: "cut-off" };
}
