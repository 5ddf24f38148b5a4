import { type AuditRecord, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { expectChain, newAccess } from "./access-log.contract.ts";
import { newAuditRecords } from "./audit-sink.contract.ts";
import { newAccessLogStore, newAuditSinkStore } from "./embedded-stores.ts";
import { readAll } from "./feed.contract.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

/** When the power fails, and what decides which unsynced sectors are left. */
const cut = fc.record({ operations: fc.integer({ min: 1, max: 150 }), seed: fc.integer() });

/** A small generator (mulberry32), so that a seed names one outcome. */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const isFault = (error: unknown) =>
  error instanceof StoreUnavailable || error instanceof OutcomeUnknown;

describe("A power cut", () => {
  it("takes no acknowledged access record, and the log opens and goes on", async () => {
    await using store = newAccessLogStore({ segmentBytesMax: 12_000 });
    await fc.assert(
      fc.asyncProperty(cut, cut, async (first, second) => {
        let disk = new SimulatedDisk();
        const acknowledged: string[] = [];
        for (const { operations, seed } of [first, second]) {
          disk.operationsLeft = operations;
          await appendUntilOff(disk, acknowledged);
          disk = disk.afterCut(randomFrom(seed));
          await using log = await store.open({ disk });
          const all = await readAll(log, 10_000);
          expectChain(all);
          const found = new Set(all.map(({ id }) => id));
          expect(acknowledged.filter((id) => !found.has(id))).toStrictEqual([]);
          const record = newAccess();
          expect((await log.append(record)).revision).toBe(all.length);
          acknowledged.push(record.id);
        }
      }),
      { numRuns: 250 },
    );

    /** Three callers, until nothing can be written any more. */
    async function appendUntilOff(disk: SimulatedDisk, acknowledged: string[]): Promise<void> {
      const log = await store.open({ disk }).catch((error: unknown) => {
        if (!isFault(error)) throw error;
      });
      const caller = async () => {
        while (log !== undefined && !disk.isOff) {
          const record = newAccess();
          try {
            await log.append(record);
            acknowledged.push(record.id);
          } catch (error) {
            if (!isFault(error)) throw error;
          }
        }
      };
      await Promise.all([caller(), caller(), caller()]);
      await log?.[Symbol.asyncDispose]();
    }
  }, 120_000);

  it("takes no delivered audit record, and the sink resumes at or behind the last one", async () => {
    await using store = newAuditSinkStore({ fileBytesMax: 4_000 });
    await fc.assert(
      fc.asyncProperty(cut, async ({ operations, seed }) => {
        const disk = new SimulatedDisk();
        disk.operationsLeft = operations;
        const records = newAuditRecords(200);
        let delivered = 0;
        let attempted = 0;
        const sink = await store.open({ disk });
        while (!disk.isOff && attempted < records.length) {
          attempted = delivered + 2;
          try {
            await sink.deliver("changes", records.slice(delivered, attempted));
            delivered = attempted;
          } catch (error) {
            if (!isFault(error)) throw error;
          }
        }
        const found = disk.afterCut(randomFrom(seed));
        await using again = await store.open({ disk: found });
        const position = await again.resumeAfter("changes");
        const resumed = records.findIndex((record) => record.position === position) + 1;
        expect(resumed).toBeGreaterThanOrEqual(delivered);
        expect(resumed).toBeLessThanOrEqual(attempted);
        await again.deliver("changes", records.slice(resumed));
        expect(linesOf(found)).toStrictEqual(records);
      }),
      { numRuns: 250 },
    );
  }, 120_000);
});

function linesOf(disk: SimulatedDisk): AuditRecord[] {
  const names = disk.names().toSorted();
  const inOrder = [...names.filter((name) => name.includes("-")), "changes.jsonl"];
  return inOrder.flatMap((name) =>
    disk
      .text(name)
      .split("\n")
      .slice(0, -1)
      .map((line): AuditRecord => JSON.parse(line)),
  );
}
