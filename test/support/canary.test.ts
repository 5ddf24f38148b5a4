import { gzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { Canaries, ENCODINGS, type Encoding, type Shape } from "./canary.ts";

/** A text around the secret, so that it never stands at the start. */
const among = (text: string): Buffer => Buffer.from(`{"some":"${text}","other":1}`);

const written: Readonly<Record<Encoding, (secret: string) => Buffer>> = {
  raw: among,
  "base64, offset 0": (secret) => Buffer.from(Buffer.from(`abc${secret}`).toString("base64")),
  "base64, offset 1": (secret) => Buffer.from(Buffer.from(`abcd${secret}`).toString("base64")),
  "base64, offset 2": (secret) => Buffer.from(Buffer.from(`abcde${secret}`).toString("base64")),
  base64url: (secret) => among(Buffer.from(secret).toString("base64url")),
  hex: (secret) => among(Buffer.from(secret).toString("hex")),
  HEX: (secret) => among(Buffer.from(secret).toString("hex").toUpperCase()),
  percent: (secret) => among(encodeURIComponent(secret)),
  JSON: (secret) => Buffer.from(JSON.stringify({ some: secret })),
  "UTF-16": (secret) => Buffer.from(`x${secret}x`, "utf16le"),
  reversed: (secret) => among([...secret].reverse().join("")),
  gzip: (secret) =>
    Buffer.concat([Buffer.from("head"), gzipSync(among(secret)), Buffer.from("tail")]),
};

describe("the search for canaries", () => {
  it.each(["plain", "lower", "spiky"] as const)(
    "finds a %s one in all twelve encodings",
    (shape: Shape) => {
      for (const encoding of ENCODINGS) {
        const canaries = new Canaries();
        // A prefix of three bytes, so that the offsets are those of the core.
        const secret = canaries.make("the place", { prefix: "sk-", shape });
        const hits = canaries.search(written[encoding](secret));
        const isSame = shape !== "spiky" && (encoding === "percent" || encoding === "JSON");
        const expected = isSame ? "raw" : encoding;
        const found = hits.map(({ encoding: name }) =>
          name.replace("base64url", "base64, offset 0"),
        );
        expect(found.length, encoding).toBeGreaterThan(0);
        expect(hits.every(({ canary }) => canary === "the place")).toBe(true);
        if (encoding !== "base64url") expect(hits.map((hit) => hit.encoding)).toContain(expected);
      }
    },
  );

  it("finds half of one, both byte orders of UTF-16, and an escaped text within a text", () => {
    const canaries = new Canaries();
    const secret = canaries.make("p", { prefix: "", shape: "spiky" });
    const core = secret.slice(0, 24);
    expect(canaries.search(among(core.slice(12)))).toStrictEqual([
      { encoding: "raw", canary: "p" },
    ]);
    expect(canaries.search(Buffer.from(core, "utf16le").swap16())).toHaveLength(1);
    const twice = JSON.stringify(JSON.stringify({ core }));
    expect(canaries.search(twice)).toContainEqual({ encoding: "JSON", canary: "p" });
    const truncated = gzipSync(among(core)).subarray(0, -6);
    expect(canaries.search(truncated)).toStrictEqual([{ encoding: "gzip", canary: "p" }]);
  });

  it("finds nothing in what may be shown, nor in a text without any", () => {
    const canaries = new Canaries();
    const secret = canaries.make("p");
    expect(canaries.search(`sk-...${secret.slice(-4)}`)).toStrictEqual([]);
    expect(canaries.search("x".repeat(100_000))).toStrictEqual([]);
    expect(canaries.search(secret.slice(11, 20))).toStrictEqual([]);
  });

  it("tells thousands of them apart", () => {
    const canaries = new Canaries();
    const secrets = Array.from({ length: 3_000 }, (_, at) => canaries.make(`place ${at}`));
    const text = secrets.filter((_, at) => at % 1_000 === 0).join(" ");
    const found = canaries.search(text).map(({ canary }) => canary);
    expect(new Set(found)).toStrictEqual(new Set(["place 0", "place 1000", "place 2000"]));
  });
});
