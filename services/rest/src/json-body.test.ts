import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Failure } from "./failure.ts";
import { readJsonBody } from "./json-body.ts";

const SHAPE = {
  api_key: "secret",
  mode: "text",
  display_name: "nullable text",
  location: "nullable text",
} as const;

const read = (text: string | Uint8Array) => readJsonBody(Buffer.from(text), SHAPE);

const problemOf = (text: string | Uint8Array): string => {
  const result = read(text);
  if (!(result instanceof Failure)) return "accepted";
  expect(result.reason).toBe("INVALID_FIELDS");
  return result.violations.map(({ field, description }) => `${field} ${description}`).join("; ");
};

/** What the reader accepted, with the secret as text, to lay beside what JSON.parse makes of the same bytes. */
const plain = (body: ReturnType<typeof read>): unknown =>
  body instanceof Failure
    ? undefined
    : {
        ...body,
        ...(body.api_key === undefined
          ? {}
          : { api_key: Buffer.from(body.api_key).toString("utf8") }),
      };

describe("Reading a JSON body", () => {
  it("cuts the secret out as bytes of its own and reads the other fields as text", () => {
    const bytes = Buffer.from(
      ' { "api_key" : "sk-\\u00e9\\n" , "display_name":null,"location":"" } ',
    );
    const body = readJsonBody(bytes, SHAPE);
    expect(plain(body)).toStrictEqual({ api_key: "sk-é\n", display_name: null, location: "" });
    if (body instanceof Failure) return;
    expect(body.api_key?.buffer).not.toBe(bytes.buffer);
    expect(body.api_key?.buffer.byteLength).toBe(body.api_key?.byteLength);
  });

  it("accepts an empty object", () => expect(plain(read("{}"))).toStrictEqual({}));

  it("knows a field by its meaning, however it is escaped", () => {
    expect(plain(read('{"\\u0061pi_\\u006bey":"x"}'))).toStrictEqual({ api_key: "x" });
  });

  it.for([
    ["", "body is not a JSON object"],
    ["[]", "body is not a JSON object"],
    ['"x"', "body is not a JSON object"],
    ["{} x", "body is not a JSON object"],
    ['{"mode":"x"', "body is not a JSON object"],
    ['{"mode":"x",}', "body is not a JSON object"],
    ['{mode:"x"}', "body is not a JSON object"],
    ['\ufeff{"mode":"x"}', "body is not a JSON object"],
    ['{"mode":"a\nb"}', "body is not a JSON object"],
    ['{"mode":"\\x41"}', "body is not a JSON object"],
    ['{"mode":"\\u12g4"}', "body is not a JSON object"],
    ['{"other":01}', "body is not a JSON object"],
    ['{"other":+1}', "body is not a JSON object"],
    ['{"other":1.}', "body is not a JSON object"],
    ['{"other":nul}', "body is not a JSON object"],
    ['{"other":{"a"}}', "body is not a JSON object"],
    ['{"mode":"\\ud800"}', "body holds half a surrogate pair"],
    ['{"mode":"\\udc00\\ud800"}', "body holds half a surrogate pair"],
    ['{"mode":"\\ud800\\u0041"}', "body holds half a surrogate pair"],
    ['{"api_key":1}', "api_key must be a string"],
    ['{"api_key":null}', "api_key must be a string"],
    ['{"api_key":{"type":"service_account"}}', "api_key must be a string"],
    ['{"api_key":""}', "api_key is empty"],
    [`{"api_key":"${"x".repeat(16_385)}"}`, "api_key is 16385 bytes, the most is 16384"],
    [`{"api_key":"${"\\u20ac".repeat(5_462)}"}`, "api_key is 16386 bytes, the most is 16384"],
    ['{"display_name":true}', "display_name must be a string or null"],
    ['{"mode":["neo"]}', "mode must be a string"],
    ['{"mode":"a","mode":"a"}', "mode is given twice"],
    ['{"mode":"a","\\u006dode":"b"}', "mode is given twice"],
    ['{"location":null,"location":null}', "location is given twice"],
    ['{"colour":"red"}', "colour is not a field of this request"],
    ['{"__proto__":{"admin":true}}', "__proto__ is not a field of this request"],
    ['{"Colour":"red"}', "an unknown field is not accepted"],
    ['{"":1}', "an unknown field is not accepted"],
    [`{"${"a_".repeat(16)}b":1}`, "an unknown field is not accepted"],
    ['{"sk-ant-api03-abcdef":1}', "an unknown field is not accepted"],
    ['{"neo_sk_abcdefghijk":1}', "an unknown field is not accepted"],
    ['{"sk_live_abcdefghijk":1}', "an unknown field is not accepted"],
    ['{"xqzwvkjhgf_dsapoiuy":1}', "an unknown field is not accepted"],
    ['{"mode":"a","other":[[[[1]]]]}', "body has more than 4 levels"],
    ['{"other":{"a":{"b":{"c":{}}}}}', "body has more than 4 levels"],
    [
      `{${Array.from({ length: 17 }, (_, at) => `"f${at}":1`).join()}}`,
      "body has more than 16 members",
    ],
    [
      `{"other":{${Array.from({ length: 16 }, (_, at) => `"f${at}":1`).join()}}}`,
      "body has more than 16 members",
    ],
  ] as const)("refuses %s: %s", ([text, problem]) => expect(problemOf(text)).toBe(problem));

  it("takes four levels and sixteen members for well-formed", () => {
    expect(problemOf('{"other":[[[1]]]}')).toBe("other is not a field of this request");
    const members = Array.from({ length: 16 }, (_, at) => `"f${at}":1`).join();
    expect(problemOf(`{${members}}`)).toBe("an unknown field is not accepted");
  });

  it("refuses bytes that are not UTF-8", () => {
    for (const bytes of [[0x80], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80, 0x80, 0x80]]) {
      const text = Buffer.concat([Buffer.from('{"mode":"'), Buffer.from(bytes), Buffer.from('"}')]);
      expect(problemOf(text)).toBe("body is not UTF-8");
    }
  });

  it("tells broken JSON before a field of it", () => {
    expect(problemOf('{"colour":"red","mode":')).toBe("body is not a JSON object");
  });

  it("never names a value", () => {
    for (const text of [
      '{"api_key":"CANARY"',
      '{"CANARY":1}',
      '{"mode":"CANARY","mode":1}',
      '{"api_key":["CANARY"]}',
    ]) {
      expect(problemOf(text)).not.toContain("CANARY");
    }
  });

  it("leaves every prototype as it was", () => {
    read('{"__proto__":{"admin":true},"constructor":{"prototype":{"admin":true}}}');
    expect(Reflect.get({}, "admin")).toBeUndefined();
  });
});

/** JSON texts with the freedom the grammar leaves: white space, and every way to write a character. */
const space = fc.stringMatching(/^[ \n\r\t]{0,3}$/);
const wellFormed = fc
  .string({ unit: "grapheme", maxLength: 40 })
  .map((text) => text.toWellFormed());

const written = (text: string): fc.Arbitrary<string> =>
  fc.infiniteStream(fc.nat(3)).map((choices) => {
    const short: Record<string, string> = {
      "\b": "\\b",
      "\f": "\\f",
      "\n": "\\n",
      "\r": "\\r",
      "\t": "\\t",
      "/": "\\/",
    };
    let out = '"';
    for (const character of text) {
      const choice = choices.next().value;
      const units = [...Array(character.length).keys()].map((at) => character.charCodeAt(at));
      const escaped = units.map((unit) => `\\u${unit.toString(16).padStart(4, "0")}`).join("");
      if (choice === 1) out += escaped;
      else if (choice === 2) out += escaped.replace(/[a-f]/g, (digit) => digit.toUpperCase());
      else if (choice === 3) out += short[character] ?? JSON.stringify(character).slice(1, -1);
      else out += JSON.stringify(character).slice(1, -1);
    }
    return `${out}"`;
  });

const field = fc.oneof(
  fc.tuple(fc.constantFrom("api_key", "mode"), wellFormed),
  fc.tuple(fc.constantFrom("display_name", "location"), fc.oneof(wellFormed, fc.constant(null))),
);
const document = fc
  .uniqueArray(field, { selector: ([name]) => name, maxLength: 4 })
  .chain((fields) =>
    fc.tuple(
      fc.constant(fields),
      ...fields.map(([name, value]) =>
        fc.tuple(
          space,
          written(name),
          space,
          space,
          value === null ? fc.constant("null") : written(value),
          space,
        ),
      ),
    ),
  )
  .map(([fields, ...members]) => ({
    value: Object.fromEntries(fields),
    text: ` {${members.map(([a, name, b, c, value, d]) => `${a}${name}${b}:${c}${value}${d}`).join(",")}} `,
  }));

/** Whether JSON.parse's answer is within what the shape allows. */
function isAllowed(value: unknown): value is Record<string, string | null> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([name, held]) => {
    const kind = Object.hasOwn(SHAPE, name) ? Reflect.get(SHAPE, name) : undefined;
    if (held === null) return kind === "nullable text";
    if (typeof held !== "string" || kind === undefined || !held.isWellFormed()) return false;
    return kind !== "secret" || held.length > 0;
  });
}

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

/** Both readers accept and agree, or neither accepts. */
function agrees(bytes: Uint8Array): void {
  const ours = readJsonBody(bytes, SHAPE);
  const theirs = parsed(bytes);
  if (!(ours instanceof Failure)) {
    expect(plain(ours)).toStrictEqual(theirs);
  } else if (isAllowed(theirs)) {
    // JSON.parse keeps the last of two members with one name and does not tell.
    expect(ours.violations.map(({ description }) => description)).toStrictEqual(["is given twice"]);
  }
}

describe("Reading a JSON body beside JSON.parse", () => {
  it("gives the same fields and the same secret for everything it allows", () => {
    fc.assert(
      fc.property(document, ({ value, text }) => {
        const bytes = Buffer.from(text);
        expect(JSON.parse(text)).toStrictEqual(value);
        if (value.api_key === "") expect(problemOf(bytes)).toBe("api_key is empty");
        else expect(plain(readJsonBody(bytes, SHAPE))).toStrictEqual(value);
      }),
      { numRuns: 2_000 },
    );
  });

  it("agrees on bodies with some bytes changed", () => {
    const edit = fc.tuple(
      fc.nat(400),
      fc.nat(2),
      fc.constantFrom(...Buffer.from('"\\{}[]:,u0e-. \t'), 0, 0x80, 0xed, 0xff),
    );
    fc.assert(
      fc.property(document, fc.array(edit, { minLength: 1, maxLength: 4 }), ({ text }, edits) => {
        let bytes = Buffer.from(text);
        for (const [at, how, byte] of edits) {
          const place = at % bytes.length;
          const [before, after] = [
            bytes.subarray(0, place),
            bytes.subarray(place + (how === 0 ? 0 : 1)),
          ];
          bytes = Buffer.concat([before, how === 2 ? Buffer.alloc(0) : Buffer.from([byte]), after]);
          if (bytes.length === 0) return;
        }
        agrees(bytes);
      }),
      { numRuns: 10_000 },
    );
  });

  it("agrees on any JSON and on any bytes", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json({ maxDepth: 6 }).map((text) => Buffer.from(text)),
          fc.uint8Array(),
        ),
        (bytes) => {
          agrees(bytes);
        },
      ),
      { numRuns: 5_000 },
    );
  });

  it("agrees on every JSON within its limits whether it is JSON at all", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 2 }), (value) => {
        const text = `{"other":${JSON.stringify(value)}}`;
        const members = text.split(":").length;
        fc.pre(members <= 16 && !/\\ud[89a-f]/.test(text));
        expect(problemOf(text)).toBe("other is not a field of this request");
      }),
      { numRuns: 2_000 },
    );
  });
});
