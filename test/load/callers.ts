/** Repeats a call from so many callers at once, each waiting for its own answer, and tells calls per second. */
export async function callsPerSecond(
  callers: number,
  ms: number,
  call: () => Promise<unknown>,
): Promise<number> {
  const startedAt = performance.now();
  let calls = 0;
  const caller = async (): Promise<void> => {
    while (performance.now() - startedAt < ms) {
      await call();
      calls++;
    }
  };
  await Promise.all(Array.from({ length: callers }, caller));
  return calls / ((performance.now() - startedAt) / 1_000);
}
