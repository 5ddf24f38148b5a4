import { randomUUID } from "node:crypto";
import {
  type AccessLog,
  Cancelled,
  CHAIN_START,
  dataDigest,
  type Instant,
  linkHash,
  metadataDigest,
  type NewAccess,
  type RecordedEvent,
} from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { type FeedTraits, feedContract, readAll, type Store } from "./feed.contract.ts";

const { crypto } = nodeHost();

export const newAccess = (time: Instant = "2026-01-01T00:00:00.000Z"): NewAccess => ({
  id: randomUUID(),
  type: "AccessGranted",
  data: '{"keyId":"k-…😀","leaseSeconds":60,"provider":"openai","source":"byok"}',
  metadata: { time, actor: "caller.1", requestId: 'r"\n' },
});

/** Walks the chain the way an auditor does, with nothing but what was read. */
export function expectChain(records: readonly RecordedEvent[], prevHash = CHAIN_START): void {
  let expected = prevHash;
  for (const { stream, revision, id, type, data, metadata } of records) {
    expect(metadata.prevHash).toBe(expected);
    expected = linkHash(crypto, {
      prevHash: expected,
      stream,
      revision,
      id,
      type,
      dataDigest: dataDigest(crypto, data),
      metadataDigest: metadataDigest(crypto, metadata),
    });
    expect(metadata.hash).toBe(expected);
  }
}

/** What every access log promises, whichever engine keeps it. */
export function accessLogContract(
  name: string,
  newStore: () => Promise<Store<AccessLog> & { readonly nodeId: string }>,
  traits: FeedTraits,
): void {
  feedContract(name, newStore, {
    ...traits,
    feed: "access",
    append: (log, count) =>
      Promise.all(
        Array.from({ length: count }, async () => {
          const record = newAccess();
          return { id: record.id, position: (await log.append(record)).position };
        }),
      ),
  });

  describe(`${name} keeps the access-log contract`, () => {
    it("gives back what was appended, byte for byte, in the stream of its node", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const record = newAccess();
      const { revision, position } = await log.append(record);
      const [stored, ...more] = await readAll(log, 10);
      expect(more).toStrictEqual([]);
      expect(stored).toStrictEqual({
        ...record,
        metadata: {
          ...record.metadata,
          prevHash: CHAIN_START,
          hash: expect.stringMatching(/^[0-9a-f]{64}$/),
        },
        stream: `access-${store.nodeId}`,
        revision: 0,
        position,
      });
      expect(revision).toBe(0);
    });

    it("numbers records without a gap and answers each with its own place", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const records = Array.from({ length: 200 }, () => newAccess());
      const places = await Promise.all(records.map((record) => log.append(record)));
      const all = await readAll(log, 1_000);
      expect(all.map(({ revision }) => revision)).toStrictEqual([...all.keys()]);
      for (const [nth, { id }] of records.entries()) {
        expect(all.find((stored) => stored.id === id)).toMatchObject(places[nth] ?? {});
      }
    });

    it("chains every record to the one before, also across batches and openings", async () => {
      await using store = await newStore();
      for (let round = 0; round < 3; round++) {
        await using log = await store.open();
        await log.append(newAccess());
        await Promise.all(Array.from({ length: 70 }, () => log.append(newAccess())));
      }
      await using log = await store.open();
      const all = await readAll(log, 1_000);
      expect(all).toHaveLength(213);
      expectChain(all);
    });

    it("does not write what was cancelled before it began", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const abort = new AbortController();
      const cancelled = log.append(newAccess(), { signal: abort.signal });
      const kept = newAccess();
      const written = log.append(kept);
      abort.abort();
      await expect(cancelled).rejects.toBeInstanceOf(Cancelled);
      await written;
      const refused = log.append(newAccess(), { signal: abort.signal });
      await expect(refused).rejects.toBeInstanceOf(Cancelled);
      const all = await readAll(log, 10);
      expect(all.map(({ id }) => id)).toStrictEqual([kept.id]);
      expectChain(all);
    });

    it("keeps records that are not older when it retires, and goes on", async () => {
      await using store = await newStore();
      await using log = await store.open();
      await log.append(newAccess("2026-01-01T00:00:00.000Z"));
      await log.append(newAccess("2026-03-01T00:00:00.000Z"));
      await log.retire("2026-02-01T00:00:00.000Z");
      const times = (await readAll(log, 10)).map(({ metadata }) => metadata.time);
      expect(times.at(-1)).toBe("2026-03-01T00:00:00.000Z");
      expect((await log.append(newAccess())).revision).toBe(2);
    });
  });
}
