import { TOMBSTONE_REVISION } from "./schema.ts";

/** What a stream's metadata says of which of its events can be read. */
export interface StreamMetadata {
  readonly maxCount?: bigint;
  readonly maxAgeSeconds?: number;
  readonly truncateBefore?: bigint;
}

const META_PREFIX = "$$";

export const metaStreamOf = (stream: string): string => META_PREFIX + stream;

/** The event a soft delete leaves in the metadata stream. */
export const SOFT_DELETE_METADATA = truncateBeforeJson(TOMBSTONE_REVISION);

/** A bigint that JSON.stringify would not take. */
export function truncateBeforeJson(revision: bigint): Uint8Array {
  return new TextEncoder().encode(`{"$tb":${revision}}`);
}

/** Metadata that is no JSON object counts as none, as on the server. */
export function parseStreamMetadata(data: Uint8Array): StreamMetadata {
  const text = new TextDecoder().decode(data);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return {};
  }
  if (typeof json !== "object" || json === null) return {};
  const { $maxCount, $maxAge } = json as Record<string, unknown>;
  // Parsed as a number it would have lost its last digits, which tell a soft delete.
  const truncateBefore = /"\$tb"\s*:\s*(\d+)/.exec(text)?.[1];
  return {
    ...(typeof $maxCount === "number" && { maxCount: BigInt($maxCount) }),
    ...(typeof $maxAge === "number" && { maxAgeSeconds: $maxAge }),
    ...(truncateBefore !== undefined && { truncateBefore: BigInt(truncateBefore) }),
  };
}

export const isSoftDeleted = ({ truncateBefore }: StreamMetadata): boolean =>
  truncateBefore === TOMBSTONE_REVISION;
