import { Canceller, type Pause } from "@keyledger/core";

/**
 * Passes items on, and says `beat()` whenever none came for a while: so that a reader can tell a quiet feed from a dead
 * connection. Nothing is buffered.
 */
export async function* withHeartbeat<T>(
  items: AsyncIterable<T>,
  { everyMs, pause, beat }: { everyMs: number; pause: Pause; beat: () => T },
): AsyncGenerator<T> {
  const iterator = items[Symbol.asyncIterator]();
  let next = iterator.next();
  try {
    for (;;) {
      const timer = new Canceller();
      const isQuiet = pause(everyMs, timer).then(() => undefined);
      const result = await Promise.race([next, isQuiet]);
      timer.cancel();
      if (!result) {
        yield beat();
        continue;
      }
      if (result.done) return;
      yield result.value;
      next = iterator.next();
    }
  } finally {
    // Not awaited: it would wait for the item that never came. That it cannot be left is nobody's business any more.
    iterator.return?.().catch(() => {});
  }
}
