import type { Crypto, Position, Uuid } from "@keyledger/core";

/**
 * How far a feed was delivered, kept in a compacted topic beside the records: `{"crc":"…","position":"…"}` under the
 * key `<deployment>/<feed>`. In the same engine, because then what was acknowledged and what is remembered of it come
 * back from a backup together, a process with any log needs nothing else, and Kafka checksums the write as a whole.
 *
 * The last records of the partitions themselves cannot tell it: an owner who is quiet leaves its partition at a position
 * of long ago, and an empty partition may be one whose part of a batch was lost on the way.
 */
export const checkpointKey = (deploymentId: Uuid, feed: "changes" | "access"): string =>
  `${deploymentId}/${feed}`;

export function encodeCheckpoint(crypto: Crypto, key: string, position: Position): string {
  return `{"crc":"${checksum(crypto, key, position)}","position":"${position}"}`;
}

/**
 * The furthest position that any intact checkpoint under the key names. Whoever wrote it had delivered everything before
 * it, so also where two relays wrote by turns, the furthest is right. One that is damaged counts for nothing: the one
 * before it, or the start, then repeats some records and loses none. A record without value starts over.
 * @param entries everything in the topic, oldest first.
 */
export function furthestCheckpoint(
  crypto: Crypto,
  key: string,
  entries: Iterable<{ readonly key: string; readonly value: string | null }>,
): Position | null {
  let furthest: Position | null = null;
  for (const entry of entries) {
    if (entry.key !== key) continue;
    if (entry.value === null) furthest = null;
    else {
      const position = parseCheckpoint(crypto, key, entry.value);
      if (position !== undefined && (furthest === null || position > furthest)) furthest = position;
    }
  }
  return furthest;
}

const FORM = /^\{"crc":"([0-9a-f]{8})","position":"([0-9a-f]{2,128})"\}$/;

function parseCheckpoint(crypto: Crypto, key: string, value: string): Position | undefined {
  const [, crc, position] = FORM.exec(value) ?? [];
  if (position === undefined) return undefined;
  return checksum(crypto, key, position) === crc ? position : undefined;
}

const checksum = (crypto: Crypto, key: string, position: Position): string =>
  crypto
    .crc32(crypto.utf8Encode(`${key}\n${position}`))
    .toString(16)
    .padStart(8, "0");
