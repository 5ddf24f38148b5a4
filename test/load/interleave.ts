/** Samples of both sides, in the order they were taken. */
export interface Samples<T> {
  readonly subject: readonly T[];
  readonly baseline: readonly T[];
}

/**
 * Takes samples by turns, so that what else the machine does falls on both sides alike: so many rounds, or fewer where
 * the time is over before, at least one.
 */
export async function interleave<T>(
  { rounds, roundsMs }: { readonly rounds: number; readonly roundsMs: number },
  { subject, baseline }: { subject: () => Promise<T>; baseline: () => Promise<T> },
): Promise<Samples<T>> {
  const until = performance.now() + roundsMs;
  const samples = { subject: [] as T[], baseline: [] as T[] };
  do {
    samples.baseline.push(await baseline());
    samples.subject.push(await subject());
  } while (samples.subject.length < rounds && performance.now() < until);
  return samples;
}
