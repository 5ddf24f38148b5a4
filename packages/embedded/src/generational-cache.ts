/**
 * Keeps what was used lately, up to a total weight. Entries come into the young generation; when that has half the
 * weight, it becomes the old one and what the old one held is forgotten. A use brings an entry back to the young. So
 * between one and two halves of what was used last are there, and a hit costs one look-up in a Map.
 */
export class GenerationalCache<Key, Value> {
  readonly #half: number;
  readonly #weigh: (value: Value) => number;
  #young = new Map<Key, Value>();
  #old = new Map<Key, Value>();
  #youngWeight = 0;

  /** @param weigh at least 1; must not change while a value is held. */
  constructor(weightMax: number, weigh: (value: Value) => number) {
    this.#half = weightMax / 2;
    this.#weigh = weigh;
  }

  get(key: Key): Value | undefined {
    const value = this.#young.get(key);
    if (value !== undefined) return value;
    const old = this.#old.get(key);
    if (old !== undefined) this.set(key, old);
    return old;
  }

  set(key: Key, value: Value): void {
    const replaced = this.#young.get(key);
    if (replaced !== undefined) this.#youngWeight -= this.#weigh(replaced);
    this.#young.set(key, value);
    this.#youngWeight += this.#weigh(value);
    if (this.#youngWeight <= this.#half) return;
    this.#old = this.#young;
    this.#young = new Map();
    this.#youngWeight = 0;
  }

  clear(): void {
    this.#young = new Map();
    this.#old = new Map();
    this.#youngWeight = 0;
  }
}
