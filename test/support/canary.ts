import { randomInt } from "node:crypto";
import { inflateRawSync, constants as zlib } from "node:zlib";

/**
 * Finds secrets wherever they got to. A canary is a secret like any other, but for a middle part that stands nowhere else
 * in the world; that part is searched for in twelve encodings. The last four characters of a key may be shown, and so are
 * no part of it.
 */
export const ENCODINGS = [
  "raw",
  "base64, offset 0",
  "base64, offset 1",
  "base64, offset 2",
  "base64url",
  "hex",
  "HEX",
  "percent",
  "JSON",
  "UTF-16",
  "reversed",
  "gzip",
] as const;
export type Encoding = (typeof ENCODINGS)[number];

export interface Hit {
  readonly encoding: Encoding;
  /** What the canary was, and where it was put. */
  readonly canary: string;
}

const LENGTH = 24;
const ALPHABETS = {
  /** Fits every grammar for ids. */
  plain: "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
  /** Fits those that know no capitals. */
  lower: "abcdef0123456789",
  /** Printable, and written otherwise in nearly every encoding. */
  spiky: 'ABCXYZabcxyz0189"\\/+%&<>?~=#^|',
} as const;
export type Shape = keyof typeof ALPHABETS;

/** Too short a piece is found by chance; a longer one may miss a leak of a part. */
const PIECE = 12;
const GZIP_MAGIC = Buffer.from([0x1f, 0x8b, 0x08]);
const INFLATED_MAX = 16 * 1024 * 1024;

interface Needle {
  readonly bytes: Buffer;
  readonly hit: Hit;
}

export class Canaries {
  readonly #byStart = new Map<number, Needle[]>();
  /** Which two bytes any needle begins with: most of a haystack is passed over by this alone. */
  readonly #starts = new Uint8Array(0x1_00_00);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** A new secret: `prefix`, 24 characters that are nowhere else, and a tail that may be shown. */
  make(place: string, { prefix = "sk-fake-ok.", shape = "plain" as Shape } = {}): string {
    const alphabet = ALPHABETS[shape];
    const core = Array.from({ length: LENGTH }, (_, at) => {
      // Keys have digits all over; one that has none by chance could pass for a word.
      if (at % 4 === 3) return String(randomInt(10));
      // And what JSON escapes is in both halves.
      if (shape === "spiky" && at % 4 === 1) return at % 8 === 1 ? '"' : "\\";
      return alphabet[randomInt(alphabet.length)];
    }).join("");
    this.note(place, core);
    return `${prefix}${core}-end`;
  }

  /** A secret that somebody else made: all of it is searched for. */
  note(place: string, secret: string | Uint8Array): void {
    this.#count++;
    const core = Buffer.from(secret);
    for (const [encoding, bytes] of encodingsOf(core)) {
      this.#add({ bytes, hit: { encoding, canary: place } });
    }
  }

  /** @returns each canary once per encoding. */
  search(haystack: Uint8Array | string): readonly Hit[] {
    const bytes = Buffer.from(haystack);
    const found = new Map<string, Hit>();
    const take = (hit: Hit) => found.set(`${hit.encoding} ${hit.canary}`, hit);
    this.#scan(bytes, take);
    for (let at = bytes.indexOf(GZIP_MAGIC); at >= 0; at = bytes.indexOf(GZIP_MAGIC, at + 1)) {
      const inflated = inflate(bytes.subarray(at));
      if (inflated) this.#scan(inflated, ({ canary }) => take({ encoding: "gzip", canary }));
    }
    return [...found.values()];
  }

  #add(needle: Needle): void {
    const { bytes } = needle;
    const start = bytes.readUInt32BE(0);
    this.#byStart.set(start, [...(this.#byStart.get(start) ?? []), needle]);
    this.#starts[start >>> 16] = 1;
  }

  #scan(bytes: Buffer, take: (hit: Hit) => void): void {
    for (let at = 0; at + 4 <= bytes.length; at++) {
      const pair = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
      if (this.#starts[pair] === 0) continue;
      for (const { bytes: needle, hit } of this.#byStart.get(bytes.readUInt32BE(at)) ?? []) {
        const end = at + needle.length;
        if (end <= bytes.length && needle.compare(bytes, at, end) === 0) take(hit);
      }
    }
  }
}

/** What is there to look for: in most encodings the whole, as it is the half of it. */
function* encodingsOf(core: Buffer): Generator<readonly [Encoding, Buffer]> {
  for (let at = 0; at + PIECE <= core.length; at += PIECE)
    yield ["raw", core.subarray(at, at + PIECE)];
  for (const offset of [0, 1, 2] as const) {
    const text = innerBase64(core, offset);
    yield [`base64, offset ${offset}`, Buffer.from(text)];
    const url = text.replaceAll("+", "-").replaceAll("/", "_");
    if (url !== text) yield ["base64url", Buffer.from(url)];
  }
  yield ["hex", Buffer.from(core.toString("hex"))];
  yield ["HEX", Buffer.from(core.toString("hex").toUpperCase())];
  const text = core.toString("latin1");
  const percent = encodeURIComponent(text);
  const json = JSON.stringify(text).slice(1, -1);
  if (percent !== text) yield ["percent", Buffer.from(percent)];
  yield ["percent", Buffer.from(text.replaceAll(/./gs, percentOf))];
  yield [
    "percent",
    Buffer.from(text.replaceAll(/./gs, (character) => percentOf(character).toLowerCase())),
  ];
  if (json !== text) {
    yield ["JSON", Buffer.from(json)];
    yield ["JSON", Buffer.from(JSON.stringify(json).slice(1, -1))];
  }
  yield ["JSON", Buffer.from(text.replaceAll(/./gs, unicodeOf))];
  // Without the last zero byte this stands in both byte orders.
  yield ["UTF-16", Buffer.from(text, "utf16le").subarray(0, -1)];
  yield ["reversed", Buffer.from(core).reverse()];
}

const percentOf = (character: string): string =>
  `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
const unicodeOf = (character: string): string =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The characters that do not depend on what stands before and behind. */
function innerBase64(core: Buffer, offset: 0 | 1 | 2): string {
  const encoded = Buffer.concat([Buffer.alloc(offset), core]).toString("base64");
  const first = Math.ceil((offset * 8) / 6);
  const last = Math.floor(((offset + core.length) * 8) / 6);
  return encoded.slice(first, last);
}

/** @param bytes from the start of a gzip stream on; what follows its end, or is missing of it, does not matter. */
function inflate(bytes: Buffer): Buffer | undefined {
  try {
    return inflateRawSync(bytes.subarray(headerBytes(bytes)), {
      finishFlush: zlib.Z_SYNC_FLUSH,
      maxOutputLength: INFLATED_MAX,
    });
  } catch {
    return undefined;
  }
}

/** RFC 1952: ten bytes, then what the flags announce. */
function headerBytes(bytes: Buffer): number {
  const flags = bytes[3] ?? 0;
  let end = 10;
  if (flags & 0x04) end += 2 + bytes.readUInt16LE(end);
  for (const flag of [0x08, 0x10]) if (flags & flag) end = bytes.indexOf(0, end) + 1;
  return flags & 0x02 ? end + 2 : end;
}
