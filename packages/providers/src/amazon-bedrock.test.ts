import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { amazonBedrock } from "./amazon-bedrock.ts";
import { parseShortTermKey } from "./bedrock-short-term-key.ts";

/** AWS's own published examples. */
const ID = "AKIAIOSFODNN7EXAMPLE";
const SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
const IAM = { accessKeyId: ID, secretAccessKey: SECRET };
const SNAKE = { access_key_id: ID, secret_access_key: SECRET };

/** Made by AWS's algorithm with those keys: us-west-2, 3600 seconds from 2026-01-02T03:04:05Z. */
const SHORT_TERM =
  "bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29tLz9BY3Rpb249Q2FsbFdpdGhCZWFyZXJUb2tlbiZYLUFtei1BbGdvcml0aG09QVdTNC1ITUFDLVNIQTI1NiZYLUFtei1DcmVkZW50aWFsPUFLSUFJT1NGT0ROTjdFWEFNUExFJTJGMjAyNjAxMDIlMkZ1cy13ZXN0LTIlMkZiZWRyb2NrJTJGYXdzNF9yZXF1ZXN0JlgtQW16LURhdGU9MjAyNjAxMDJUMDMwNDA1WiZYLUFtei1FeHBpcmVzPTM2MDAmWC1BbXotU2lnbmF0dXJlPTViYzNmMmNjZTY2OTVlZTM3NDNmN2Q3OTc3YTE4ZmNiMjljZDljODllYTI5MzhjNjk3YWNhOTMwNjM3ZTU0MzImWC1BbXotU2lnbmVkSGVhZGVycz1ob3N0JlZlcnNpb249MQ==";

const parse = (material: string | object, location: string | null = null) =>
  amazonBedrock.parse(
    Buffer.from(typeof material === "string" ? material : JSON.stringify(material)),
    location,
  );
const refusedField = (parsed: ReturnType<typeof parse>) =>
  "label" in parsed ? undefined : parsed.map(({ field }) => field);

const shortTerm = (query: string) =>
  Buffer.from(
    `bedrock-api-key-${btoa(`bedrock.amazonaws.com/?Action=CallWithBearerToken${query}`)}`,
  );
const SCOPE =
  "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260102%2Feu-west-1%2Fbedrock%2Faws4_request";
const DATE = "&X-Amz-Date=20260102T030405Z";

describe("A short-term Bedrock API key", () => {
  it("says its region and its end", () => {
    expect(parseShortTermKey(Buffer.from(SHORT_TERM))).toStrictEqual({
      region: "us-west-2",
      expiresAt: "2026-01-02T04:04:05.000Z",
    });
  });

  it("lives for twelve hours where it does not say how long", () => {
    expect(parseShortTermKey(shortTerm(SCOPE + DATE))).toStrictEqual({
      region: "eu-west-1",
      expiresAt: "2026-01-02T15:04:05.000Z",
    });
  });

  it.for([
    ["no credential scope", DATE],
    ["a scope without a region", `&X-Amz-Credential=AKIA%2F20260102${DATE}`],
    ["no date", SCOPE],
    ["a date that is none", `${SCOPE}&X-Amz-Date=20261302T030405Z`],
    ["a date in words", `${SCOPE}&X-Amz-Date=tomorrow`],
    ["no life at all", `${SCOPE + DATE}&X-Amz-Expires=0`],
    ["more than twelve hours", `${SCOPE + DATE}&X-Amz-Expires=43201`],
    ["a life in words", `${SCOPE + DATE}&X-Amz-Expires=long`],
  ] as const)("says nothing when it holds %s", ([, query]) => {
    expect(parseShortTermKey(shortTerm(query))).toBeUndefined();
  });

  it("says nothing when it is no base64, and nothing is thrown for any bytes", () => {
    expect(parseShortTermKey(Buffer.from("bedrock-api-key-%%%%"))).toBeUndefined();
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parseShortTermKey(Buffer.concat([Buffer.from("bedrock-api-key-"), bytes]));
      }),
    );
  });

  it("reads base64 of every length", () => {
    for (let pad = 0; pad < 6; pad++) {
      const key = shortTerm(`${SCOPE + DATE}&X-Amz-Expires=60&pad=${"x".repeat(pad)}`);
      expect(parseShortTermKey(key)?.expiresAt).toBe("2026-01-02T03:05:05.000Z");
    }
  });

  it("belongs to its own region only", () => {
    const described = {
      label: "bedrock-...MQ==",
      location: "us-west-2",
      expiresAt: "2026-01-02T04:04:05.000Z",
    };
    expect(parse(SHORT_TERM)).toStrictEqual(described);
    expect(parse(SHORT_TERM, "us-west-2")).toStrictEqual(described);
    expect(refusedField(parse(SHORT_TERM, "us-east-1"))).toStrictEqual(["location"]);
  });

  it("that cannot be read is as good as any other key", () => {
    expect(parse("bedrock-api-key-%%%%abcd", "eu-west-1")).toStrictEqual({
      label: "bedrock-...abcd",
      location: "eu-west-1",
      expiresAt: null,
    });
  });
});

describe("A credential for Amazon Bedrock", () => {
  it.for([
    ["a long-term key", `ABSK${"x".repeat(100)}AbCd`, null, "us-east-1", "ABSK...AbCd"],
    [
      "a long-term key elsewhere",
      `ABSK${"x".repeat(100)}AbCd`,
      "eu-west-1",
      "eu-west-1",
      "ABSK...AbCd",
    ],
    ["IAM keys", IAM, null, "us-east-1", "AKIA...MPLE"],
    ["IAM keys with a region", { ...IAM, region: "eu-west-1" }, null, "eu-west-1", "AKIA...MPLE"],
    [
      "IAM keys with another",
      { ...IAM, region: "eu-west-1" },
      "us-gov-west-1",
      "us-gov-west-1",
      "AKIA...MPLE",
    ],
    ["IAM keys in snake case", { ...SNAKE, region: "eu-west-1" }, null, "eu-west-1", "AKIA...MPLE"],
    ["IAM keys with a token", { ...IAM, sessionToken: "FwoG" }, null, "us-east-1", "AKIA...MPLE"],
    [
      "temporary IAM keys",
      { ...IAM, accessKeyId: `ASIA${ID.slice(4)}`, sessionToken: "FwoG" },
      null,
      "us-east-1",
      "ASIA...MPLE",
    ],
    [
      "a map with the default region",
      { "us-east-1": SNAKE, "eu-west-1": SNAKE },
      null,
      "us-east-1",
      "AKIA...MPLE",
    ],
    [
      "a map with a region asked for",
      { "us-east-1": SNAKE, "eu-west-1": IAM },
      "eu-west-1",
      "eu-west-1",
      "AKIA...MPLE",
    ],
    [
      "a map for every region",
      { global: SNAKE },
      "ap-southeast-2",
      "ap-southeast-2",
      "AKIA...MPLE",
    ],
    ["a map for every region, unasked", { global: SNAKE }, null, "us-east-1", "AKIA...MPLE"],
    [
      "a map without the default region",
      { "eu-west-1": SNAKE, "eu-west-3": SNAKE },
      null,
      "eu-west-1",
      "AKIA...MPLE",
    ],
  ] as const)("may be %s", ([, form, location, region, label]) => {
    expect(parse(form, location)).toStrictEqual({ label, location: region, expiresAt: null });
  });

  it("shows the entry for every region of a map, not the one that came first", () => {
    const other = { ...SNAKE, access_key_id: "AKIAI44QH8DHBEXAMPL2" };
    expect(parse({ "eu-west-1": SNAKE, global: other })).toMatchObject({ label: "AKIA...MPL2" });
  });

  it.for([
    "{}",
    "[]",
    "{",
    "[1]",
    '{"x":1}',
    "short",
    "ABSK with spaces",
    { accessKeyId: ID },
    { secretAccessKey: SECRET },
    { ...IAM, accessKeyId: "" },
    { ...IAM, secretAccessKey: 1 },
    { ...IAM, secretAccessKey: "a b" },
    { ...IAM, secretAccessKey: "a\r\nb" },
    { ...IAM, sessionToken: "a\nb" },
    { ...IAM, sessionToken: 1 },
    { ...IAM, accessKeyId: `ASIA${ID.slice(4)}` },
    { ...IAM, accessKeyId: `ASIA${ID.slice(4)}`, sessionToken: null },
    { ...IAM, region: "us-east-1.evil.tld/#" },
    { "us-east-1": SNAKE, global: {} },
    { "us-east-1": SNAKE, global: null },
    { "us-east-1": SNAKE, "evil.tld/": SNAKE },
    { "us-east-1": [SNAKE] },
    '{"__proto__":{"access_key_id":"AKIAIOSFODNN7EXAMPLE","secret_access_key":"s"}}',
  ])("is refused as %j", (form) => {
    expect(refusedField(parse(form))).toStrictEqual(["secret"]);
  });

  it("that is a map has at most 40 entries", () => {
    const map = (count: number) =>
      Object.fromEntries(Array.from({ length: count }, (_, n) => [`us-east-${n}`, SNAKE]));
    expect(refusedField(parse(map(40)))).toBeUndefined();
    expect(refusedField(parse(map(41)))).toStrictEqual(["secret"]);
  });

  it("that is a map serves no region it does not hold", () => {
    expect(refusedField(parse({ "eu-west-1": SNAKE }, "us-east-1"))).toStrictEqual(["location"]);
  });

  it("has at most 16384 bytes as JSON", () => {
    const padded = (length: number) => {
      const text = JSON.stringify({ ...IAM, pad: "" });
      return JSON.stringify({ ...IAM, pad: "x".repeat(length - text.length) });
    };
    expect(refusedField(parse(padded(16384)))).toBeUndefined();
    expect(refusedField(parse(padded(16385)))).toStrictEqual(["secret"]);
  });
});

describe("An AWS region", () => {
  it.for([
    "us-east-1",
    "eu-central-2",
    "ap-southeast-10",
    "us-gov-west-1",
    "us-iso-east-1",
    "us-isob-east-1",
  ])("may be %s", (region) => {
    expect(amazonBedrock.checkLocation(region)).toStrictEqual({ location: region });
  });

  it("is us-east-1 where none is given", () => {
    expect(amazonBedrock.checkLocation(null)).toStrictEqual({ location: "us-east-1" });
    expect(amazonBedrock.checkLocation(" ")).toStrictEqual({ location: "us-east-1" });
  });

  it.for([
    "US-EAST-1",
    "us-east-1.evil.com/#",
    "us-east-1/../x",
    "us-east-1@evil.com",
    "us-east-1%00",
    "us-east-123",
    "us-east",
    "useast1",
    "global",
    "evil.com",
    "127.0.0.1",
    `us-${"a".repeat(60)}-1`,
    "ｕs-east-1",
  ])("may not be %j", (region) => {
    expect(amazonBedrock.checkLocation(region)).toMatchObject([{ field: "location" }]);
  });

  it("keeps every host name it gets into under amazonaws.com", () => {
    const piece = fc.constantFrom(
      ..."us eu - east west 1 2 . / @ # ? : evil.com gov iso \\ %".split(" "),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece, { maxLength: 8 }).map((all) => all.join("")),
          fc.string(),
        ),
        (region) => {
          const checked = amazonBedrock.checkLocation(region);
          if (!("location" in checked)) return;
          const url = new URL(`https://bedrock.${checked.location}.amazonaws.com/x`);
          expect(url.host).toBe(`bedrock.${checked.location}.amazonaws.com`);
        },
      ),
      { numRuns: 10_000 },
    );
  });
});
