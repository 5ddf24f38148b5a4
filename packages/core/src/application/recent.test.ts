import { describe, expect, it } from "vitest";
import { Recent } from "./recent.ts";

const kept = (recent: Recent<number>, names: readonly string[]): readonly string[] =>
  names.filter((name) => recent.get(name) !== undefined);

describe("what is kept of late", () => {
  it("is what was set last, whatever became of the rest", () => {
    const recent = new Recent<number>(4);
    for (const [value, name] of ["a", "b", "c", "d", "e"].entries()) recent.set(name, value);
    expect(kept(recent, ["a", "b"])).toStrictEqual([]);
    expect(recent.get("e")).toBe(4);
    expect(recent.get("c")).toBe(2);
  });

  it("stays as long as it is used", () => {
    const recent = new Recent<number>(4);
    recent.set("used", 1);
    for (let value = 0; value < 100; value++) {
      recent.set(`other-${value}`, value);
      expect(recent.get("used")).toBe(1);
    }
  });

  it("is never more than the bound", () => {
    const recent = new Recent<number>(10);
    const names = Array.from({ length: 1_000 }, (_, nth) => `n-${nth}`);
    for (const [value, name] of names.entries()) recent.set(name, value);
    expect(kept(recent, names).length).toBeLessThanOrEqual(10);
  });

  it("is gone once it is deleted, from both generations", () => {
    const recent = new Recent<number>(2);
    recent.set("a", 1);
    recent.set("b", 2);
    recent.set("b", 3);
    recent.delete("a");
    recent.delete("b");
    expect(kept(recent, ["a", "b"])).toStrictEqual([]);
  });

  it("has the value that was set last, though an older one waits in the old generation", () => {
    const recent = new Recent<number>(2);
    recent.set("a", 1);
    recent.set("b", 2);
    recent.set("a", 3);
    expect(recent.get("a")).toBe(3);
  });
});
