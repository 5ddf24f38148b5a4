import { StoreUnavailable } from "../ports/faults.ts";

/** More than this waiting for one owner is no honest load. */
const WAITING_MAX = 1_000;

/** Runs the tasks of one name one after the other, those of different names side by side. */
export interface OwnerQueue {
  run<T>(name: string, task: () => Promise<T>): Promise<T>;
}

export function createOwnerQueue(): OwnerQueue {
  const tails = new Map<string, { end: Promise<void>; waiting: number }>();
  return {
    run(name, task) {
      const tail = tails.get(name) ?? { end: Promise.resolve(), waiting: 0 };
      if (tail.waiting >= WAITING_MAX) {
        throw new StoreUnavailable("too many writes wait for this owner", { retryable: true });
      }
      tail.waiting++;
      tails.set(name, tail);
      const result = tail.end.then(task);
      tail.end = result
        .then(
          () => {},
          () => {},
        )
        .then(() => {
          tail.waiting--;
          if (tail.waiting === 0) tails.delete(name);
        });
      return result;
    },
  };
}
