import type { Instant } from "@keyledger/core";
import { asciiText } from "./ascii.ts";
import { instantOf, parseInstant } from "./instant.ts";

export const SHORT_TERM_PREFIX = "bedrock-api-key-";

const SECONDS_DEFAULT = 43_200;
const SECONDS_MAX = 43_200;

/** What a short-term Bedrock API key says about itself. */
export interface ShortTermKey {
  readonly region: string;
  readonly expiresAt: Instant;
}

/**
 * Such a key is `bedrock-api-key-` and the base64 text of a presigned URL; its credential scope names the region, and
 * its date and lifetime the end. The URL also holds the signature, so it is decoded into bytes that are wiped, and only
 * the three parameters become text.
 * @returns `undefined` where the key does not read that way: then it says nothing, and is no worse for that.
 */
export function parseShortTermKey(key: Uint8Array): ShortTermKey | undefined {
  const url = decodeBase64(key.subarray(SHORT_TERM_PREFIX.length));
  if (url === undefined) return undefined;
  try {
    const region = parameter(url, "X-Amz-Credential")?.split("%2F")[2];
    const signedAt = instantOfCompact(parameter(url, "X-Amz-Date"));
    const seconds = Number(parameter(url, "X-Amz-Expires") ?? SECONDS_DEFAULT);
    if (region === undefined || signedAt === undefined) return undefined;
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > SECONDS_MAX) return undefined;
    const expiresAt = instantOf(Date.parse(signedAt) + seconds * 1000);
    return expiresAt === undefined ? undefined : { region, expiresAt };
  } finally {
    url.fill(0);
  }
}

/** The value of a query parameter, as it stands there. */
function parameter(url: Buffer, name: string): string | undefined {
  const first = url.indexOf(`?${name}=`);
  const start = first === -1 ? url.indexOf(`&${name}=`) : first;
  if (start === -1) return undefined;
  const from = start + name.length + 2;
  const end = url.indexOf("&", from);
  return asciiText(url.subarray(from, end === -1 ? undefined : end));
}

/** `20260102T030405Z`, as AWS writes a time. */
function instantOfCompact(text: string | undefined): Instant | undefined {
  const parts = /^(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z$/.exec(text ?? "");
  if (parts === null) return undefined;
  const [, year, month, day, hour, minute, second] = parts;
  return parseInstant(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/** From bytes to bytes: every decoder of the platform wants a string, and a string cannot be wiped. */
function decodeBase64(text: Uint8Array): Buffer | undefined {
  const padding = text.indexOf(0x3d);
  const digits = padding === -1 ? text : text.subarray(0, padding);
  const decoded = Buffer.alloc(Math.floor((digits.byteLength * 6) / 8));
  let bits = 0;
  let held = 0;
  let length = 0;
  for (const byte of digits) {
    const value = ALPHABET.indexOf(String.fromCharCode(byte));
    if (value === -1) return undefined;
    held = ((held << 6) | value) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      decoded[length++] = (held >> bits) & 0xff;
    }
  }
  return decoded;
}
