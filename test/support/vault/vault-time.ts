/** The stand-in's clock; tests move it. */
export interface VaultClock {
  nowMs(): number;
  advance(byMs: number): void;
}

export function createClock(now: () => number): VaultClock {
  let ahead = 0;
  return {
    nowMs: () => now() + ahead,
    advance: (byMs) => {
      ahead += byMs;
    },
  };
}

/** As answers show it. */
export const timestamp = (ms: number): string => new Date(ms).toISOString();
export const unixSeconds = (ms: number): number => Math.floor(ms / 1000);

/** As in `1h30m0s`. */
export function duration(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours > 0) return `${hours}h${minutes}m${seconds % 60}s`;
  return minutes > 0 ? `${minutes}m${seconds % 60}s` : `${seconds}s`;
}
