import { nodeHost } from "@keyledger/runtime";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  checkpointKey,
  encodeCheckpoint,
  furthestCheckpoint,
} from "../../packages/cluster/src/kafka-checkpoint.ts";

const { crypto } = nodeHost();
const key = checkpointKey("0198c0de-0000-7000-8000-00000000000d", "changes");
const checkpoint = (position: string, under = key) => ({
  key: under,
  value: encodeCheckpoint(crypto, under, position),
});
const furthest = (...entries: { key: string; value: string | null }[]) =>
  furthestCheckpoint(crypto, key, entries);

describe("The checkpoint of a feed", () => {
  it("is none at first", () => {
    expect(furthest()).toBeNull();
  });

  it("is the furthest of them, also where a slower relay wrote last", () => {
    expect(furthest(checkpoint("0a01"), checkpoint("0a09"), checkpoint("0a04"))).toBe("0a09");
  });

  it("is that of its own deployment and feed", () => {
    const access = checkpointKey("0198c0de-0000-7000-8000-00000000000d", "access");
    const foreign = checkpointKey("0198c0de-0000-7000-8000-00000000000e", "changes");
    expect(
      furthest(checkpoint("0a01"), checkpoint("0a05", access), checkpoint("0a07", foreign)),
    ).toBe("0a01");
    // Neither does a copy under our key count: the checksum covers the key.
    expect(furthest(checkpoint("0a01"), { ...checkpoint("0a05", access), key })).toBe("0a01");
  });

  it("starts over behind a record without value", () => {
    const reset = { key, value: null };
    expect(furthest(checkpoint("0a09"), reset)).toBeNull();
    expect(furthest(checkpoint("0a09"), reset, checkpoint("0a02"))).toBe("0a02");
  });

  it("falls back to the one before where it is damaged, whichever way", () => {
    const whole = encodeCheckpoint(crypto, key, "0a09");
    for (let at = 0; at < whole.length; at++) {
      expect(furthest(checkpoint("0a01"), { key, value: whole.slice(0, at) })).toBe("0a01");
      const other = whole[at] === "0" ? "1" : "0";
      const flipped = whole.slice(0, at) + other + whole.slice(at + 1);
      expect(furthest(checkpoint("0a01"), { key, value: flipped })).toBe("0a01");
    }
    for (const value of ["", "{}", "null", `${whole} `, `${whole}\n`, `{"position":"0a09"}`]) {
      expect(furthest(checkpoint("0a01"), { key, value })).toBe("0a01");
    }
  });

  it("is never beyond what was written intact, after any mix of relays and damage", () => {
    const entry = fc.tuple(
      fc.constantFrom("whole", "torn", "foreign"),
      fc.integer({ min: 0, max: 255 }),
    );
    fc.assert(
      fc.property(fc.array(entry, { maxLength: 50 }), (entries) => {
        const hex = (place: number) => `0a${place.toString(16).padStart(2, "0")}`;
        const found = furthest(
          ...entries.map(([kind, place]) => {
            const { value } = checkpoint(hex(place), kind === "foreign" ? "another" : key);
            return { key, value: kind === "torn" ? value.slice(0, -place - 1) : value };
          }),
        );
        const places = entries.filter(([kind]) => kind === "whole").map(([, place]) => place);
        expect(found).toBe(places.length === 0 ? null : hex(Math.max(...places)));
      }),
    );
  });
});
