import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson, type Json } from "./canonical-json.ts";

const leaf = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.string({ unit: "binary" }),
  fc.string({ unit: "grapheme" }),
);
const name = fc.string({ unit: "binary-ascii", maxLength: 6 }).filter((key) => key !== "__proto__");
const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { depthSize: "small" },
    leaf,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(name, tie("value"), { maxKeys: 5, noNullPrototype: true }),
  ),
})).value;

/** The same value with the members of every object in the opposite order. */
const reversed = (value: Json): Json => {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([key, member]) => [key, reversed(member)]),
  );
};

describe("canonical JSON", () => {
  it("is the value it was made of", () => {
    fc.assert(
      fc.property(json, (value) => {
        expect(JSON.parse(canonicalJson(value))).toStrictEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });

  it("is the same text for the same value, in whatever order its members came", () => {
    fc.assert(
      fc.property(json, (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(reversed(value))).toBe(text);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
      }),
    );
  });

  it("is another text for another value", () => {
    fc.assert(
      fc.property(json, json, (a, b) => {
        const isSame = canonicalJson(a) === canonicalJson(b);
        const isEqual =
          canonicalJson(JSON.parse(JSON.stringify(a))) ===
          canonicalJson(JSON.parse(JSON.stringify(b)));
        expect(isSame).toBe(isEqual);
      }),
    );
  });

  it.for([
    [{ b: 1, a: [true, null, "x"] }, '{"a":[true,null,"x"],"b":1}'],
    [{ $b: "", B: "", a: "", A1: "" }, '{"$b":"","A1":"","B":"","a":""}'],
    [{ "10": 1, "9": 2, a: {} }, '{"10":1,"9":2,"a":{}}'],
    ['"\\\u0000\u001f/\u2028', '"\\"\\\\\\u0000\\u001f/\u2028"'],
    ["\ud800", '"\\ud800"'],
    [-0, "0"],
    [[], "[]"],
  ] as const)("of %j is %s", ([value, text]) => {
    expect(canonicalJson(value)).toBe(text);
  });

  it.for([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])("refuses %d", (value) => {
    expect(() => canonicalJson({ a: [value] })).toThrow(TypeError);
  });
});
