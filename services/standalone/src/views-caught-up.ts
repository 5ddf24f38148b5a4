import type { Projector } from "@keyledger/core";
import { progressLine, type Terminal } from "./terminal.ts";

/**
 * Waits until the views are at the end of the log, showing on a terminal how far a rebuild is.
 * @param ended rejects when they stop for good. @param stopped resolves when the process is told to stop.
 * @returns whether they are; `false` = the process was told to stop meanwhile.
 */
export async function viewsCaughtUp(
  projector: Projector,
  {
    ended,
    stopped,
    terminal,
  }: { ended: Promise<never>; stopped: Promise<unknown>; terminal: Terminal },
): Promise<boolean> {
  const progress = progressLine(terminal);
  const caughtUp = new Promise<true>((resolve) => {
    const look = (isCaughtUp: boolean, events: number): void => {
      if (isCaughtUp) resolve(true);
      else if (events > 0)
        progress.show(`  building the views: ${events.toLocaleString("en")} events`);
    };
    projector.onProgress((state, events) => look(state.isCaughtUp, events));
    look(projector.state().isCaughtUp, 0);
  });
  try {
    return await Promise.race([caughtUp, ended, stopped.then(() => false)]);
  } finally {
    progress.end();
  }
}
