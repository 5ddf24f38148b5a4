import { crc32 } from "node:zlib";
import type { NewEvent, RecordedEvent, Revision } from "@keyledger/core";
import { UUID_BYTES, uuidText } from "./uuid-bytes.ts";

/** Columns of a stored event, in the order in which `ROW_COLUMNS` selects them. */
export type EventRow = readonly [
  position: number,
  stream: string,
  revision: Revision,
  id: Uint8Array,
  type: string,
  data: string,
  metadata: string,
  checksum: number,
];

export const ROW_COLUMNS =
  "e.position, s.name, e.revision, e.event_id, e.type, e.data, e.metadata, e.checksum";

/** @returns `undefined` where the row is not what was written. */
export function decodeRow(
  row: EventRow,
  encodePosition: (sequence: number) => string,
): RecordedEvent | undefined {
  const [position, stream, revision, idBytes, type, data, metadata, checksum] = row;
  if (!(idBytes instanceof Uint8Array) || idBytes.byteLength !== UUID_BYTES) return undefined;
  if (typeof data !== "string") return undefined;
  const id = uuidText(idBytes);
  if (checksumOf(stream, revision, { id, type, data, metadata }) !== checksum) return undefined;
  return {
    stream,
    revision,
    position: encodePosition(position),
    id,
    type,
    data,
    metadata: JSON.parse(metadata),
  };
}

/** The CRC-32 that finds damage no B-tree would notice. Deliberate changes are the hash chain's to find. */
export const checksumOf = (
  stream: string,
  revision: Revision,
  { id, type, data, metadata }: Omit<NewEvent, "metadata"> & { readonly metadata: string },
): number => crc32(`${stream} ${revision} ${id} ${type} ${metadata} ${data}`);
