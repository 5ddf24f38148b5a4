/** Samples of both sides, in the order they were taken. */
export interface Samples<T> {
  readonly subject: readonly T[];
  readonly baseline: readonly T[];
}

/** Takes samples by turns, so that what else the machine does falls on both sides alike. Warm-ups do not count. */
export async function interleave<T>(
  { rounds, warmUps }: { readonly rounds: number; readonly warmUps: number },
  { subject, baseline }: { subject: () => Promise<T>; baseline: () => Promise<T> },
): Promise<Samples<T>> {
  const samples = { subject: [] as T[], baseline: [] as T[] };
  for (let round = -warmUps; round < rounds; round++) {
    const pair = { baseline: await baseline(), subject: await subject() };
    if (round < 0) continue;
    samples.baseline.push(pair.baseline);
    samples.subject.push(pair.subject);
  }
  return samples;
}
