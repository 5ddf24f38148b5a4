import { createHash } from "node:crypto";

/** SHA-256 over key, value and headers, each behind its length: equal only where every byte is. */
export function messageDigest({
  key,
  value,
  headers,
}: {
  readonly key: string;
  readonly value: string | Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
}): string {
  const hash = createHash("sha256");
  for (const part of [key, value, ...Object.entries(headers).flat()]) {
    const bytes = Buffer.from(part);
    hash.update(`${bytes.byteLength}:`).update(bytes);
  }
  return hash.digest("hex");
}
