import { isUtf8 } from "node:buffer";
import { isKeyLike } from "@keyledger/runtime";
import { Failure, invalid, type Violation } from "./failure.ts";

/**
 * What a field of a request body may hold. `secret`: a string of 1 to 16,384 bytes, cut out as bytes and never made a
 * JavaScript string. `text`: a string. `nullable text`: a string or null.
 */
export type FieldKind = "secret" | "text" | "nullable text";

/** The fields a body may have, by name. */
export type Shape = Readonly<Record<string, FieldKind>>;

interface ValueOf {
  readonly secret: Uint8Array;
  readonly text: string;
  readonly "nullable text": string | null;
}

/** The fields a body did have. */
export type Body<S extends Shape> = { readonly [K in keyof S]?: ValueOf[S[K]] };

/** Limits of the vault: nothing legitimate nests deeper, has more members, or a longer secret. */
const DEPTH_MAX = 4;
const KEYS_MAX = 16;
const SECRET_BYTES_MAX = 16 * 1024;
const FIELD_NAME_BYTES_MAX = 32;

/**
 * Reads a JSON object straight from its bytes, as JSON.parse would read it, with these refusals on top: fields outside
 * the shape, fields given twice, lone surrogates, more than 16 members or 4 levels in all. Only the text fields of the
 * shape become strings; a secret is copied into a buffer of its own, for the caller to wipe, as is the input.
 */
export function readJsonBody<S extends Shape>(bytes: Uint8Array, shape: S): Body<S> | Failure {
  if (!isUtf8(bytes)) return invalid("body", "is not UTF-8");
  const reader = new Reader(bytes, shape);
  const wellFormed = reader.readDocument();
  const problem = wellFormed ? reader.problem : (reader.limit ?? NOT_AN_OBJECT);
  if (problem === undefined) return reader.values as Body<S>;
  for (const value of Object.values(reader.values)) if (value instanceof Uint8Array) value.fill(0);
  return new Failure("INVALID_FIELDS", { violations: [problem] });
}

const NOT_AN_OBJECT: Violation = { field: "body", description: "is not a JSON object" };

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LOWER_U = 0x75;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COMMA = 0x2c;
const COLON = 0x3a;
const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const ZERO = 0x30;

/** What stands behind a backslash, and the byte it means. */
const ESCAPES: ReadonlyMap<number | undefined, number> = new Map([
  [QUOTE, QUOTE],
  [BACKSLASH, BACKSLASH],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);
const LITERALS = ["true", "false", "null"].map((word) => Buffer.from(word, "latin1"));

const isDigit = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= ZERO && byte <= 0x39;

/** Bytes outside the engine's heap, which moves small arrays about and so leaves copies behind. */
const ownBytes = (length: number): Uint8Array => new Uint8Array(new ArrayBuffer(length));

/**
 * One pass over the bytes. The methods answer whether the text goes on as JSON; what else is wrong with it is noted in
 * `problem`, so that a text that is no JSON at all is told before a field of it.
 */
class Reader {
  readonly values: Record<string, Uint8Array | string | null> = Object.create(null);
  /** The first thing wrong with well-formed JSON. */
  problem: Violation | undefined;
  /** What ended the reading, where that is no fault of the JSON. */
  limit: Violation | undefined;

  readonly #bytes: Uint8Array;
  readonly #shape: Shape;
  #at = 0;
  #keys = 0;
  // The string read last: its first byte, the one behind its last, and how many bytes it means.
  #from = 0;
  #to = 0;
  #length = 0;

  constructor(bytes: Uint8Array, shape: Shape) {
    this.#bytes = bytes;
    this.#shape = shape;
  }

  readDocument(): boolean {
    this.#skipSpace();
    if (!this.#readObject(1, () => this.#readField())) return false;
    this.#skipSpace();
    return this.#at === this.#bytes.length;
  }

  #note(field: string, description: string): void {
    this.problem ??= { field, description };
  }

  #stop(description: string): false {
    this.limit ??= { field: "body", description };
    return false;
  }

  /** Reads `{ "name": value, ... }`; `readValue` finds the name in the string read last, and itself before the value. */
  #readObject(depth: number, readMember: () => boolean): boolean {
    if (!this.#take(OPEN_OBJECT)) return false;
    if (depth > DEPTH_MAX) return this.#stop(`has more than ${DEPTH_MAX} levels`);
    this.#skipSpace();
    if (this.#take(CLOSE_OBJECT)) return true;
    do {
      this.#skipSpace();
      if (!this.#readString()) return false;
      if (++this.#keys > KEYS_MAX) return this.#stop(`has more than ${KEYS_MAX} members`);
      if (!readMember()) return false;
      this.#skipSpace();
    } while (this.#take(COMMA));
    return this.#take(CLOSE_OBJECT);
  }

  #readArray(depth: number): boolean {
    if (!this.#take(OPEN_ARRAY)) return false;
    if (depth > DEPTH_MAX) return this.#stop(`has more than ${DEPTH_MAX} levels`);
    this.#skipSpace();
    if (this.#take(CLOSE_ARRAY)) return true;
    do {
      if (!this.#skipValue(depth)) return false;
      this.#skipSpace();
    } while (this.#take(COMMA));
    return this.#take(CLOSE_ARRAY);
  }

  #readColon(): boolean {
    this.#skipSpace();
    return this.#take(COLON);
  }

  #readField(): boolean {
    const name = this.#fieldName();
    const kind = name === undefined ? undefined : this.#shape[name];
    if (!this.#readColon()) return false;
    this.#skipSpace();
    if (name === undefined || kind === undefined) return this.#skipValue(1);
    if (name in this.values) {
      this.#note(name, "is given twice");
      return this.#skipValue(1);
    }
    const byte = this.#bytes[this.#at];
    if (byte === QUOTE) return this.#readString() && this.#keep(name, kind);
    if (byte === 0x6e && kind === "nullable text") this.values[name] = null;
    else this.#note(name, `must be a string${kind === "nullable text" ? " or null" : ""}`);
    return this.#skipValue(1);
  }

  /** The name of a field of the shape; another one is noted, by name where that cannot give a secret away. */
  #fieldName(): string | undefined {
    if (this.#length <= FIELD_NAME_BYTES_MAX) {
      const bytes = this.#decode();
      const isPlain =
        bytes.length > 0 && bytes.every((byte) => byte === 0x5f || (byte >= 0x61 && byte <= 0x7a));
      const name = isPlain ? String.fromCharCode(...bytes) : "";
      bytes.fill(0);
      if (Object.hasOwn(this.#shape, name)) return name;
      if (isPlain && !looksRandom(name)) {
        this.#note(name, "is not a field of this request");
        return undefined;
      }
    }
    this.#note("an unknown field", "is not accepted");
    return undefined;
  }

  #keep(name: string, kind: FieldKind): boolean {
    if (kind !== "secret") {
      this.values[name] = Buffer.from(this.#decode().buffer).toString("utf8");
    } else if (this.#length === 0) {
      this.#note(name, "is empty");
    } else if (this.#length > SECRET_BYTES_MAX) {
      this.#note(name, `is ${this.#length} bytes, the most is ${SECRET_BYTES_MAX}`);
    } else {
      this.values[name] = this.#decode();
    }
    return true;
  }

  #skipValue(depth: number): boolean {
    this.#skipSpace();
    const byte = this.#bytes[this.#at];
    if (byte === QUOTE) return this.#readString();
    if (byte === OPEN_OBJECT) {
      return this.#readObject(depth + 1, () => this.#readColon() && this.#skipValue(depth + 1));
    }
    if (byte === OPEN_ARRAY) return this.#readArray(depth + 1);
    if (byte === MINUS || isDigit(byte)) return this.#skipNumber();
    for (const word of LITERALS) {
      if (word.every((letter, index) => this.#bytes[this.#at + index] === letter)) {
        this.#at += word.length;
        return true;
      }
    }
    return false;
  }

  #skipNumber(): boolean {
    this.#take(MINUS);
    if (!this.#take(ZERO) && !this.#skipDigits()) return false;
    if (this.#take(DOT) && !this.#skipDigits()) return false;
    const exponent = this.#bytes[this.#at];
    if (exponent !== 0x65 && exponent !== 0x45) return true;
    this.#at++;
    if (!this.#take(MINUS)) this.#take(PLUS);
    return this.#skipDigits();
  }

  #skipDigits(): boolean {
    const start = this.#at;
    while (isDigit(this.#bytes[this.#at])) this.#at++;
    return this.#at > start;
  }

  /** Checks a string and finds its bounds. Unescaping comes later, and only for what is kept. */
  #readString(): boolean {
    if (!this.#take(QUOTE)) return false;
    this.#from = this.#at;
    let length = 0;
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined || byte < 0x20) return false;
      if (byte === QUOTE) break;
      if (byte !== BACKSLASH) {
        this.#at++;
        length++;
      } else if (this.#bytes[this.#at + 1] === LOWER_U) {
        const point = this.#codePoint(this.#at);
        if (point === undefined) return false;
        this.#at += point > 0xffff ? 12 : 6;
        length += utf8Length(point);
      } else {
        if (!ESCAPES.has(this.#bytes[this.#at + 1])) return false;
        this.#at += 2;
        length++;
      }
    }
    this.#to = this.#at++;
    this.#length = length;
    return true;
  }

  /** The bytes that the string read last means. */
  #decode(): Uint8Array {
    const out = ownBytes(this.#length);
    let to = 0;
    for (let at = this.#from; at < this.#to; ) {
      const byte = this.#bytes[at] ?? 0;
      if (byte !== BACKSLASH) {
        out[to++] = byte;
        at++;
      } else if (this.#bytes[at + 1] === LOWER_U) {
        const point = this.#codePoint(at) ?? 0;
        to = writeUtf8(out, to, point);
        at += point > 0xffff ? 12 : 6;
      } else {
        out[to++] = ESCAPES.get(this.#bytes[at + 1]) ?? 0;
        at += 2;
      }
    }
    return out;
  }

  /** The code point of `\uXXXX`, or of a pair of surrogates; `undefined` for anything else, a lone surrogate included. */
  #codePoint(at: number): number | undefined {
    const unit = this.#hex4(at + 2);
    if (unit === undefined || unit < 0xd800 || unit > 0xdfff) return unit;
    const follows = this.#bytes[at + 6] === BACKSLASH && this.#bytes[at + 7] === LOWER_U;
    const low = follows && unit < 0xdc00 ? this.#hex4(at + 8) : undefined;
    if (low !== undefined && low >= 0xdc00 && low <= 0xdfff) {
      return 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
    }
    this.#stop("holds half a surrogate pair");
    return undefined;
  }

  #hex4(at: number): number | undefined {
    let value = 0;
    for (let index = at; index < at + 4; index++) {
      const digit = hexDigit(this.#bytes[index]);
      if (digit === undefined) return undefined;
      value = value * 16 + digit;
    }
    return value;
  }

  #skipSpace(): void {
    for (;;) {
      const byte = this.#bytes[this.#at];
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) return;
      this.#at++;
    }
  }

  #take(byte: number): boolean {
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }
}

function hexDigit(byte: number | undefined): number | undefined {
  if (byte === undefined) return undefined;
  if (isDigit(byte)) return byte - ZERO;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
}

const utf8Length = (point: number): number =>
  point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;

/** @returns where the next byte goes. */
function writeUtf8(out: Uint8Array, at: number, point: number): number {
  const length = utf8Length(point);
  if (length === 1) {
    out[at] = point;
    return at + 1;
  }
  for (let index = length - 1, rest = point; index > 0; index--, rest >>= 6) {
    out[at + index] = 0x80 | (rest & 0x3f);
  }
  const lead = length === 2 ? 0xc0 : length === 3 ? 0xe0 : 0xf0;
  out[at] = lead | (point >> (6 * (length - 1)));
  return at + length;
}

/** Six consonants in a row, a run longer than any word of a field name, or the beginning of a key: no name. */
const looksRandom = (name: string): boolean =>
  isKeyLike(name) || /[bcdfghjklmnpqrstvwxz]{6}|[a-z]{20}/.test(name);
