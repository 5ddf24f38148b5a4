import { Cancelled, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { Batches } from "./kurrent-batches.ts";

/** Batches that are written when the test says so. */
function gated() {
  const written: number[][] = [];
  let gate = Promise.withResolvers<void>();
  gate.resolve();
  const batches = new Batches(async (batch: readonly number[]) => {
    written.push([...batch]);
    await gate.promise;
    return batch.map((item) => item * 10);
  });
  return {
    batches,
    written,
    shut: () => {
      gate = Promise.withResolvers();
      return gate;
    },
  };
}

describe("Batches", () => {
  it("take all that comes while one is written, and answer each item", async () => {
    const { batches, written, shut } = gated();
    const gate = shut();
    const first = batches.push(1);
    await expect.poll(() => written.length).toBe(1);
    const rest = [2, 3, 4].map((item) => batches.push(item));
    gate.resolve();
    expect(await Promise.all([first, ...rest])).toStrictEqual([10, 20, 30, 40]);
    expect(written).toStrictEqual([[1], [2, 3, 4]]);
  });

  it("have at most 256 items", async () => {
    const { batches, written } = gated();
    await Promise.all(Array.from({ length: 600 }, (_, nth) => batches.push(nth)));
    expect(written.map(({ length }) => length)).toStrictEqual([256, 256, 88]);
  });

  it("leave out what was cancelled in time, and leave open what was not", async () => {
    const { batches, written, shut } = gated();
    const gate = shut();
    const abort = new AbortController();
    const first = batches.push(1, abort.signal);
    await expect.poll(() => written.length).toBe(1);
    const second = batches.push(2, abort.signal);
    const third = batches.push(3);
    abort.abort();
    await expect(first).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect(second).rejects.toBeInstanceOf(Cancelled);
    await expect(batches.push(4, abort.signal)).rejects.toBeInstanceOf(Cancelled);
    gate.resolve();
    expect(await third).toBe(30);
    expect(written).toStrictEqual([[1], [3]]);
  });

  it("fail together, and then go on", async () => {
    let isBroken = true;
    const batches = new Batches(async (batch: readonly number[]) => {
      if (isBroken) throw new StoreUnavailable("down", { retryable: true });
      return batch;
    });
    const ends = await Promise.allSettled([batches.push(1), batches.push(2)]);
    expect(ends.map(({ status }) => status)).toStrictEqual(["rejected", "rejected"]);
    isBroken = false;
    expect(await batches.push(3)).toBe(3);
  });

  it("refuse more than may wait, and everything once they are closed", async () => {
    const { batches, written, shut } = gated();
    const gate = shut();
    const first = batches.push(0);
    await expect.poll(() => written.length).toBe(1);
    const waiting = Array.from({ length: 10_000 }, (_, nth) => batches.push(nth));
    await expect(batches.push(1)).rejects.toMatchObject({
      constructor: StoreUnavailable,
      retryable: true,
    });
    const closed = batches.close();
    await expect(batches.push(1)).rejects.toMatchObject({ retryable: false });
    gate.resolve();
    await Promise.all([first, ...waiting, closed]);
  });
});
