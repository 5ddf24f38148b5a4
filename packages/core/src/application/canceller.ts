import type { CancelSignal } from "../ports/host.ts";

/** A signal of our own, to end a pause that is no longer needed: no timer outlives its call. */
export class Canceller implements CancelSignal {
  aborted = false;
  readonly #listeners = new Set<() => void>();

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_type: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }

  cancel(): void {
    this.aborted = true;
    for (const listener of [...this.#listeners]) listener();
  }
}
