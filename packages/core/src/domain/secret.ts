/**
 * Bytes that cannot be printed, serialised or compared by accident, and can be wiped. Console, template string, JSON and
 * a nested inspect all print `[secret]`; there is no enumerable field.
 */
export class Secret {
  readonly #material: Uint8Array;

  /** Takes over the bytes: nobody else may keep them. */
  constructor(material: Uint8Array) {
    this.#material = material;
  }

  get byteLength(): number {
    return this.#material.byteLength;
  }

  /** Lends the bytes for one call; whoever keeps them defeats the wipe. */
  use<T>(borrow: (material: Uint8Array) => T): T {
    return borrow(this.#material);
  }

  /** Overwrites the bytes with zeros. */
  [Symbol.dispose](): void {
    this.#material.fill(0);
  }

  toString(): string {
    return "[secret]";
  }

  toJSON(): string {
    return "[secret]";
  }

  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return "[secret]";
  }
}

/** A service-account file is about 2.4 KB and nothing legitimate comes near this. */
export const MATERIAL_BYTES_MAX = 16 * 1024;

const isTrimmed = (byte: number | undefined): boolean =>
  byte === 0x20 ||
  (byte !== undefined && byte >= 0x09 && byte <= 0x0d) ||
  byte === 0x22 ||
  byte === 0x27;

/**
 * A view of what is stored, fingerprinted and handed out: the input without outer ASCII whitespace and quotes. No copy
 * is made, so wiping the input wipes it too.
 */
export function trimMaterial(input: Uint8Array): Uint8Array {
  let start = 0;
  let end = input.byteLength;
  while (start < end && isTrimmed(input[start])) start++;
  while (end > start && isTrimmed(input[end - 1])) end--;
  return input.subarray(start, end);
}
