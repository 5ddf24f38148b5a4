/** Samples of both sides, in the order they were taken. */
export interface Samples<T> {
  readonly subject: readonly T[];
  readonly baseline: readonly T[];
}

/** Takes samples by turns, so that what else the machine does falls on both sides alike. */
export async function interleave<T>(
  rounds: number,
  { subject, baseline }: { subject: () => Promise<T>; baseline: () => Promise<T> },
): Promise<Samples<T>> {
  const samples = { subject: [] as T[], baseline: [] as T[] };
  for (let round = 0; round < rounds; round++) {
    samples.baseline.push(await baseline());
    samples.subject.push(await subject());
  }
  return samples;
}
