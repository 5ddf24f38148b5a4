import { Fault } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";

const PAUSE_FIRST_MS = 50;
const PAUSE_MAX_MS = 5_000;

/**
 * Runs a task again and again until the signal aborts: after a fault that a retry can cure, with pauses that double up
 * to 5 s and start over once the task made progress. Any other fault is thrown: going on would hide it.
 * @param onFault hears why it stands still, in our own words.
 */
export async function supervise(
  host: Host,
  signal: CancelSignal,
  task: (progress: () => void) => Promise<void>,
  onFault: (problem: string) => void,
): Promise<void> {
  let pauseMs = PAUSE_FIRST_MS;
  const progress = () => {
    pauseMs = PAUSE_FIRST_MS;
  };
  while (!signal.aborted) {
    try {
      await task(progress);
    } catch (error) {
      onFault(error instanceof Fault ? error.message : "it met an unexpected fault");
      if (!(error instanceof Fault) || !error.retryable) throw error;
      await host.pause(pauseMs, signal);
      pauseMs = pauseMs * 2 > PAUSE_MAX_MS ? PAUSE_MAX_MS : pauseMs * 2;
    }
  }
}
