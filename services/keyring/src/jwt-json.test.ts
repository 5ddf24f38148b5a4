import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { repeatsAName } from "./jwt-json.ts";

describe("A JSON text repeats a name", () => {
  it.for([
    '{"a":1,"a":2}',
    '{"a":1,"b":2,"a":3}',
    '{"a":1, "\\u0061" : 2}',
    '{"":1,"":2}',
    '{"__proto__":1,"__proto__":2}',
    '[{"a":1},{"b":{"c":1,"c":2}}]',
    '{"a":{"x":1},"b":[{"x":1}],"a":0}',
    '{"a":"}","a":"{"}',
    '{"\\"":1,"\\"":2}',
  ])("in %s", (json) => {
    expect(repeatsAName(json)).toBe(true);
  });

  it.for([
    "{}",
    "[]",
    '"a"',
    "1",
    '{"a":1,"A":2}',
    '{"a":{"a":{"a":1}}}',
    '[{"a":1},{"a":1}]',
    '{"a":"a","b":"a"}',
    '{"a":"\\"a\\":","b":["a","a"]}',
    '{"a":"\\\\","b":1}',
  ])("not in %s", (json) => {
    expect(repeatsAName(json)).toBe(false);
  });

  it("in nothing that a serializer writes", () => {
    fc.assert(
      fc.property(fc.json(), (json) => {
        expect(repeatsAName(json)).toBe(false);
      }),
    );
  });

  it("wherever a member of an object is written twice", () => {
    const name = fc.string({ unit: "binary" });
    fc.assert(
      fc.property(name, fc.json(), fc.array(fc.json()), (text, value, around) => {
        const member = `${JSON.stringify(text)}:${value}`;
        expect(repeatsAName(`[${[...around, `{${member},${member}}`].join()}]`)).toBe(true);
      }),
    );
  });
});
