import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CLUSTER_ACCESS, CLUSTER_CHANGES, positionsOf } from "./kurrent-position.ts";

const DEPLOYMENT = "0198c0de-0000-7000-8000-00000000abcd";
const positions = positionsOf(CLUSTER_CHANGES, DEPLOYMENT);
const number = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const position = fc.record({ commit: number, prepare: number }, { noNullPrototype: true });

describe("A position in KurrentDB's log", () => {
  it("is one byte for the feed, the deployment, and two big-endian numbers", () => {
    const token = positions.encode({ commit: 258n, prepare: 2n ** 64n - 1n });
    expect(token).toBe(`110198c0de00007000800000000000abcd${"0000000000000102"}${"f".repeat(16)}`);
    expect(positions.zero).toBe(`110198c0de00007000800000000000abcd${"0".repeat(32)}`);
  });

  it("comes back as it was, and is ordered bytewise", () => {
    fc.assert(
      fc.property(position, position, (a, b) => {
        expect(positions.parse(positions.encode(a))).toStrictEqual(a);
        const order = a.commit === b.commit ? a.prepare - b.prepare : a.commit - b.commit;
        const [x, y] = [positions.encode(a), positions.encode(b)];
        expect(x < y).toBe(order < 0n);
        expect(x > y).toBe(order > 0n);
      }),
    );
  });

  it.for([
    ["of the other feed", positionsOf(CLUSTER_ACCESS, DEPLOYMENT).zero],
    [
      "of another deployment",
      positionsOf(CLUSTER_CHANGES, DEPLOYMENT.replace("abcd", "abce")).zero,
    ],
    ["of the embedded family", `01${positions.zero.slice(2)}`],
    ["that is too short", positions.zero.slice(1)],
    ["that is too long", `${positions.zero}0`],
    ["in capitals", positions.encode({ commit: 10n, prepare: 10n }).toUpperCase()],
    ["that is empty", ""],
  ])("is none that is %s", ([, token]) => {
    expect(positions.parse(token ?? "")).toBeUndefined();
  });
});
