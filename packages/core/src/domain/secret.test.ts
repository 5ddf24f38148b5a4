import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Secret, trimMaterial } from "./secret.ts";

const bytes = (text: string): Uint8Array =>
  Uint8Array.from(text, (character) => character.charCodeAt(0));
const text = (material: Uint8Array): string => String.fromCharCode(...material);

describe("a secret", () => {
  it("prints, serialises and enumerates as nothing but [secret]", () => {
    const secret = new Secret(bytes("sk-canary"));
    expect(`${secret}`).toBe("[secret]");
    expect(JSON.stringify({ secret })).toBe('{"secret":"[secret]"}');
    expect(Object.keys(secret)).toStrictEqual([]);
    const inspect = Object.getOwnPropertySymbols(Secret.prototype).find(
      (symbol) => symbol === Symbol.for("nodejs.util.inspect.custom"),
    );
    expect(inspect).toBeDefined();
  });

  it("lends its bytes, and holds zeros once it is disposed of", () => {
    const material = bytes("sk-canary");
    {
      using secret = new Secret(material);
      expect(secret.byteLength).toBe(9);
      expect(secret.use(text)).toBe("sk-canary");
    }
    expect([...material]).toStrictEqual(new Array(9).fill(0));
  });
});

describe("trimming material", () => {
  it.for([
    ["outer blanks", "  sk-x \t"],
    ["line ends of both kinds", "\r\nsk-x\n"],
    ["double quotes", '"sk-x"'],
    ["single quotes", "'sk-x'"],
    ["all of them, nested", " \n'\"sk-x\" '\r\n"],
    ["vertical tab and form feed", "\u000b\u000csk-x"],
  ] as const)("takes away %s", ([, given]) => {
    expect(text(trimMaterial(bytes(given)))).toBe("sk-x");
  });

  it("leaves what is inside alone", () => {
    expect(text(trimMaterial(bytes(' {"a": "b c"} ')))).toBe('{"a": "b c"}');
  });

  it.for(["", " ", '"', "\"'\n "])("leaves nothing of %j", (given) => {
    expect(trimMaterial(bytes(given))).toHaveLength(0);
  });

  it("makes no copy, so that wiping the input wipes what was trimmed", () => {
    const input = bytes(" sk-x ");
    const trimmed = trimMaterial(input);
    input.fill(0);
    expect([...trimmed]).toStrictEqual([0, 0, 0, 0]);
  });

  it("trims what is trimmed no further", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (input) => {
        const once = trimMaterial(input);
        expect(trimMaterial(once)).toStrictEqual(once);
        expect(text(input)).toContain(text(once));
      }),
    );
  });
});
