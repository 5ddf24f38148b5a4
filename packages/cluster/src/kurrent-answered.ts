import type { Position } from "@keyledger/core";

/** More than can be under way at once. */
const KEPT_MAX = 10_000;

/** Positions of appends that were answered as new: when the same ones are sent twice at once, only one of them is. */
export class AnsweredAppends {
  readonly #positions = new Set<Position>();

  /** @returns whether it was not there yet. */
  add(position: Position): boolean {
    if (this.#positions.has(position)) return false;
    this.#positions.add(position);
    if (this.#positions.size > KEPT_MAX) {
      for (const oldest of this.#positions) {
        this.#positions.delete(oldest);
        break;
      }
    }
    return true;
  }
}
