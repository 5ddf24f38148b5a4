import { isUtf8 } from "node:buffer";
import { isKeyLike } from "@keyledger/runtime";
import { Failure, invalid, type Violation } from "./failure.ts";
import { JsonScanner } from "./json-scanner.ts";

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

const SECRET_BYTES_MAX = 16 * 1024;
const FIELD_NAME_BYTES_MAX = 32;

/**
 * Reads a JSON object straight from its bytes, as JSON.parse would read it, with these refusals on top: fields outside
 * the shape, fields given twice, lone surrogates, more than 16 members or 4 levels in all. Only the text fields of the
 * shape become strings; a secret is copied into a buffer of its own, for the caller to wipe, as is the input.
 */
export function readJsonBody<S extends Shape>(bytes: Uint8Array, shape: S): Body<S> | Failure {
  if (!isUtf8(bytes)) return invalid("body", "is not UTF-8");
  const reader = new FieldReader(bytes, shape);
  const problem = reader.read();
  if (problem === undefined) return reader.values as Body<S>;
  for (const value of Object.values(reader.values)) {
    if (value instanceof Uint8Array) value.fill(0);
  }
  return new Failure("INVALID_FIELDS", { violations: [problem] });
}

const QUOTE = 0x22;
const LOWER_N = 0x6e;

class FieldReader {
  readonly values: Record<string, Uint8Array | string | null> = Object.create(null);
  readonly #scanner: JsonScanner;
  readonly #shape: Shape;
  /** The first thing wrong with well-formed JSON. That it is no JSON at all is told before a field of it. */
  #problem: Violation | undefined;

  constructor(bytes: Uint8Array, shape: Shape) {
    this.#scanner = new JsonScanner(bytes);
    this.#shape = shape;
  }

  read(): Violation | undefined {
    if (this.#scanner.readDocument(() => this.#readField())) return this.#problem;
    return { field: "body", description: this.#scanner.limit ?? "is not a JSON object" };
  }

  #readField(): boolean {
    const scanner = this.#scanner;
    const name = this.#fieldName();
    const first = scanner.findValue();
    if (first === undefined) return false;
    if (name === undefined) return scanner.skipValue(1);
    const kind = this.#shape[name];
    if (name in this.values) {
      this.#note(name, "is given twice");
    } else if (first === QUOTE) {
      if (!scanner.readString()) return false;
      this.#keep(name, kind);
      return true;
    } else if (first === LOWER_N && kind === "nullable text") {
      this.values[name] = null;
    } else {
      this.#note(name, kind === "nullable text" ? "must be a string or null" : "must be a string");
    }
    return scanner.skipValue(1);
  }

  /** The name of a field of the shape; another one is noted, by name where that cannot give a secret away. */
  #fieldName(): string | undefined {
    if (this.#scanner.stringLength <= FIELD_NAME_BYTES_MAX) {
      const bytes = this.#scanner.decodeString();
      const name = plainName(bytes);
      bytes.fill(0);
      if (name !== undefined && Object.hasOwn(this.#shape, name)) return name;
      if (name !== undefined && !looksRandom(name)) {
        this.#note(name, "is not a field of this request");
        return undefined;
      }
    }
    this.#note("an unknown field", "is not accepted");
    return undefined;
  }

  /** Keeps the string read last. */
  #keep(name: string, kind: FieldKind | undefined): void {
    const { stringLength } = this.#scanner;
    if (kind !== "secret") {
      this.values[name] = Buffer.from(this.#scanner.decodeString().buffer).toString("utf8");
    } else if (stringLength === 0) {
      this.#note(name, "is empty");
    } else if (stringLength > SECRET_BYTES_MAX) {
      this.#note(name, `is ${stringLength} bytes, the most is ${SECRET_BYTES_MAX}`);
    } else {
      this.values[name] = this.#scanner.decodeString();
    }
  }

  #note(field: string, description: string): void {
    this.#problem ??= { field, description };
  }
}

/** A name of small letters and underscores; anything else never becomes a string. */
function plainName(bytes: Uint8Array): string | undefined {
  const isPlain = bytes.every((byte) => byte === 0x5f || (byte >= 0x61 && byte <= 0x7a));
  return isPlain && bytes.length > 0 ? String.fromCharCode(...bytes) : undefined;
}

/** Six consonants in a row, a run longer than any word of a field name, or the beginning of a key: no name. */
const looksRandom = (name: string): boolean =>
  isKeyLike(name) || /[bcdfghjklmnpqrstvwxz]{6}|[a-z]{20}/.test(name);
