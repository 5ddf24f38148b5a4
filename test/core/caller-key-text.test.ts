import { crc32 } from "node:zlib";
import { CALLER_KEY_PREFIX, CALLER_KEY_RANDOM_BYTES, parseCallerKey } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatCallerKey } from "../../packages/core/src/application/caller-key-text.ts";

const { crypto } = nodeHost();
const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const anyId = bytes(16).map((raw) =>
  Buffer.from(raw)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5"),
);
const anyRandom = fc.oneof(
  bytes(CALLER_KEY_RANDOM_BYTES),
  fc.constantFrom(new Uint8Array(32), new Uint8Array(32).fill(255)),
);

const format = (id: string, random: Uint8Array): string =>
  Buffer.from(formatCallerKey(crypto, id, random)).toString("latin1");
const parse = (text: string) => parseCallerKey(crypto, text);

/** The text computed another way: as one big number. */
function expected(id: string, random: Uint8Array): string {
  const body = Buffer.concat([Buffer.from(id.replaceAll("-", ""), "hex"), random]);
  const check = Buffer.alloc(4);
  check.writeUInt32BE(crc32(body));
  let number = BigInt(`0x${Buffer.concat([body, check]).toString("hex")}`);
  let digits = "";
  for (; digits.length < 70; number /= 62n) digits = ALPHABET.charAt(Number(number % 62n)) + digits;
  return CALLER_KEY_PREFIX + digits;
}

describe("the text of a caller key", () => {
  it("is the base-62 number of id, random bytes and checksum", () => {
    fc.assert(
      fc.property(anyId, anyRandom, (id, random) => {
        expect(format(id, random)).toBe(expected(id, random));
      }),
      { numRuns: 300 },
    );
  });

  it("is this one for these bytes, for ever", () => {
    const id = "0190f3a2-7c1e-7b3a-9f00-0123456789ab";
    const random = Uint8Array.from({ length: 32 }, (_, at) => at);
    expect(format(id, random)).toBe(
      "neo_sk_0DZ68cw5m5CLD1UauCzJgA55n40F9HotelPbdsm32TfuraB3QUep7JXsGWpZMussqQrDax",
    );
  });

  it("reads back as the id and the bytes it was made of", () => {
    fc.assert(
      fc.property(anyId, anyRandom, (id, random) => {
        const read = parse(format(id, random));
        expect(read?.id).toBe(id);
        expect([...(read?.random ?? [])]).toStrictEqual([...random]);
      }),
      { numRuns: 300 },
    );
  });

  it("is refused with one character changed, whichever and to whatever", () => {
    fc.assert(
      fc.property(
        anyId,
        anyRandom,
        fc.nat({ max: 69 }),
        fc.constantFrom(...ALPHABET, "-", "_", " ", "é", "\u0000"),
        (id, random, at, character) => {
          const text = format(id, random);
          const place = CALLER_KEY_PREFIX.length + at;
          fc.pre(text.charAt(place) !== character);
          expect(parse(text.slice(0, place) + character + text.slice(place + 1))).toBeUndefined();
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it("is refused with two neighbours swapped", () => {
    fc.assert(
      fc.property(anyId, anyRandom, fc.nat({ max: 68 }), (id, random, at) => {
        const text = format(id, random);
        const place = CALLER_KEY_PREFIX.length + at;
        const [a, b] = [text.charAt(place), text.charAt(place + 1)];
        fc.pre(a !== b);
        expect(parse(text.slice(0, place) + b + a + text.slice(place + 2))).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });

  it("is refused in any other length, or behind another prefix", () => {
    const text = format("0190f3a2-7c1e-7b3a-9f00-0123456789ab", new Uint8Array(32));
    for (const wrong of [
      "",
      CALLER_KEY_PREFIX,
      text.slice(0, -1),
      `${text}0`,
      `0${text}`,
      ` ${text}`,
      text.replace("neo_sk_", "NEO_SK_"),
      text.replace("neo_sk_", "neo_pk_"),
      `${text.slice(0, 7)}0${text.slice(7)}`,
    ]) {
      expect(parse(wrong)).toBeUndefined();
    }
  });

  it("is refused where it says a number beyond 52 bytes", () => {
    expect(parse(CALLER_KEY_PREFIX + "z".repeat(70))).toBeUndefined();
    // 2^416 itself, one more than the largest number there is room for.
    let number = 2n ** 416n;
    let digits = "";
    for (; digits.length < 70; number /= 62n)
      digits = ALPHABET.charAt(Number(number % 62n)) + digits;
    expect(parse(CALLER_KEY_PREFIX + digits)).toBeUndefined();
  });

  it("is the only one for its key: the same number with room to spare is no other", () => {
    fc.assert(
      fc.property(anyId, anyRandom, (id, random) => {
        const digitsOfKey = [...format(id, random).slice(CALLER_KEY_PREFIX.length)];
        const number =
          2n ** 416n +
          digitsOfKey.reduce((sum, digit) => sum * 62n + BigInt(ALPHABET.indexOf(digit)), 0n);
        let digits = "";
        for (let rest = number; digits.length < 70; rest /= 62n) {
          digits = ALPHABET.charAt(Number(rest % 62n)) + digits;
        }
        // Where there is no room for it in 70 digits, the number above is cut off and proves nothing.
        fc.pre(number < 62n ** 70n);
        expect(parse(CALLER_KEY_PREFIX + digits)).toBeUndefined();
      }),
      { numRuns: 100 },
    );
  });

  it("of zeros alone is refused only for its checksum", () => {
    const zeros = CALLER_KEY_PREFIX + "0".repeat(70);
    expect(parse(zeros)).toBeUndefined();
    const nil = "00000000-0000-0000-0000-000000000000";
    expect(parse(format(nil, new Uint8Array(32)))?.id).toBe(nil);
  });
});
