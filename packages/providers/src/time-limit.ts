import type { CancelSignal, Host } from "@keyledger/core";

/** A signal that aborts when the time is over or `cancel` does, whichever comes first; disposing ends the watch. */
export function timeLimit(
  ms: number,
  cancel: CancelSignal,
  { pause }: Pick<Host, "pause">,
): Disposable & { readonly signal: AbortSignal } {
  const limit = new AbortController();
  const ended = new AbortController();
  const stop = () => limit.abort();
  if (cancel.aborted || ms <= 0) stop();
  cancel.addEventListener("abort", stop, { once: true });
  void pause(ms, ended.signal).then(() => {
    if (!ended.signal.aborted) stop();
  });
  return {
    signal: limit.signal,
    [Symbol.dispose]: () => {
      cancel.removeEventListener("abort", stop);
      ended.abort();
    },
  };
}
