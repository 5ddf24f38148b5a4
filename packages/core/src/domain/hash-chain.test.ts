import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { lengthPrefixed } from "./hash-chain.ts";

const part = fc.uint8Array({ maxLength: 6 });
const parts = fc.array(part, { maxLength: 5 });

/** Reads a list back, so that the encoding is shown to lose nothing. */
function read(bytes: Uint8Array): Uint8Array[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found: Uint8Array[] = [];
  for (let at = 0; at < bytes.byteLength; ) {
    const length = view.getUint32(at);
    found.push(bytes.slice(at + 4, at + 4 + length));
    at += 4 + length;
  }
  return found;
}

describe("length-prefixed parts", () => {
  it("stand behind their lengths as big-endian uint32", () => {
    const list = [Uint8Array.of(7, 8), Uint8Array.of(), Uint8Array.of(9)];
    expect([...lengthPrefixed(list)]).toStrictEqual([0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9]);
    expect([...lengthPrefixed([])]).toStrictEqual([]);
  });

  it("count lengths beyond one byte", () => {
    expect([...lengthPrefixed([new Uint8Array(0x1_02_03)]).subarray(0, 4)]).toStrictEqual([
      0, 1, 2, 3,
    ]);
  });

  it("can be read back, so no two lists give the same bytes", () => {
    fc.assert(
      fc.property(parts, (list) => {
        expect(read(lengthPrefixed(list))).toStrictEqual(list.map((one) => Uint8Array.from(one)));
      }),
    );
  });

  it("move nothing from one part to the next", () => {
    fc.assert(
      fc.property(part, part, part, (a, b, c) => {
        fc.pre(b.length > 0);
        const left = lengthPrefixed([Uint8Array.of(...a, ...b), c]);
        const right = lengthPrefixed([a, Uint8Array.of(...b, ...c)]);
        expect([...left]).not.toStrictEqual([...right]);
      }),
    );
  });
});
