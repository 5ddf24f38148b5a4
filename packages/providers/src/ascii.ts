/** Byte scans, so that a key never becomes a string merely because somebody looked at it. */

/** Whether the bytes begin with an ASCII text. */
export function startsWith(bytes: Uint8Array, text: string): boolean {
  if (bytes.byteLength < text.length) return false;
  for (let index = 0; index < text.length; index++) {
    if (bytes[index] !== text.charCodeAt(index)) return false;
  }
  return true;
}

/** The same for a lower-case text, whatever the case of the bytes. */
export function startsWithAnyCase(bytes: Uint8Array, lowerCase: string): boolean {
  if (bytes.byteLength < lowerCase.length) return false;
  for (let index = 0; index < lowerCase.length; index++) {
    const byte = bytes[index] ?? 0;
    const lowered = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    if (lowered !== lowerCase.charCodeAt(index)) return false;
  }
  return true;
}

/** Whether every byte is visible ASCII: no space, no control character, nothing beyond 0x7e. */
export const isVisibleAscii = (bytes: Uint8Array): boolean =>
  bytes.every((byte) => byte > 0x20 && byte < 0x7f);

/** Text of bytes that are known to be ASCII. */
export const asciiText = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
