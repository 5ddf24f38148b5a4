import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EMBEDDED_ACCESS, EMBEDDED_CHANGES, positionsOf } from "./position.ts";

const DEPLOYMENT = "0198c5d2-7a31-7bb0-8f4e-0123456789ab";
const positions = positionsOf(EMBEDDED_CHANGES, DEPLOYMENT);

describe("A position token", () => {
  it("is feed, deployment and a 64-bit number as lower-case hex", () => {
    expect(positions.encode(0xabc)).toBe(
      "01" + "0198c5d27a317bb08f4e0123456789ab" + "0000000000000abc",
    );
    expect(positions.zero).toBe(positions.encode(0));
  });

  it("is ordered as text the way its numbers are", () => {
    const sequence = fc.nat({ max: Number.MAX_SAFE_INTEGER });
    fc.assert(
      fc.property(sequence, sequence, (a, b) => {
        expect(positions.encode(a) < positions.encode(b)).toBe(a < b);
        expect(positions.parse(positions.encode(a))).toBe(a);
      }),
    );
  });

  it("is known up to the head and ahead beyond it", () => {
    const checks = [0, 6, 7, 8, 2 ** 60].map((at) => positions.check(positions.encode(at), 7));
    expect(checks).toStrictEqual(["known", "known", "known", "ahead", "ahead"]);
  });

  it.for([
    ["another feed's", positionsOf(EMBEDDED_ACCESS, DEPLOYMENT).encode(1)],
    ["another deployment's", positionsOf(EMBEDDED_CHANGES, DEPLOYMENT.replace("a", "b")).encode(1)],
    ["in upper case", positions.encode(0xa).toUpperCase()],
    ["too short", positions.encode(1).slice(0, -1)],
    ["too long", `${positions.encode(1)}0`],
    ["with a sign", positions.encode(1).replace(/0001$/, "+001")],
    ["with a line break behind it", `${positions.encode(1)}\n`],
    ["empty", ""],
  ] as const)("is foreign when it is %s", ([, token]) => {
    expect(positions.check(token, 7)).toBe("foreign");
    expect(() => positions.sequenceOf(token, 7)).toThrow(RangeError);
  });

  it("is never read behind when it lies beyond the end", () => {
    expect(positions.sequenceOf(positions.encode(7), 7)).toBe(7);
    expect(() => positions.sequenceOf(positions.encode(8), 7)).toThrow(RangeError);
  });
});
