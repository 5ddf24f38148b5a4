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

/** Nothing legitimate nests deeper or has more members. */
const DEPTH_MAX = 4;
const MEMBERS_MAX = 16;

const isDigit = (byte: number | undefined): boolean =>
  byte !== undefined && byte >= ZERO && byte <= 0x39;

/** Bytes outside the engine's heap, which moves small arrays about and so leaves copies behind. */
const ownBytes = (length: number): Uint8Array => new Uint8Array(new ArrayBuffer(length));

/**
 * Walks over JSON (RFC 8259) in UTF-8 without making anything of it. Each method answers whether the text goes on as it
 * should; after the first `false` the scanner is of no more use.
 */
export class JsonScanner {
  /** What ended the walk, where that is no fault of the JSON's grammar: a predicate about the whole text. */
  limit: string | undefined;
  /** How many bytes the string read last means. */
  stringLength = 0;

  readonly #bytes: Uint8Array;
  #at = 0;
  #members = 0;
  // The string read last: its first byte, and the one behind its last.
  #from = 0;
  #to = 0;

  /** @param bytes valid UTF-8 */
  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** The whole text is one object; `readMember` is called at each colon, with the member's name as the string read last. */
  readDocument(readMember: () => boolean): boolean {
    this.#skipSpace();
    if (!this.#readObject(1, readMember)) return false;
    this.#skipSpace();
    return this.#at === this.#bytes.length;
  }

  /** Goes to the value behind a member's name. @returns the value's first byte, `undefined` where there is none. */
  findValue(): number | undefined {
    this.#skipSpace();
    if (!this.#take(COLON)) return undefined;
    this.#skipSpace();
    return this.#bytes[this.#at];
  }

  /** Checks a value that nobody wants, at `depth` levels. */
  skipValue(depth: number): boolean {
    this.#skipSpace();
    const byte = this.#bytes[this.#at];
    if (byte === QUOTE) return this.readString();
    if (byte === OPEN_OBJECT) {
      return this.#readObject(
        depth + 1,
        () => this.findValue() !== undefined && this.skipValue(depth + 1),
      );
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

  /** Checks a string and finds its bounds; what it means is told by `decodeString`, if anybody asks. */
  readString(): boolean {
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
    this.stringLength = length;
    return true;
  }

  /** The bytes that the string read last means, in a buffer of their own. */
  decodeString(): Uint8Array {
    const out = ownBytes(this.stringLength);
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

  #stop(description: string): false {
    this.limit ??= description;
    return false;
  }

  #readObject(depth: number, readMember: () => boolean): boolean {
    if (!this.#take(OPEN_OBJECT)) return false;
    if (depth > DEPTH_MAX) return this.#stop(`has more than ${DEPTH_MAX} levels`);
    this.#skipSpace();
    if (this.#take(CLOSE_OBJECT)) return true;
    do {
      this.#skipSpace();
      if (!this.readString()) return false;
      if (++this.#members > MEMBERS_MAX) return this.#stop(`has more than ${MEMBERS_MAX} members`);
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
      if (!this.skipValue(depth)) return false;
      this.#skipSpace();
    } while (this.#take(COMMA));
    return this.#take(CLOSE_ARRAY);
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
