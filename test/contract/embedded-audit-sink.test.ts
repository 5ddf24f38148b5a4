import {
  appendFileSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { Corrupted, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { newAuditRecord, newAuditRecords } from "./audit-sink.contract.ts";
import { DiskError, meddledDisk, newAuditSinkStore } from "./embedded-stores.ts";

describe("The files of the JSONL audit sink", () => {
  it("hold one JSON object a line, for nobody but their user", async () => {
    await using store = newAuditSinkStore();
    await using sink = await store.open();
    const records = newAuditRecords(2);
    await sink.deliver("access", records);
    const text = readFileSync(store.path("access.jsonl"), "utf8");
    expect(text).toBe(records.map((record) => `${JSON.stringify(record)}\n`).join(""));
    expect(statSync(store.directory).mode & 0o777).toBe(0o700);
    expect(statSync(store.path("access.jsonl")).mode & 0o777).toBe(0o600);
  });

  it("are put aside when full, in order of their numbers, and never touched again", async () => {
    await using store = newAuditSinkStore({ fileBytesMax: 5_000 });
    const records = newAuditRecords(30);
    for (let at = 0; at < 30; at += 3) {
      await using sink = await store.open();
      await sink.deliver("changes", records.slice(at, at + 3));
      expect(await sink.resumeAfter("changes")).toBe(records[at + 2]?.position);
    }
    const names = readdirSync(store.directory).toSorted();
    expect(names).toHaveLength(5);
    expect(names.slice(0, 2)).toStrictEqual(["changes-000001.jsonl", "changes-000002.jsonl"]);
    expect(await store.delivered("changes")).toStrictEqual(records);
    for (const name of names) expect(statSync(store.path(name)).size).toBeLessThanOrEqual(5_000);
  });

  it("take a batch larger than a file may be", async () => {
    await using store = newAuditSinkStore({ fileBytesMax: 100 });
    await using sink = await store.open();
    const records = newAuditRecords(4);
    await sink.deliver("changes", records.slice(0, 2));
    await sink.deliver("changes", records.slice(2));
    expect(await store.delivered("changes")).toStrictEqual(records);
  });

  it("resume from what was put aside while the new file is still empty", async () => {
    await using store = newAuditSinkStore();
    const [record] = newAuditRecords(1);
    {
      await using sink = await store.open();
      await sink.deliver("changes", record ? [record] : []);
    }
    renameSync(store.path("changes.jsonl"), store.path("changes-000001.jsonl"));
    await using sink = await store.open();
    expect(await sink.resumeAfter("changes")).toBe(record?.position);
  });

  it("lose a line that a crash cut short, wherever, and nothing else", async () => {
    await using store = newAuditSinkStore();
    const records = newAuditRecords(3);
    {
      await using sink = await store.open();
      await sink.deliver("changes", records);
    }
    const whole = readFileSync(store.path("changes.jsonl"));
    const torn = `${JSON.stringify(newAuditRecord())}`;
    for (let length = 1; length <= torn.length; length += 13) {
      writeFileSync(
        store.path("changes.jsonl"),
        Buffer.concat([whole, Buffer.from(torn.slice(0, length))]),
      );
      await using sink = await store.open();
      expect(await sink.resumeAfter("changes")).toBe(records[2]?.position);
      expect(readFileSync(store.path("changes.jsonl"))).toStrictEqual(whole);
    }
    writeFileSync(store.path("changes.jsonl"), torn);
    await using sink = await store.open();
    expect(await sink.resumeAfter("changes")).toBe(null);
  });

  it("lose what was written behind a hole that a power cut left, and nothing in front of it", async () => {
    await using store = newAuditSinkStore();
    const records = newAuditRecords(5);
    {
      await using sink = await store.open();
      await sink.deliver("changes", records);
    }
    const bytes = readFileSync(store.path("changes.jsonl"));
    const line = bytes.indexOf(records[3]?.eventId ?? "");
    writeFileSync(store.path("changes.jsonl"), bytes.fill(0, line, line + 20));
    await using sink = await store.open();
    expect(await sink.resumeAfter("changes")).toBe(records[2]?.position);
    await sink.deliver("changes", records.slice(3));
    expect(await store.delivered("changes")).toStrictEqual(records);
  });

  it("are synced in parts when a batch is large, each part resumed behind", async () => {
    let syncs = 0;
    const disk = meddledDisk((operation) => {
      if (operation === "datasync" && ++syncs === 3) throw new DiskError("EIO", "fdatasync");
    });
    await using store = newAuditSinkStore({ disk });
    await using sink = await store.open();
    const data = JSON.stringify("x".repeat(200_000));
    const records = Array.from({ length: 12 }, () => newAuditRecord({ data }));
    await expect(sink.deliver("changes", records)).rejects.toBeInstanceOf(StoreUnavailable);
    expect(await sink.resumeAfter("changes")).toBe(records[5]?.position);
    await sink.deliver("changes", records.slice(6));
    expect(await store.delivered("changes")).toStrictEqual(records);
  });

  it("resume behind a last line longer than one read", async () => {
    await using store = newAuditSinkStore();
    const long = newAuditRecord({ data: JSON.stringify("x".repeat(300_000)) });
    {
      await using sink = await store.open();
      await sink.deliver("changes", [...newAuditRecords(1), long]);
    }
    appendFileSync(store.path("changes.jsonl"), "y".repeat(100_000));
    await using sink = await store.open();
    expect(await sink.resumeAfter("changes")).toBe(long.position);
  });

  it.for(["not JSON", "{}", "null", '{"position":1}'])(
    "are not resumed behind %s",
    async (line) => {
      await using store = newAuditSinkStore();
      {
        await using sink = await store.open();
        await sink.deliver("changes", newAuditRecords(1));
      }
      appendFileSync(store.path("changes.jsonl"), `${line}\n`);
      await using sink = await store.open();
      await expect(sink.resumeAfter("changes")).rejects.toMatchObject({
        constructor: Corrupted,
        message: `${store.path("changes.jsonl")}: its last line is no audit record`,
      });
      await sink.deliver("access", newAuditRecords(1));
    },
  );

  it("are begun anew when they were taken away", async () => {
    await using store = newAuditSinkStore();
    await using sink = await store.open();
    await sink.deliver("changes", newAuditRecords(2));
    rmSync(store.path("changes.jsonl"));
    const records = newAuditRecords(2);
    await sink.deliver("changes", records);
    expect(await store.delivered("changes")).toStrictEqual(records);
  });
});

describe("The JSONL audit sink on a disk that fails", () => {
  it("answers only after the sync", async () => {
    const held = Promise.withResolvers<void>();
    let syncs = 0;
    const disk = meddledDisk((operation) => {
      if (operation !== "datasync") return;
      syncs++;
      return held.promise;
    });
    await using store = newAuditSinkStore({ disk });
    await using sink = await store.open();
    let answered = false;
    const delivery = sink.deliver("changes", newAuditRecords(1)).then(() => {
      answered = true;
    });
    await expect.poll(() => syncs).toBe(1);
    expect(answered).toBe(false);
    held.resolve();
    await delivery;
  });

  it.for([
    ["write", "ENOSPC", "the disk is full"],
    ["datasync", "EIO", "no access"],
  ] as const)(
    "fails (%s), and delivers the batch again without a trace of the first attempt",
    async ([at, code, what]) => {
      let broken = false;
      const disk = meddledDisk((operation) => {
        if (broken && operation === at) throw new DiskError(code, at);
      });
      await using store = newAuditSinkStore({ disk });
      await using sink = await store.open();
      const records = newAuditRecords(5);
      await sink.deliver("changes", records.slice(0, 2));
      broken = true;
      const path = store.path("changes.jsonl");
      await expect(sink.deliver("changes", records.slice(2))).rejects.toMatchObject({
        constructor: StoreUnavailable,
        retryable: true,
        message: `${path}: ${what} (${code})`,
      });
      expect(await sink.resumeAfter("changes")).toBe(records[1]?.position);
      broken = false;
      await sink.deliver("changes", records.slice(2, 4));
      expect(await store.delivered("changes")).toStrictEqual(records.slice(0, 4));
      await sink.deliver("changes", records.slice(4));
      expect(await store.delivered("changes")).toStrictEqual(records);
    },
  );

  it("takes nothing more once it is closed", async () => {
    await using store = newAuditSinkStore();
    const sink = await store.open();
    await sink[Symbol.asyncDispose]();
    await sink[Symbol.asyncDispose]();
    await expect(sink.deliver("changes", newAuditRecords(1))).rejects.toBeInstanceOf(
      StoreUnavailable,
    );
    await expect(sink.resumeAfter("changes")).rejects.toBeInstanceOf(StoreUnavailable);
  });
});
