import { randomBytes, randomUUID } from "node:crypto";
import type { Kek, WrappedKey } from "@keyledger/core";
import { describe, expect, it } from "vitest";

const newDek = (): Uint8Array => new Uint8Array(randomBytes(32));

const newContext = (): Uint8Array => Buffer.from(`provider-key user.${randomUUID()} openai`);

const hex = (bytes: Uint8Array | null | undefined): string | null =>
  bytes ? Buffer.from(bytes).toString("hex") : null;

async function unwrapOne(
  kek: Kek,
  wrapped: WrappedKey,
  context: Uint8Array,
): Promise<string | null> {
  const [dek] = await kek.unwrap([{ wrapped, context }]);
  return hex(dek);
}

/** All copies of the bytes with one bit turned. */
function* flipped(bytes: Uint8Array): Generator<Uint8Array> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const copy = Uint8Array.from(bytes);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    yield copy;
  }
}

/** What every keeper of key-encryption keys promises. */
export function kekContract(name: string, open: () => Promise<Kek & AsyncDisposable>): void {
  describe(`${name} keeps the KEK contract`, () => {
    it("opens under the same context what it wrapped", async () => {
      await using kek = await open();
      const [dek, context] = [newDek(), newContext()];
      const wrapped = await kek.wrap(dek, context);
      expect(wrapped).toMatchObject({
        kekId: (await kek.current()).id,
        kekVersion: (await kek.current()).version,
      });
      expect(await unwrapOne(kek, wrapped, context)).toBe(hex(dek));
    });

    it("wraps the same key differently each time, and never in clear", async () => {
      await using kek = await open();
      const [dek, context] = [newDek(), newContext()];
      const wraps = await Promise.all(Array.from({ length: 20 }, () => kek.wrap(dek, context)));
      expect(new Set(wraps.map(({ bytes }) => hex(bytes))).size).toBe(20);
      for (const { bytes } of wraps)
        expect(Buffer.from(bytes).includes(Buffer.from(dek))).toBe(false);
    });

    it("opens a key under no other context: all ordered pairs of 100", async () => {
      await using kek = await open();
      const items = await Promise.all(
        Array.from({ length: 100 }, async () => {
          const [dek, context] = [newDek(), newContext()];
          return { dek, context, wrapped: await kek.wrap(dek, context) };
        }),
      );
      const swaps = items.flatMap(({ wrapped }, at) =>
        items.filter((_, other) => other !== at).map(({ context }) => ({ wrapped, context })),
      );
      expect(swaps).toHaveLength(9_900);
      expect((await kek.unwrap(swaps)).filter((dek) => dek !== null)).toStrictEqual([]);
      const opened = await kek.unwrap(items);
      expect(opened.map(hex)).toStrictEqual(items.map(({ dek }) => hex(dek)));
    });

    it.for([
      ["empty", () => new Uint8Array(0)],
      ["cut by one byte", (context: Uint8Array) => context.subarray(1)],
      ["one byte longer", (context: Uint8Array) => Buffer.concat([context, Uint8Array.of(0)])],
    ] as const)("does not open under a context that is %s", async ([, change]) => {
      await using kek = await open();
      const context = newContext();
      const wrapped = await kek.wrap(newDek(), context);
      expect(await unwrapOne(kek, wrapped, change(context))).toBe(null);
    });

    it("does not open with any single bit turned", async () => {
      await using kek = await open();
      const context = newContext();
      const wrapped = await kek.wrap(newDek(), context);
      const items = [...flipped(wrapped.bytes)].map((bytes) => ({
        wrapped: { ...wrapped, bytes },
        context,
      }));
      expect((await kek.unwrap(items)).filter((dek) => dek !== null)).toStrictEqual([]);
    });

    it("does not open when bytes are missing or added: no tag is shortened", async () => {
      await using kek = await open();
      const context = newContext();
      const wrapped = await kek.wrap(newDek(), context);
      const { bytes } = wrapped;
      const lengths = Array.from(bytes, (_, length) => bytes.slice(0, length));
      const longer = Buffer.concat([bytes, Uint8Array.of(0)]);
      const items = [...lengths, longer].map((altered) => ({
        wrapped: { ...wrapped, bytes: altered },
        context,
      }));
      expect((await kek.unwrap(items)).filter((dek) => dek !== null)).toStrictEqual([]);
    });

    it("does not open under another KEK, or a version that is not there", async () => {
      await using kek = await open();
      const context = newContext();
      const wrapped = await kek.wrap(newDek(), context);
      expect(await unwrapOne(kek, { ...wrapped, kekId: randomUUID() }, context)).toBe(null);
      expect(await unwrapOne(kek, { ...wrapped, kekId: "" }, context)).toBe(null);
      for (const kekVersion of [0, -1, 2, 1.5, 4_294_967_297, Number.NaN]) {
        expect(await unwrapOne(kek, { ...wrapped, kekVersion }, context)).toBe(null);
      }
    });

    it("does not open under the number of another version that is there", async () => {
      await using kek = await open();
      const context = newContext();
      const old = await kek.wrap(newDek(), context);
      await kek.rotate();
      const young = await kek.wrap(newDek(), context);
      expect(await unwrapOne(kek, { ...old, kekVersion: young.kekVersion }, context)).toBe(null);
      expect(await unwrapOne(kek, { ...young, kekVersion: old.kekVersion }, context)).toBe(null);
    });

    it("answers for each item by itself", async () => {
      await using kek = await open();
      const [dek, context] = [newDek(), newContext()];
      const good = { wrapped: await kek.wrap(dek, context), context };
      const bad = { ...good, context: newContext() };
      const unwrapped = await kek.unwrap([bad, good, bad, good]);
      expect(unwrapped.map(hex)).toStrictEqual([null, hex(dek), null, hex(dek)]);
      const rewrapped = await kek.rewrap([bad, good]);
      expect(rewrapped.map((item) => item === null)).toStrictEqual([true, false]);
      expect(await kek.unwrap([])).toStrictEqual([]);
      expect(await kek.rewrap([])).toStrictEqual([]);
    });

    it("wraps with the new version once rotated, and still opens all older ones", async () => {
      await using kek = await open();
      const context = newContext();
      const first = await kek.current();
      const made: { dek: Uint8Array; wrapped: WrappedKey }[] = [];
      for (let round = 0; round < 4; round++) {
        const dek = newDek();
        made.push({ dek, wrapped: await kek.wrap(dek, context) });
        const rotated = await kek.rotate();
        expect(rotated).toStrictEqual({ id: first.id, version: first.version + round + 1 });
        expect(await kek.current()).toStrictEqual(rotated);
      }
      expect(made.map(({ wrapped }) => wrapped.kekVersion - first.version)).toStrictEqual([
        0, 1, 2, 3,
      ]);
      for (const { dek, wrapped } of made) {
        expect(await unwrapOne(kek, wrapped, context)).toBe(hex(dek));
      }
    });

    it("rewraps under the current version what it can open, and nothing else", async () => {
      await using kek = await open();
      const [dek, context] = [newDek(), newContext()];
      const old = await kek.wrap(dek, context);
      const { version } = await kek.rotate();
      const [rewrapped, foreign, unknown] = await kek.rewrap([
        { wrapped: old, context },
        { wrapped: old, context: newContext() },
        { wrapped: { ...old, kekVersion: version + 1 }, context },
      ]);
      expect([foreign, unknown]).toStrictEqual([null, null]);
      if (!rewrapped) throw new Error("it was not rewrapped");
      expect(rewrapped.kekVersion).toBe(version);
      expect(await unwrapOne(kek, rewrapped, context)).toBe(hex(dek));
      expect(await unwrapOne(kek, rewrapped, newContext())).toBe(null);
    });

    it("refuses to wrap what is no data key", async () => {
      await using kek = await open();
      for (const length of [0, 16, 31, 33]) {
        await expect(kek.wrap(new Uint8Array(length), newContext())).rejects.toThrow();
      }
    });
  });
}
