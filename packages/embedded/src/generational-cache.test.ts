import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { GenerationalCache } from "./generational-cache.ts";

const cacheOf = (weightMax: number) =>
  new GenerationalCache<string, { weight: number }>(weightMax, ({ weight }) => weight);

describe("The cache", () => {
  it("gives back what was put in last", () => {
    const cache = cacheOf(10);
    const [first, second] = [{ weight: 1 }, { weight: 2 }];
    cache.set("a", first);
    cache.set("a", second);
    expect(cache.get("a")).toBe(second);
    expect(cache.get("b")).toBe(undefined);
  });

  it("never answers what was replaced since, whatever was forgotten in between", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ key: fc.constantFrom("a", "b", "c", "d"), sets: fc.boolean() })),
        (steps) => {
          const cache = cacheOf(4);
          const last = new Map<string, { weight: number }>();
          for (const { key, sets } of steps) {
            if (sets) {
              const value = { weight: 1 };
              cache.set(key, value);
              last.set(key, value);
            } else {
              const found = cache.get(key);
              if (found !== undefined) expect(found).toBe(last.get(key));
            }
          }
        },
      ),
    );
  });

  it("keeps what is used and forgets what is not", () => {
    const cache = cacheOf(20);
    cache.set("used", { weight: 1 });
    cache.set("unused", { weight: 1 });
    for (let at = 0; at < 100; at++) {
      cache.set(`other ${at}`, { weight: 1 });
      expect(cache.get("used")).toBeDefined();
    }
    expect(cache.get("unused")).toBe(undefined);
  });

  it("holds no more than it may, by weight", () => {
    const cache = cacheOf(100);
    const keys = Array.from({ length: 500 }, (_, at) => `${at}`);
    for (const [at, key] of keys.entries()) cache.set(key, { weight: 1 + (at % 9) });
    let held = 0;
    // Looking moves entries about, so it is done on the newest first: they are in the young generation already.
    for (const key of keys.toReversed()) held += cache.get(key)?.weight ?? 0;
    expect(held).toBeLessThanOrEqual(100 + 9);
    expect(held).toBeGreaterThan(40);
  });

  it("does not fill up by setting one entry over and over", () => {
    const cache = cacheOf(20);
    cache.set("idle", { weight: 1 });
    for (let at = 0; at < 1_000; at++) cache.set("busy", { weight: 3 });
    expect(cache.get("idle")).toBeDefined();
  });

  it("is empty once it was cleared", () => {
    const cache = cacheOf(4);
    for (const key of ["a", "b", "c", "d"]) cache.set(key, { weight: 1 });
    cache.clear();
    for (const key of ["a", "b", "c", "d"]) expect(cache.get(key)).toBe(undefined);
  });
});
