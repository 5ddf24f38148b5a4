/** Chance that can be had again: the same seed gives the same rolls. */
export interface Dice {
  /** Uniform in [0, 1). */
  roll(): number;
  /** A whole number from 0 to below `n`. */
  below(n: number): number;
  pick<T>(list: readonly [T, ...T[]]): T;
  pickAny<T>(list: readonly T[]): T | undefined;
  /** True this often. */
  chance(probability: number): boolean;
}

/** Mulberry32: 32 bits of state, enough for choices. */
export function dice(seed: number): Dice {
  let state = seed >>> 0;
  const roll = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let bits = Math.imul(state ^ (state >>> 15), state | 1);
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61);
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (n: number): number => Math.floor(roll() * n);
  return {
    roll,
    below,
    pick: (list) => list[below(list.length)] ?? list[0],
    pickAny: (list) => list[below(list.length)],
    chance: (probability) => roll() < probability,
  };
}
