import { randomUUID } from "node:crypto";
import type { AuditRecord, AuditSink } from "@keyledger/core";
import { describe, expect, it } from "vitest";

/** One sink and what was delivered to it, as a consumer reads it. */
export interface SinkStore extends AsyncDisposable {
  open(): Promise<AuditSink & AsyncDisposable>;
  delivered(feed: "changes" | "access"): Promise<readonly AuditRecord[]>;
}

let sequence = 0;

export function newAuditRecord(changes: Partial<AuditRecord> = {}): AuditRecord {
  sequence++;
  return {
    position: `01${"00".repeat(16)}${sequence.toString(16).padStart(16, "0")}`,
    stream: "keyring-user.1",
    revision: sequence,
    eventId: randomUUID(),
    type: "KeyAdded",
    schemaVersion: 1,
    time: "2026-01-01T00:00:00.000Z",
    actor: "user.1",
    actorType: "user",
    owner: { kind: "user", id: "1" },
    requestId: "r-1",
    correlationId: "c-1",
    causationId: "",
    traceparent: "",
    data: '{"label":"sk-…\\n😀"}',
    dataDigest: "00".repeat(32),
    metadataDigest: "11".repeat(32),
    prevHash: "22".repeat(32),
    hash: "33".repeat(32),
    ...changes,
  };
}

export const newAuditRecords = (count: number): AuditRecord[] =>
  Array.from({ length: count }, () => newAuditRecord());

/** What every audit sink promises, wherever it delivers to. */
export function auditSinkContract(name: string, newStore: () => Promise<SinkStore>): void {
  describe(`${name} keeps the audit-sink contract`, () => {
    it("has nothing to resume behind at first", async () => {
      await using store = await newStore();
      await using sink = await store.open();
      expect(await sink.resumeAfter("changes")).toBe(null);
      expect(await sink.resumeAfter("access")).toBe(null);
    });

    it("delivers batches whole and in order", async () => {
      await using store = await newStore();
      await using sink = await store.open();
      const records = newAuditRecords(60);
      for (let at = 0; at < 60; at += 20) await sink.deliver("changes", records.slice(at, at + 20));
      expect(await store.delivered("changes")).toStrictEqual(records);
    });

    it("keeps the feeds apart", async () => {
      await using store = await newStore();
      await using sink = await store.open();
      const [change, access] = [newAuditRecord(), newAuditRecord({ owner: null })];
      await Promise.all([sink.deliver("changes", [change]), sink.deliver("access", [access])]);
      expect(await store.delivered("changes")).toStrictEqual([change]);
      expect(await store.delivered("access")).toStrictEqual([access]);
      expect(await sink.resumeAfter("changes")).toBe(change.position);
      expect(await sink.resumeAfter("access")).toBe(access.position);
    });

    it("resumes behind the last record delivered, also when opened anew", async () => {
      await using store = await newStore();
      const records = newAuditRecords(3);
      {
        await using sink = await store.open();
        await sink.deliver("changes", records);
        await sink.deliver("changes", []);
        expect(await sink.resumeAfter("changes")).toBe(records[2]?.position);
      }
      await using sink = await store.open();
      expect(await sink.resumeAfter("changes")).toBe(records[2]?.position);
      const more = newAuditRecords(2);
      await sink.deliver("changes", more);
      expect(await store.delivered("changes")).toStrictEqual([...records, ...more]);
    });
  });
}
