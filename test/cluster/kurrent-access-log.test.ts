import { setTimeout as pause } from "node:timers/promises";
import { type AccessLog, Cancelled, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import type { KurrentAccessLogOptions } from "../../packages/cluster/src/kurrent-access-log.ts";
import { expectChain, newAccess } from "../contract/access-log.contract.ts";
import { newAccessLogStore } from "../contract/cluster-kurrent.ts";
import { readAll } from "../contract/feed.contract.ts";
import { type StandInOptions, startKurrentStandIn } from "../support/kurrent/stand-in.ts";

const LOST_ACKS = Number(process.env.KEYLEDGER_TEST_LOST_ACKS ?? 200);

async function opened(
  standInOptions: StandInOptions = {},
  settings: Partial<KurrentAccessLogOptions> = {},
) {
  const standIn = await startKurrentStandIn(standInOptions);
  const engine = { connectionString: standIn.connectionString, insecure: true };
  const store = newAccessLogStore(engine, settings);
  const log = await store.open();
  const stream = `${store.namespace}.access-${store.nodeId}`;
  const metadata = () => {
    const read = standIn.store.readStream(`$$${stream}`, "end", "backwards", 1);
    const [last] = read.kind === "events" ? read.events : [];
    return last ? JSON.parse(Buffer.from(last.data).toString("utf8")) : undefined;
  };
  return {
    log,
    store,
    standIn,
    control: standIn.control,
    metadata,
    visible: () => {
      const read = standIn.store.readStream(stream, "start", "forwards", 1e6);
      return read.kind === "events" ? read.events.map(({ revision }) => Number(revision)) : [];
    },
    async [Symbol.asyncDispose]() {
      await log[Symbol.asyncDispose]();
      await standIn[Symbol.asyncDispose]();
    },
  };
}

const appendMany = (log: AccessLog, count: number) =>
  Promise.all(Array.from({ length: count }, () => log.append(newAccess())));

/** Every record once, in one unbroken chain. */
async function expectWhole(log: AccessLog, count: number): Promise<void> {
  const all = await readAll(log, 1_000);
  expect(all.map(({ revision }) => revision)).toStrictEqual([...Array(count).keys()]);
  expect(new Set(all.map(({ id }) => id)).size).toBe(count);
  expectChain(all);
}

describe("The access log on KurrentDB", () => {
  it("writes all records that wait together in one append", async () => {
    await using on = await opened();
    const before = await on.control.reached("append");
    await appendMany(on.log, 1_000);
    expect((await on.control.reached("append")) - before).toBeLessThanOrEqual(5);
    await expectWhole(on.log, 1_000);
  });

  it("holds the records of all nodes, each in a chain of its own", async () => {
    await using on = await opened();
    const second = newAccessLogStore({
      connectionString: on.standIn.connectionString,
      insecure: true,
    });
    const { namespace, deploymentId } = on.store;
    await using other = await second.open({ namespace, deploymentId });
    await Promise.all([appendMany(on.log, 20), appendMany(other, 30)]);
    const all = await readAll(on.log, 100);
    expect(all).toHaveLength(50);
    for (const nodeId of [on.store.nodeId, second.nodeId]) {
      expectChain(all.filter(({ stream }) => stream === `access-${nodeId}`));
    }
  });

  it("goes on when somebody else has written to its stream", async () => {
    await using on = await opened();
    await using other = await on.store.open();
    for (let round = 0; round < 5; round++) {
      await Promise.all([appendMany(on.log, 3), appendMany(other, 3)]);
    }
    await expectWhole(on.log, 30);
  });
});

describe("A batch of access records whose outcome is not known", () => {
  it(`is there exactly once after each of ${LOST_ACKS} lost acknowledgements`, async () => {
    await using on = await opened({}, { appendDeadlineMs: 100 });
    const acknowledged: string[] = [];
    const unknown: string[] = [];
    for (let nth = 0; nth < LOST_ACKS; nth++) {
      const effect = nth % 4 === 0 ? "ack-lost" : "ack-cut";
      await on.control.fault({ on: "append", effect, times: 1 });
      const records = Array.from({ length: 1 + (nth % 3) }, () => newAccess());
      const ends = await Promise.allSettled(records.map((record) => on.log.append(record)));
      for (const [at, end] of ends.entries()) {
        // On a busy machine the repetition may take longer than its deadline, too.
        if (end.status === "rejected") expect(end.reason).toBeInstanceOf(OutcomeUnknown);
        (end.status === "fulfilled" ? acknowledged : unknown).push(records[at]?.id ?? "");
      }
    }
    const all = await readAll(on.log, 1_000);
    expectChain(all);
    const stored = all.map(({ id }) => id);
    expect(new Set(stored).size).toBe(stored.length);
    expect(stored.filter((id) => !unknown.includes(id))).toStrictEqual(acknowledged);
    expect(unknown.length).toBeLessThan(LOST_ACKS / 4);
  }, 300_000);

  it("is unknown when it stays without an answer, and the chain goes on behind it", async () => {
    await using on = await opened({}, { appendDeadlineMs: 150 });
    await on.log.append(newAccess());
    await on.control.fault({ on: "append", effect: "hang", times: 2 });
    await expect(on.log.append(newAccess())).rejects.toBeInstanceOf(OutcomeUnknown);
    await on.control.fault({ on: "append", effect: "ack-lost", times: 2 });
    await expect(on.log.append(newAccess())).rejects.toBeInstanceOf(OutcomeUnknown);
    expect((await on.log.append(newAccess())).revision).toBe(2);
    await expectWhole(on.log, 3);
  });

  it("may come late, and what was written meanwhile stands behind it in the chain", async () => {
    await using on = await opened({}, { appendDeadlineMs: 100 });
    await on.control.fault({ on: "append", effect: "delay", delayMs: 500, times: 2 });
    await expect(on.log.append(newAccess())).rejects.toBeInstanceOf(OutcomeUnknown);
    await on.control.fault({ on: "append", effect: "delay", delayMs: 50, times: 1 });
    await appendMany(on.log, 2);
    await pause(600);
    await appendMany(on.log, 2);
    const all = await readAll(on.log, 10);
    expectChain(all);
    expect([4, 5]).toContain(all.length);
  });

  it("is unavailable for all who wait when nobody listens, and written again afterwards", async () => {
    await using on = await opened();
    await on.control.kill(0);
    const ends = await Promise.allSettled(
      Array.from({ length: 5 }, () => on.log.append(newAccess())),
    );
    for (const end of ends) {
      expect(end.status).toBe("rejected");
      const { reason } = end as PromiseRejectedResult;
      expect(reason instanceof StoreUnavailable || reason instanceof OutcomeUnknown).toBe(true);
    }
    await on.control.start(0);
    const append = () => on.log.append(newAccess()).then(({ revision }) => revision);
    await expect.poll(() => append().catch(() => -1), { timeout: 5_000 }).toBeGreaterThanOrEqual(0);
    expectChain(await readAll(on.log, 10));
  });

  it("does not hang those who come later when its caller goes", async () => {
    await using on = await opened({}, { appendDeadlineMs: 500 });
    await on.control.fault({ on: "append", effect: "delay", delayMs: 200, times: 1 });
    const abort = new AbortController();
    const first = on.log.append(newAccess(), { signal: abort.signal });
    await expect.poll(() => on.control.reached("append")).toBeGreaterThan(0);
    const waiting = on.log.append(newAccess(), { signal: abort.signal });
    abort.abort();
    await expect(first).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect(waiting).rejects.toBeInstanceOf(Cancelled);
    await on.log.append(newAccess());
    await expectWhole(on.log, 2);
  });

  it("is confirmed by reading when it does not come back by itself", async () => {
    await using on = await opened();
    await on.log.append(newAccess());
    await expect.poll(() => on.control.openSubscriptions()).toBe(1);
    await on.control.muteSubscriptions();
    for (let nth = 0; nth < 6; nth++) await on.log.append(newAccess());
    await expectWhole(on.log, 7);
  });

  it("goes on behind a restart of the engine", async () => {
    await using on = await opened();
    let written = 0;
    for (let round = 0; round < 3; round++) {
      await on.control.restart();
      const append = () => on.log.append(newAccess()).then(({ revision }) => revision);
      await expect
        .poll(() => append().catch(() => -1), { timeout: 5_000 })
        .toBeGreaterThanOrEqual(written);
      written = (await appendMany(on.log, 10)).length;
    }
    expectChain(await readAll(on.log, 100));
  });
});

describe("The retention of the access log on KurrentDB", () => {
  it("is the engine's to keep, in seconds, and for ever unless it is set", async () => {
    await using on = await opened();
    expect(on.metadata()).toBeUndefined();
    await (await on.store.open({ retentionMs: 86_400_000 }))[Symbol.asyncDispose]();
    expect(on.metadata()).toStrictEqual({ $maxAge: 86_400 });
    await (await on.store.open({ retentionMs: 86_400_000 }))[Symbol.asyncDispose]();
    await (await on.store.open())[Symbol.asyncDispose]();
    expect(on.metadata()).toStrictEqual({});
  });

  it("loses neither count nor chain when all records are gone by their age", async () => {
    let nowMs = Date.now();
    await using on = await opened(
      { now: () => nowMs, negotiation: "append" },
      { retentionMs: 60_000 },
    );
    await appendMany(on.log, 5);
    const before = await readAll(on.log, 10);
    nowMs += 120_000;
    expect(on.visible()).toStrictEqual([]);
    await using again = await on.store.open();
    expect((await again.append(newAccess())).revision).toBe(5);
    const [last] = (await readAll(again, 10)).slice(-1);
    expect(last?.metadata.prevHash).toBe(before.at(-1)?.metadata.hash);
  });

  it("begins a new chain for a node that has none", async () => {
    await using on = await opened({}, { retentionMs: 60_000 });
    expect((await on.log.append(newAccess())).revision).toBe(0);
  });

  it("cuts off what is older when it is told to, but never the last record", async () => {
    await using on = await opened({}, { retentionMs: 86_400_000_000 });
    for (const month of ["01", "02", "03"]) {
      for (let nth = 0; nth < 400; nth++)
        void on.log.append(newAccess(`2026-${month}-01T00:00:00.000Z`));
      await on.log.append(newAccess(`2026-${month}-02T00:00:00.000Z`));
    }
    await on.log.retire("2026-02-01T00:00:00.000Z");
    expect(on.visible()[0]).toBe(401);
    expect(on.metadata()).toStrictEqual({ $maxAge: 86_400_000, $tb: 401 });
    await on.log.retire("2026-02-01T00:00:00.000Z");
    await on.log.retire("2026-12-01T00:00:00.000Z");
    expect(on.visible()).toStrictEqual([1_202]);
    expect((await on.log.append(newAccess())).revision).toBe(1_203);
    expectChain(await readAll(on.log, 1_000));
  });
});
