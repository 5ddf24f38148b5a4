import { readFileSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";

/** What Linux counts processor time in; a hundredth of a second on every common platform. */
const TICKS_PER_SECOND = 100;

/** Work that goes on behind the last answer, as the delivery of audit records, ends within this time or is cut off here. */
const SETTLE_MS_MAX = 1_000;
const QUIET_MS = 60;

/**
 * Processor time of a process so far, user and system, all threads, in seconds.
 * @throws {Error} elsewhere than on Linux.
 */
export function cpuSeconds(pid: number): number {
  if (process.platform !== "linux") {
    throw new Error("the processor time of another process is known on Linux only");
  }
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  // The second field is the command in parentheses and may hold anything; utime and stime are the 14th and 15th.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

/** The same, once the process has nothing left to do: what a load left behind it is part of its price. */
export async function settledCpuSeconds(pid: number): Promise<number> {
  let before = cpuSeconds(pid);
  for (let waited = 0; waited < SETTLE_MS_MAX; waited += QUIET_MS) {
    await pause(QUIET_MS);
    const now = cpuSeconds(pid);
    if (now - before <= 1 / TICKS_PER_SECOND) return now;
    before = now;
  }
  return before;
}
