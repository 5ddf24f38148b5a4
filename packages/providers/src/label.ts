import { asciiText, startsWith } from "./ascii.ts";

/** Of a shorter key even four characters would be a good part. */
const MASKABLE_BYTES_MIN = 16;
const PREFIX_MAX = 8;
const TAIL = 4;

/**
 * Masked snippet of a plain key: its public prefix, three dots, the last four characters; never more than 12 characters
 * of the key.
 * @param prefixes the public ones of the provider.
 */
export function maskedKey(key: Uint8Array, prefixes: readonly string[] = []): string {
  if (key.byteLength < MASKABLE_BYTES_MIN) return "****";
  const longestFirst = prefixes.toSorted((a, b) => b.length - a.length);
  const prefix = longestFirst.find((known) => startsWith(key, known)) ?? "";
  return `${shortened(prefix)}...${asciiText(key.subarray(-TAIL))}`;
}

/** `sk-or-v1-` becomes `sk-or-`: cut back to the last separator that still fits. */
function shortened(prefix: string): string {
  if (prefix.length <= PREFIX_MAX) return prefix;
  const separator = /^.*[-_]/.exec(prefix.slice(0, PREFIX_MAX));
  return separator?.[0] ?? "";
}
