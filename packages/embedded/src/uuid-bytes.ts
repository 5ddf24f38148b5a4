import type { Uuid } from "@keyledger/core";

export const UUID_BYTES = 16;

/** The 16 bytes of a UUID. */
export const uuidBytes = (uuid: Uuid): Uint8Array => Buffer.from(uuid.replaceAll("-", ""), "hex");

/** Text of the 16 bytes from `start` on, in lower case. */
export function uuidText(bytes: Uint8Array, start = 0): Uuid {
  const hex = Buffer.from(bytes.buffer, bytes.byteOffset + start, UUID_BYTES).toString("hex");
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}
