/** Something with a deadline of its own. */
export interface Expiring {
  /** Milliseconds of `performance.now()`. */
  readonly overdueAtMs: number;
  expire(): void;
}

/**
 * Ends what is still open at its deadline, late by at most one look. The vault keeps a call's deadline itself, to the
 * millisecond; this one is for a vault that does not. A timer for each call would be a tenth of what a list costs.
 */
export class OverdueWatch {
  readonly #open = new Set<Expiring>();
  readonly #timer: NodeJS.Timeout;

  constructor(lookEveryMs: number) {
    this.#timer = setInterval(() => this.#look(), lookEveryMs).unref();
  }

  watch(expiring: Expiring): void {
    this.#open.add(expiring);
  }

  release(expiring: Expiring): void {
    this.#open.delete(expiring);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const now = performance.now();
    for (const expiring of this.#open) if (now >= expiring.overdueAtMs) expiring.expire();
  }
}
