import { create } from "@bufbuild/protobuf";
import { TimestampSchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { instantText } from "./instant.ts";

const textOf = (ms: number) =>
  instantText(
    create(TimestampSchema, { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1e6 }),
  );

describe("The text of an instant", () => {
  it.for([
    "1970-01-01T00:00:00.000Z",
    "2000-02-29T23:59:59.999Z",
    "2024-12-31T00:00:00.001Z",
    "2100-02-28T12:00:00.010Z",
    "2100-03-01T00:00:00.100Z",
    "9999-12-31T23:59:59.999Z",
  ])("is %s", (text) => expect(textOf(Date.parse(text))).toBe(text));

  it("is what Date writes, from 1970 to 9999", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: Date.parse("9999-12-31T23:59:59.999Z") }), (ms) => {
        expect(textOf(ms)).toBe(new Date(ms).toISOString());
      }),
      { numRuns: 5_000 },
    );
  });
});
