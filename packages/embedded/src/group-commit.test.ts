import { Cancelled, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { createGroupCommit, type Settled } from "./group-commit.ts";

const echo = (batch: readonly number[]): Settled<number>[] => batch.map((value) => ({ value }));

/** A queue whose commits end only when the test says so. */
function held() {
  const started: { batch: readonly number[]; finish: () => void }[] = [];
  const commit = (batch: readonly number[]) =>
    new Promise<Settled<number>[]>((resolve) => {
      started.push({ batch, finish: () => resolve(echo(batch)) });
    });
  const begun = (count: number) => expect.poll(() => started.length).toBe(count);
  return { started, begun, queue: createGroupCommit({ commit, waitingMax: 3 }) };
}

describe("A group commit", () => {
  it("writes all that arrive together in one batch, in order", async () => {
    const batches: (readonly number[])[] = [];
    const queue = createGroupCommit<number, number>({
      commit: (batch) => {
        batches.push(batch);
        return echo(batch);
      },
    });
    expect(await Promise.all([1, 2, 3].map((item) => queue.push(item)))).toStrictEqual([1, 2, 3]);
    expect(batches).toStrictEqual([[1, 2, 3]]);
  });

  it("bounds a batch and leaves the rest to the next", async () => {
    const sizes: number[] = [];
    const queue = createGroupCommit<number, number>({
      batchMax: 2,
      commit: (batch) => {
        sizes.push(batch.length);
        return echo(batch);
      },
    });
    await Promise.all([1, 2, 3, 4, 5].map((item) => queue.push(item)));
    expect(sizes).toStrictEqual([2, 2, 1]);
  });

  it("starts no commit before the last one is done", async () => {
    const { queue, started, begun } = held();
    const first = queue.push(1);
    await begun(1);
    const second = queue.push(2);
    await new Promise(setImmediate);
    expect(started.map(({ batch }) => batch)).toStrictEqual([[1]]);
    started[0]?.finish();
    await first;
    await begun(2);
    started[1]?.finish();
    expect(await second).toBe(2);
  });

  it("answers each item by itself", async () => {
    const odd = new RangeError("odd");
    const queue = createGroupCommit<number, number>({
      commit: (batch) => batch.map((item) => (item % 2 ? { fault: odd } : { value: item })),
    });
    expect(await Promise.allSettled([queue.push(1), queue.push(2)])).toStrictEqual([
      { status: "rejected", reason: odd },
      { status: "fulfilled", value: 2 },
    ]);
  });

  it("rejects the whole batch with what the commit threw, and goes on", async () => {
    const fault = new OutcomeUnknown("the disk went away");
    let calls = 0;
    const queue = createGroupCommit<number, number>({
      commit: (batch) => {
        calls++;
        if (calls === 1) throw fault;
        return echo(batch);
      },
    });
    const ends = await Promise.allSettled([queue.push(1), queue.push(2)]);
    expect(ends.map((end) => end.status === "rejected" && end.reason)).toStrictEqual([
      fault,
      fault,
    ]);
    expect(await queue.push(3)).toBe(3);
  });

  it("does not leave an item without an answer", async () => {
    const queue = createGroupCommit<number, number>({ commit: () => [] });
    await expect(queue.push(1)).rejects.toBeInstanceOf(OutcomeUnknown);
  });

  it("does not write what was cancelled before its commit", async () => {
    const { queue, started, begun } = held();
    const first = queue.push(1);
    await begun(1);
    const abort = new AbortController();
    const cancelled = queue.push(2, abort.signal);
    const third = queue.push(3);
    abort.abort();
    await expect(cancelled).rejects.toBeInstanceOf(Cancelled);
    started[0]?.finish();
    await first;
    await begun(2);
    started[1]?.finish();
    await third;
    expect(started.map(({ batch }) => batch)).toStrictEqual([[1], [3]]);
  });

  it("does not take an item whose signal has aborted already", async () => {
    const { queue } = held();
    await expect(queue.push(1, AbortSignal.abort())).rejects.toBeInstanceOf(Cancelled);
  });

  it("leaves open what became of an item cancelled during its commit", async () => {
    const { queue, started, begun } = held();
    const abort = new AbortController();
    const write = queue.push(1, abort.signal);
    await begun(1);
    abort.abort();
    await expect(write).rejects.toBeInstanceOf(OutcomeUnknown);
    started[0]?.finish();
    await queue.close();
  });

  it("refuses more items than may wait, until some are taken", async () => {
    const { queue, started, begun } = held();
    const first = queue.push(0);
    await begun(1);
    const waiting = [1, 2, 3].map((item) => queue.push(item));
    await expect(queue.push(4)).rejects.toMatchObject({
      constructor: StoreUnavailable,
      retryable: true,
    });
    started[0]?.finish();
    await first;
    await begun(2);
    const late = queue.push(5);
    started[1]?.finish();
    expect(await Promise.all(waiting)).toStrictEqual([1, 2, 3]);
    await begun(3);
    started[2]?.finish();
    expect(await late).toBe(5);
  });

  it("settles everything before it is closed, and refuses items afterwards", async () => {
    const queue = createGroupCommit<number, number>({ commit: echo });
    const settled: number[] = [];
    const writes = [1, 2].map(async (item) => settled.push(await queue.push(item)));
    await queue.close();
    expect(settled).toStrictEqual([1, 2]);
    await Promise.all(writes);
    await expect(queue.push(3)).rejects.toBeInstanceOf(StoreUnavailable);
  });
});
