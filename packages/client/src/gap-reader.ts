import type { Gap, Place } from "./audit-consumer.ts";

/** One answer of `AuditService.ListRecords`. */
export interface FeedPage<R> {
  readonly records: readonly R[];
  /** Empty at the end of the feed. */
  readonly nextPageToken: string;
}

/**
 * Calls `AuditService.ListRecords` for one feed: by any client, over any protocol.
 * @param owner canonical form `<kind>.<id>` of the owner to ask for; `undefined` = all.
 */
export type ListRecords<R> = (request: {
  readonly pageToken: string;
  readonly owner: string | undefined;
}) => Promise<FeedPage<R>>;

/** Reads the records of a gap from the audit service. Ends early where the service has no more of them. */
export function gapReader<R extends Place>(
  listRecords: ListRecords<R>,
): (gap: Gap) => AsyncIterable<R> {
  return async function* ({ stream, from, to, after, before }) {
    // A keyring's stream is its owner's, and the service can be asked for those records alone.
    const owner = stream.startsWith(KEYRING) ? stream.slice(KEYRING.length) : undefined;
    for (let pageToken = after; ; ) {
      const page = await listRecords({ pageToken, owner });
      for (const record of page.records) {
        if (record.position >= before) return;
        if (record.stream !== stream || record.revision < from) continue;
        yield record;
        if (record.revision >= to) return;
      }
      // A page may be empty and yet not the last. What was looked at ends at its token, which is a position.
      if (page.nextPageToken === "" || page.nextPageToken >= before) return;
      pageToken = page.nextPageToken;
    }
  };
}

const KEYRING = "keyring-";
