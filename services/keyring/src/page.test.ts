import { describe, expect, it } from "vitest";
import { takeBytes } from "./page.ts";

const itself = (bytes: number): number => bytes;

describe("a page cut by bytes", () => {
  it("holds all that fits, to the last byte", () => {
    expect(takeBytes([3, 3, 4], itself, 10)).toStrictEqual([3, 3, 4]);
    expect(takeBytes([3, 3, 5], itself, 10)).toStrictEqual([3, 3]);
    expect(takeBytes([], itself, 10)).toStrictEqual([]);
  });

  it("holds one message at least, so that readers get past it", () => {
    expect(takeBytes([11, 1], itself, 10)).toStrictEqual([11]);
  });

  it("keeps the order: what is small does not overtake what is large", () => {
    expect(takeBytes([4, 7, 1], itself, 10)).toStrictEqual([4]);
  });

  it("measures nothing behind the cut", () => {
    const measured: number[] = [];
    takeBytes([6, 6, 6, 6], (bytes) => measured.push(bytes) && bytes, 10);
    expect(measured).toStrictEqual([6, 6]);
  });
});
