import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { keyFlaw, plainKey } from "./plain-key.ts";

const bytes = (text: string) => Buffer.from(text, "utf8");
const { parse, checkLocation } = plainKey({
  prefixes: ["sk-"],
  wrongKinds: [{ prefix: "sk-admin-", description: "must not be an admin key" }],
});

describe("A plain key", () => {
  it("may hold every visible ASCII character, and no other byte at any place", () => {
    const places = [0, 8, 15];
    for (let byte = 0; byte < 256; byte++) {
      for (const place of places) {
        const key = Buffer.alloc(16, "k");
        key[place] = byte;
        const isVisible = byte > 0x20 && byte < 0x7f;
        expect(keyFlaw(key) === undefined, `byte ${byte} at ${place}`).toBe(isVisible);
      }
    }
  });

  it("has 8 to 8192 bytes", () => {
    expect(keyFlaw(Buffer.alloc(7, "k"))).toBe("must be 8 to 8192 bytes long");
    expect(keyFlaw(Buffer.alloc(8, "k"))).toBeUndefined();
    expect(keyFlaw(Buffer.alloc(8192, "k"))).toBeUndefined();
    expect(keyFlaw(Buffer.alloc(8193, "k"))).toBe("must be 8 to 8192 bytes long");
  });

  it.for(["https://api.openai.com/v1", "HTTP://example.com/key", "hTtPs://x.example"])(
    "is no URL: %s",
    (url) => {
      expect(keyFlaw(bytes(url))).toBe("must be a key, not a URL");
    },
  );

  it("is refused for being of the wrong kind, in the provider's words of ours", () => {
    expect(parse(bytes("sk-admin-0123456789"), null)).toStrictEqual([
      { field: "secret", description: "must not be an admin key" },
    ]);
  });

  it("is never refused for an unknown prefix or length", () => {
    const visible = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 8,
      maxLength: 300,
    });
    fc.assert(
      fc.property(visible, (key) => {
        fc.pre(!/^(https?:\/\/|sk-admin-)/i.test(key));
        expect(parse(bytes(key), null)).toMatchObject({ location: null, expiresAt: null });
      }),
    );
  });

  it("has no location, and takes no notice of one", () => {
    expect(parse(bytes("sk-0123456789abcdef"), "us-east-1")).toStrictEqual({
      label: "sk-...cdef",
      location: null,
      expiresAt: null,
    });
    expect(checkLocation("us-east-1")).toStrictEqual({ location: null });
  });
});
