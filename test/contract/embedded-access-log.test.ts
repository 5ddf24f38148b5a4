import {
  appendFileSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import {
  type AccessLog,
  Cancelled,
  Corrupted,
  Fault,
  OutcomeUnknown,
  StoreUnavailable,
} from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectChain, newAccess } from "./access-log.contract.ts";
import { DiskError, host, meddledDisk, newAccessLogStore } from "./embedded-stores.ts";
import { readAll } from "./feed.contract.ts";

/** Appends one after the other, so that each record is a batch of its own. */
async function appendEach(log: AccessLog, count: number, time?: string): Promise<string[]> {
  const ids: string[] = [];
  for (let nth = 0; nth < count; nth++) {
    const record = newAccess(time);
    await log.append(record);
    ids.push(record.id);
  }
  return ids;
}

const idsIn = async (log: AccessLog, limit = 10_000) =>
  (await readAll(log, limit)).map(({ id }) => id);

/** A clock that a test sets. */
function setClock(now = "2026-01-01T00:00:00.000Z") {
  const clock = { nowMs: Date.parse(now), monotonic: 0 };
  const at = {
    now: () => new Date(clock.nowMs).toISOString(),
    monotonicMs: () => clock.monotonic,
  };
  return { clock, host: { ...host, clock: at } };
}

describe("The segments of the access log", () => {
  it("are followed by a new one when full, named after its first record", async () => {
    await using store = newAccessLogStore({ segmentBytesMax: 2_000 });
    const ids: string[] = [];
    for (let round = 0; round < 3; round++) {
      await using log = await store.open();
      ids.push(...(await appendEach(log, 20)));
    }
    await using log = await store.open();
    const firsts = store.files().map((name) => Number(/^access-(\d{16})\.log$/.exec(name)?.[1]));
    expect(firsts.length).toBeGreaterThan(10);
    for (const limit of [1, 3, 500]) expect(await idsIn(log, limit)).toStrictEqual(ids);
    const all = await readAll(log, 100);
    expectChain(all);
    for (const [nth, first] of firsts.entries()) {
      const holding = readFileSync(store.path(nth));
      const inside = all.filter(({ id }) => holding.includes(id));
      expect(inside[0]?.revision).toBe(first - 1);
      expect(holding.byteLength).toBeLessThan(
        2_000 + (nth === firsts.length - 1 ? 1_048_576 : 600),
      );
    }
  });

  it("are followed by a new one when old, but not while they are empty", async () => {
    const { clock, host } = setClock();
    await using store = newAccessLogStore({ host, segmentAgeMs: 60_000 });
    await using log = await store.open();
    await appendEach(log, 2);
    clock.nowMs += 59_999;
    await appendEach(log, 1);
    expect(store.files()).toHaveLength(1);
    clock.nowMs += 1;
    await appendEach(log, 1);
    expect(store.files()).toHaveLength(2);
  });

  it("are for nobody but their user", async () => {
    await using store = newAccessLogStore();
    await using log = await store.open();
    await appendEach(log, 1);
    expect(statSync(store.directory).mode & 0o777).toBe(0o700);
    expect(statSync(store.path(0)).mode & 0o777).toBe(0o600);
  });

  it("stay with their deployment and their node", async () => {
    await using store = newAccessLogStore();
    {
      await using log = await store.open();
      await appendEach(log, 1);
    }
    for (const [changes, what] of [
      [{ deploymentId: host.random.uuid() }, "deployment"],
      [{ nodeId: host.random.uuid() }, "node"],
    ] as const) {
      await expect(store.open(changes)).rejects.toMatchObject({
        constructor: StoreUnavailable,
        retryable: false,
        message: `${store.path(0)}: belongs to another ${what}`,
      });
    }
  });

  it("forget one that was never finished", async () => {
    await using store = newAccessLogStore();
    {
      await using log = await store.open();
      await appendEach(log, 2);
    }
    writeFileSync(join(store.directory, "access-0000000000000003.log.new"), "half");
    await using log = await store.open();
    expect(store.files()).toStrictEqual(["access-0000000000000001.log"]);
    expect((await log.append(newAccess())).revision).toBe(2);
  });
});

describe("Retiring access records", () => {
  const months = ["2026-01", "2026-02", "2026-03"].map((month) => `${month}-15T00:00:00.000Z`);

  /** Three segments, a month each, and the month after in the current one. */
  async function fourMonths() {
    const { clock, host } = setClock(months[0]);
    const store = newAccessLogStore({ host, segmentAgeMs: 86_400_000 });
    const log = await store.open();
    const ids: string[][] = [];
    for (const time of [...months, "2026-04-15T00:00:00.000Z"]) {
      clock.nowMs = Date.parse(time);
      ids.push(await appendEach(log, 3, time));
    }
    expect(store.files()).toHaveLength(4);
    return { store, log, ids };
  }

  it("removes whole segments whose records are all older, and no other", async () => {
    const { store, log, ids } = await fourMonths();
    await using _store = store;
    await using _log = log;
    await log.retire(months[2] ?? "");
    expect(store.files()).toHaveLength(2);
    expect(await idsIn(log)).toStrictEqual(ids.slice(2).flat());
    await log.retire(months[2] ?? "");
    expect(store.files()).toHaveLength(2);
  });

  it("never removes the current segment, and the chain goes on when opened anew", async () => {
    const { store, log, ids } = await fourMonths();
    await using _store = store;
    const before = await readAll(log, 100);
    await log.retire("2030-01-01T00:00:00.000Z");
    expect(await idsIn(log)).toStrictEqual(ids[3]);
    await log[Symbol.asyncDispose]();
    await using again = await store.open();
    await appendEach(again, 2);
    const left = await readAll(again, 100);
    expect(left.map(({ revision }) => revision)).toStrictEqual([9, 10, 11, 12, 13]);
    expectChain(left, before[8]?.metadata.hash);
  });

  it("lets readers of what is gone go on with what is left", async () => {
    const { store, log, ids } = await fourMonths();
    await using _store = store;
    await using _log = log;
    const [second] = (await log.read({ after: log.zero, limit: 1 })).events;
    const after = second?.position ?? "";
    await log.retire(months[1] ?? "");
    expect(await log.check(after)).toBe("known");
    const page = await log.read({ after, limit: 2 });
    expect(page.events.map(({ id }) => id)).toStrictEqual(ids[1]?.slice(0, 2));
    expect(page.atEnd).toBe(false);
    const following = log.follow({ after, signal: new AbortController().signal });
    for await (const item of following) {
      if (item.kind === "caught-up") break;
      expect(item.events.map(({ id }) => id)).toStrictEqual(ids.slice(1).flat());
    }
  });

  it("keeps a segment with one young record among old ones", async () => {
    const { clock, host } = setClock(months[0]);
    await using store = newAccessLogStore({ host, segmentAgeMs: 86_400_000 });
    await using log = await store.open();
    await appendEach(log, 1, months[2]);
    await appendEach(log, 1, months[0]);
    clock.nowMs = Date.parse("2026-04-15T00:00:00.000Z");
    await appendEach(log, 1);
    await log.retire(months[2] ?? "");
    expect(await idsIn(log)).toHaveLength(3);
  });

  it("does not disturb those who append and read meanwhile", async () => {
    await using store = newAccessLogStore({ segmentBytesMax: 3_000 });
    await using log = await store.open();
    const writers = Array.from({ length: 4 }, () => appendEach(log, 60));
    const retiring = (async () => {
      for (let round = 0; round < 40; round++) {
        await log.retire("2030-01-01T00:00:00.000Z");
        await log.read({ after: log.zero, limit: 10_000 });
      }
    })();
    await Promise.all([...writers, retiring]);
    const left = await readAll(log, 10_000);
    expect(left.at(-1)?.revision).toBe(239);
    expectChain(left, left[0]?.metadata.prevHash);
  });
});

describe("The access log after a crash", () => {
  it("holds all that was acknowledged, whenever the process dies", async () => {
    await using store = newAccessLogStore({ segmentBytesMax: 20_000 });
    await using log = await store.open();
    const acknowledged: string[] = [];
    const writers = Array.from({ length: 8 }, async () => {
      for (let round = 0; round < 40; round++) {
        const record = newAccess();
        await log.append(record);
        acknowledged.push(record.id);
      }
    });
    await expect.poll(() => acknowledged.length, { interval: 1 }).toBeGreaterThan(60);
    const before = [...acknowledged];
    // What lies on the disk in the middle of it is what a killed process leaves: the files, without a clean close.
    const copy = join(store.directory, "..", "copy");
    cpSync(store.directory, copy, { recursive: true });
    await Promise.all(writers);
    await using left = await store.open({ directory: copy });
    const all = await readAll(left, 10_000);
    expectChain(all);
    const found = new Set(all.map(({ id }) => id));
    expect(before.filter((id) => !found.has(id))).toStrictEqual([]);
    expect((await left.append(newAccess())).revision).toBe(all.length);
  });

  /** Three acknowledged records and the bytes of a fourth that nobody was told of, as a killed process leaves them. */
  async function tornWrite(store: ReturnType<typeof newAccessLogStore>) {
    const log = await store.open();
    const ids = await appendEach(log, 3);
    const start = endOfFrames(readFileSync(store.path(0)));
    await log.append(newAccess());
    const bytes = readFileSync(store.path(0));
    await log[Symbol.asyncDispose]();
    return { ids, start, bytes: bytes.subarray(0, endOfFrames(bytes)) };
  }

  it.for([
    ["cut short", (torn: Buffer, at: number) => torn.subarray(0, at)],
    [
      "with zeros behind",
      (torn: Buffer, at: number) => Buffer.concat([torn.subarray(0, at), Buffer.alloc(70_000)]),
    ],
    [
      "with its beginning missing",
      (torn: Buffer, at: number, start: number) => Buffer.from(torn).fill(0, start, at),
    ],
  ] as const)("cuts off a write that was torn, wherever: %s", async ([, tear]) => {
    await using store = newAccessLogStore();
    const { ids, start, bytes } = await tornWrite(store);
    for (let at = start + 1; at < bytes.byteLength; at += 3) {
      writeFileSync(store.path(0), tear(bytes, at, start));
      await using log = await store.open();
      expect(await idsIn(log)).toStrictEqual(ids);
    }
    await using log = await store.open();
    expect((await log.append(newAccess())).revision).toBe(3);
    expectChain(await readAll(log, 10));
  });

  it("cuts off garbage behind the last record", async () => {
    await using store = newAccessLogStore();
    const { start, ids, bytes } = await tornWrite(store);
    writeFileSync(store.path(0), bytes.subarray(0, start));
    appendFileSync(store.path(0), host.random.bytes(5_000));
    await using log = await store.open();
    expect(statSync(store.path(0)).size).toBe(start);
    expect(await idsIn(log)).toStrictEqual(ids);
  });
});

describe("Damage to the access log", () => {
  async function written(store: ReturnType<typeof newAccessLogStore>, count: number) {
    await using log = await store.open();
    await appendEach(log, count);
    return readAll(log, 100);
  }

  const flip = (path: string, at: number) => {
    const bytes = readFileSync(path);
    bytes[at] = (bytes[at] ?? 0) ^ 0x40;
    writeFileSync(path, bytes);
  };

  it("in the last segment keeps the log from opening, and file and place are told", async () => {
    await using store = newAccessLogStore();
    const all = await written(store, 5);
    const at = readFileSync(store.path(0)).indexOf(all[2]?.id ?? "");
    flip(store.path(0), at);
    const fault = await store.open().catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(Corrupted);
    const [, path, offset] =
      /^(.*): damaged at byte (\d+)$/.exec(String((fault as Fault).message)) ?? [];
    expect(path).toBe(store.path(0));
    expect(Number(offset)).toBeLessThan(at);
    expect(Number(offset)).toBeGreaterThan(at - 200);
  });

  it("of the last batch is found too, once the log was closed", async () => {
    await using store = newAccessLogStore();
    const all = await written(store, 5);
    flip(store.path(0), readFileSync(store.path(0)).indexOf(all[4]?.id ?? ""));
    await expect(store.open()).rejects.toBeInstanceOf(Corrupted);
  });

  it("in an older segment is told to its readers, and only to them", async () => {
    await using store = newAccessLogStore({ segmentBytesMax: 2_000 });
    const all = await written(store, 30);
    const path = store.path(1);
    const bytes = readFileSync(path);
    const inside = all.filter(({ id }) => bytes.includes(id));
    flip(path, bytes.indexOf(inside[1]?.id ?? ""));
    await using log = await store.open();
    expect((await log.append(newAccess())).revision).toBe(30);
    await expect(log.read({ after: log.zero, limit: 100 })).rejects.toMatchObject({
      constructor: Corrupted,
      message: expect.stringMatching(new RegExp(`^${path}: damaged at byte \\d+$`)),
    });
    const before = await log.read({ after: log.zero, limit: inside[1]?.revision ?? 0 });
    expect(before.events).toStrictEqual(all.slice(0, inside[1]?.revision));
    const behind = await log.read({ after: inside[1]?.position ?? "", limit: 3 });
    expect(behind.events).toStrictEqual(all.slice(inside[2]?.revision).slice(0, 3));
  });

  it("never makes it serve anything but what was written, whichever byte it is", async () => {
    await using store = newAccessLogStore({ segmentBytesMax: 6_000 });
    const all = await written(store, 20);
    const originals = store.files().map((_, nth) => readFileSync(store.path(nth)));
    const place = fc.nat({ max: originals.length - 1 }).chain((nth) =>
      fc.record({
        nth: fc.constant(nth),
        at: fc.nat({ max: (originals[nth]?.byteLength ?? 1) - 1 }),
        mask: fc.integer({ min: 1, max: 255 }),
      }),
    );
    await fc.assert(
      fc.asyncProperty(place, async ({ nth, at, mask }) => {
        for (const [other, bytes] of originals.entries()) writeFileSync(store.path(other), bytes);
        const bytes = Buffer.from(originals[nth] ?? "");
        bytes[at] = (bytes[at] ?? 0) ^ mask;
        writeFileSync(store.path(nth), bytes);
        try {
          await using log = await store.open();
          expect(await readAll(log, 100)).toStrictEqual(all);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          expect(error.message).toContain(store.path(nth));
        }
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  it("is told where a whole batch is missing or stands twice", async () => {
    await using store = newAccessLogStore({ segmentBytesMax: 2_000 });
    await written(store, 30);
    for (const nth of [1, -1]) {
      const bytes = readFileSync(store.path(nth));
      const starts = [...bytes.keys()].filter((at) => bytes.readUInt8(at) === 0xff);
      const [start = 0, end = 0] = starts.slice(1, 3);
      const batch = bytes.subarray(start, end);
      for (const altered of [
        Buffer.concat([bytes.subarray(0, start), bytes.subarray(end)]),
        Buffer.concat([bytes.subarray(0, end), batch]),
      ]) {
        writeFileSync(store.path(nth), altered);
        const reading = async () => {
          await using log = await store.open();
          return readAll(log, 100);
        };
        await expect(reading()).rejects.toMatchObject({
          constructor: Corrupted,
          message: expect.stringContaining(store.path(nth)),
        });
      }
      writeFileSync(store.path(nth), bytes);
    }
  });

  it.for(["removed", "cut short"])("is told where an older segment was %s", async (how) => {
    await using store = newAccessLogStore({ segmentBytesMax: 2_000 });
    await written(store, 30);
    const path = store.path(1);
    await using log = await store.open();
    if (how === "removed") rmSync(path);
    else truncateSync(path, statSync(path).size - 700);
    await expect(log.read({ after: log.zero, limit: 100 })).rejects.toMatchObject({
      constructor: Corrupted,
      message: expect.stringContaining(path),
    });
  });
});

describe("The access log on a disk that fails", () => {
  it("answers only after the sync, and shows nothing before", async () => {
    const held = Promise.withResolvers<void>();
    let syncs = 0;
    const disk = meddledDisk(async (operation) => {
      if (operation !== "datasync") return;
      syncs++;
      await held.promise;
    });
    await using store = newAccessLogStore({ disk });
    await using log = await store.open();
    let answered = false;
    const append = log.append(newAccess()).then(() => {
      answered = true;
    });
    await expect.poll(() => syncs).toBe(1);
    expect(answered).toBe(false);
    expect(await readAll(log, 10)).toStrictEqual([]);
    held.resolve();
    await append;
    expect(await readAll(log, 10)).toHaveLength(1);
  });

  it("writes a batch whose sync failed into a new segment, once", async () => {
    const synced: string[] = [];
    let failures = 1;
    const disk = meddledDisk((operation, path) => {
      if (operation !== "datasync") return;
      synced.push(path);
      if (synced.length > 3 && failures-- > 0) throw new DiskError("EIO", "fdatasync");
    });
    await using store = newAccessLogStore({ disk });
    const ids: string[] = [];
    {
      await using log = await store.open();
      ids.push(...(await appendEach(log, 6)));
      expect(store.files()).toHaveLength(2);
      // Never the same file again after its sync failed.
      expect(synced.slice(4).includes(synced[3] ?? "")).toBe(false);
      expect(await idsIn(log)).toStrictEqual(ids);
    }
    await using log = await store.open();
    expect(await idsIn(log)).toStrictEqual(ids);
    expectChain(await readAll(log, 10));
  });

  it("does so also for the first batch of a segment", async () => {
    let failures = 1;
    const disk = meddledDisk((operation) => {
      if (operation === "datasync" && failures-- > 0) throw new DiskError("EIO", "fdatasync");
    });
    await using store = newAccessLogStore({ disk });
    await using log = await store.open();
    const ids = await appendEach(log, 3);
    expect(store.files()).toHaveLength(1);
    await log.retire("2030-01-01T00:00:00.000Z");
    expect(await idsIn(log)).toStrictEqual(ids);
  });

  it("fails closed when the second attempt fails too, and goes on when the disk does", async () => {
    let broken = false;
    const disk = meddledDisk((operation) => {
      if (broken && operation === "datasync") throw new DiskError("EIO", "fdatasync");
    });
    await using store = newAccessLogStore({ disk });
    const ids: string[] = [];
    {
      await using log = await store.open();
      ids.push(...(await appendEach(log, 2)));
      broken = true;
      await expect(log.append(newAccess())).rejects.toBeInstanceOf(OutcomeUnknown);
      expect(await idsIn(log)).toStrictEqual(ids);
      broken = false;
      ids.push(...(await appendEach(log, 2)));
      expect(await idsIn(log)).toStrictEqual(ids);
    }
    await using log = await store.open();
    expect(await idsIn(log)).toStrictEqual(ids);
    expectChain(await readAll(log, 10));
  });

  it.for(["write", "sync"] as const)(
    "tells a full disk and goes on when there is room (%s)",
    async (at) => {
      let full = false;
      const disk = meddledDisk((operation) => {
        if (full && operation === at) throw new DiskError("ENOSPC", at);
      });
      await using store = newAccessLogStore({ disk, segmentBytesMax: 1_000 });
      await using log = await store.open();
      const ids = await appendEach(log, 2);
      full = true;
      const fault = await log.append(newAccess()).catch((error: unknown) => error);
      expect(fault).toMatchObject({ constructor: StoreUnavailable, retryable: true });
      expect((fault as Fault).message).toMatch(/access-\d+\.log: the disk is full \(ENOSPC\)$/);
      full = false;
      ids.push(...(await appendEach(log, 3)));
      expect(await idsIn(log)).toStrictEqual(ids);
      await log[Symbol.asyncDispose]();
      await using again = await store.open();
      expect(await idsIn(again)).toStrictEqual(ids);
    },
  );

  it("leaves the outcome open when a write failed half-way and cannot be taken back", async () => {
    let broken = false;
    const disk = meddledDisk((operation) => {
      if (broken && (operation === "write" || operation === "truncate")) {
        throw new DiskError("EIO", operation);
      }
    });
    await using store = newAccessLogStore({ disk });
    await using log = await store.open();
    const ids = await appendEach(log, 2);
    broken = true;
    await expect(log.append(newAccess())).rejects.toBeInstanceOf(OutcomeUnknown);
    broken = false;
    ids.push(...(await appendEach(log, 1)));
    expect(await idsIn(log)).toStrictEqual(ids);
    expect(store.files()).toHaveLength(2);
  });

  it("writes on when a call takes only part of what it is given", async () => {
    await using store = newAccessLogStore({ disk: meddledDisk(() => {}, { writeBytesMax: 97 }) });
    await using log = await store.open();
    const ids = await appendEach(log, 3);
    expect(await idsIn(log)).toStrictEqual(ids);
  });

  it("leaves open what became of a record cancelled while it was written", async () => {
    const held = Promise.withResolvers<void>();
    let syncing = false;
    const disk = meddledDisk((operation) => {
      if (operation !== "datasync") return;
      syncing = true;
      return held.promise;
    });
    await using store = newAccessLogStore({ disk });
    await using log = await store.open();
    const abort = new AbortController();
    const written = log.append(newAccess(), { signal: abort.signal });
    await expect.poll(() => syncing).toBe(true);
    const waiting = log.append(newAccess(), { signal: abort.signal });
    abort.abort();
    await expect(written).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect(waiting).rejects.toBeInstanceOf(Cancelled);
    held.resolve();
    await log.append(newAccess());
    expect(await readAll(log, 10)).toHaveLength(2);
  });

  it("refuses more than may wait for a disk that hangs", async () => {
    const held = Promise.withResolvers<void>();
    let syncing = false;
    const disk = meddledDisk((operation) => {
      if (operation !== "datasync") return;
      syncing = true;
      return held.promise;
    });
    await using store = newAccessLogStore({ disk });
    await using log = await store.open();
    const first = log.append(newAccess());
    await expect.poll(() => syncing).toBe(true);
    const waiting = Array.from({ length: 10_000 }, () => log.append(newAccess()));
    await expect(log.append(newAccess())).rejects.toMatchObject({
      constructor: StoreUnavailable,
      retryable: true,
    });
    held.resolve();
    await Promise.all([first, ...waiting]);
    expect((await log.append(newAccess())).revision).toBe(10_001);
  });
});

describe("The access log whose current file is taken away", () => {
  it.for([
    ["removed", (path: string) => rmSync(path)],
    ["moved", (path: string) => renameSync(path, `${path}.old`)],
    [
      "replaced by a copy",
      (path: string) => {
        copyFileSync(path, `${path}.copy`);
        renameSync(`${path}.copy`, path);
      },
    ],
  ] as const)("notices within a second of writing that it was %s", async ([how, take]) => {
    const { clock, host } = setClock();
    await using store = newAccessLogStore({ host });
    await using log = await store.open();
    await appendEach(log, 2);
    take(store.path(0));
    clock.monotonic += 1_000;
    const ids = await appendEach(log, 3);
    const [last] = store.files().filter((name) => name.endsWith("3.log"));
    expect(last).toBe("access-0000000000000003.log");
    const behind = await log.read({ after: await positionOf(log, 2), limit: 10 });
    expect(behind.events.map(({ id }) => id)).toStrictEqual(ids);
    if (how !== "replaced by a copy") {
      await expect(log.read({ after: log.zero, limit: 10 })).rejects.toMatchObject({
        constructor: Corrupted,
        message: expect.stringContaining("access-0000000000000001.log: the file is missing"),
      });
    }
    await log[Symbol.asyncDispose]();
    await using again = await store.open();
    const all = await readAll(again, 10);
    expect(all.slice(-3).map(({ id }) => id)).toStrictEqual(ids);
  });

  it("fails closed when nothing can be written any more", async () => {
    const { clock, host } = setClock();
    await using store = newAccessLogStore({ host });
    await using log = await store.open();
    await appendEach(log, 2);
    rmSync(store.directory, { recursive: true });
    clock.monotonic += 1_000;
    await expect(log.append(newAccess())).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(log.append(newAccess())).rejects.toBeInstanceOf(StoreUnavailable);
    mkdirSync(store.directory);
    expect((await log.append(newAccess())).revision).toBe(2);
    expect(readdirSync(store.directory)).toStrictEqual(["access-0000000000000003.log"]);
  });

  const positionOf = async (log: AccessLog, sequence: number) =>
    log.zero.slice(0, -16) + sequence.toString(16).padStart(16, "0");
});

describe("Closing the access log", () => {
  it("settles all appends, then refuses them and ends followers", async () => {
    await using store = newAccessLogStore();
    const log = await store.open();
    const appends = Array.from({ length: 20 }, () => log.append(newAccess()));
    const following = (async () => {
      for await (const _ of log.follow({ after: log.zero, signal: new AbortController().signal }));
    })();
    const ended = expect(following).rejects.toBeInstanceOf(StoreUnavailable);
    await log[Symbol.asyncDispose]();
    expect(await Promise.all(appends)).toHaveLength(20);
    await ended;
    await expect(log.append(newAccess())).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(log.head()).rejects.toBeInstanceOf(StoreUnavailable);
  });
});

/** Offset behind the last byte that is not one of the zeros written ahead. */
function endOfFrames(bytes: Buffer): number {
  let end = bytes.byteLength;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return end;
}
