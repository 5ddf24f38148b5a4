/** What a value must look like: itself, a test of it, or the same of its parts. Fields beyond those named do no harm. */
export type Shape =
  | string
  | number
  | boolean
  | null
  | Looks
  | readonly Shape[]
  | { readonly [field: string]: Shape };

/** A test of a value, with a word for what it wants. */
export class Looks {
  readonly like: string;
  readonly test: (value: unknown) => boolean;

  constructor(like: string, test: (value: unknown) => boolean) {
    this.like = like;
    this.test = test;
  }
}

export const text = new Looks("a text", (value) => typeof value === "string" && value !== "");
export const count = new Looks("a whole number", Number.isInteger);
/** RFC 3339. */
export const time = new Looks(
  "a time",
  (value) =>
    typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d)$/.test(value),
);
export const absent = new Looks("absent", (value) => value === undefined);
export const isAbout = (words: RegExp): Looks =>
  new Looks(
    `a text about ${words.source}`,
    (value) => typeof value === "string" && words.test(value),
  );
/** Made with a version of a key: as long as nonce, tag and plaintext want it to be. */
export const ciphertext = (version: number): Looks =>
  new Looks(
    `a ciphertext of version ${version}`,
    (value) =>
      typeof value === "string" &&
      new RegExp(`^vault:v${version}:[A-Za-z0-9+/]{36,}=*$`).test(value),
  );
/** 32 bytes in base64. */
export const keyOf32Bytes = new Looks(
  "32 bytes in base64",
  (value) => typeof value === "string" && Buffer.from(value, "base64").length === 32,
);

/** @returns where the value is not of the shape, each with what was wanted; never the value, which may be a secret. */
export function mismatches(shape: Shape, value: unknown, place = "answer"): readonly string[] {
  if (shape instanceof Looks) return shape.test(value) ? [] : [`${place} is not ${shape.like}`];
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return [`${place} is no list`];
    if (value.length !== shape.length) return [`${place} has ${value.length} items`];
    return shape.flatMap((part, index) => mismatches(part, value[index], `${place}.${index}`));
  }
  if (typeof shape === "object" && shape !== null) {
    if (typeof value !== "object" || value === null) return [`${place} is no object`];
    const fields = value as Readonly<Record<string, unknown>>;
    return Object.entries(shape).flatMap(([field, part]) =>
      mismatches(part, fields[field], `${place}.${field}`),
    );
  }
  return shape === value ? [] : [`${place} is not ${JSON.stringify(shape)}`];
}
