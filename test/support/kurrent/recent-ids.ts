/**
 * The server's memory of recent commits: the only place where it looks for ids when the caller does not say where they
 * must stand. It is small, and empty after a restart.
 */
export class RecentIds {
  readonly #places = new Map<string, { readonly stream: string; readonly revision: bigint }>();
  readonly #max: number;

  constructor(max: number) {
    this.#max = max;
  }

  put(id: string, stream: string, revision: bigint): void {
    this.#places.delete(id);
    this.#places.set(id, { stream, revision });
    if (this.#places.size <= this.#max) return;
    for (const oldest of this.#places.keys()) {
      this.#places.delete(oldest);
      return;
    }
  }

  clear(): void {
    this.#places.clear();
  }

  /** Revision in this stream, or `undefined` where it is not remembered there. */
  find(id: string, stream: string): bigint | undefined {
    const place = this.#places.get(id);
    return place?.stream === stream ? place.revision : undefined;
  }
}
