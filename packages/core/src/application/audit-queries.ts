import type { AuditRecord } from "../domain/audit-record.ts";
import { invalid, type Rejection } from "../domain/rejection.ts";
import { type Owner, ownerName, type Position } from "../domain/vocabulary.ts";
import type { Feed, RecordedEvent } from "../ports/event-log.ts";
import type { CancelSignal, Crypto } from "../ports/host.ts";
import { describe } from "./describe.ts";

/** A list call looks at no more records than this; it then answers what it has, perhaps nothing, and a token. */
export const SCANNED_MAX = 10_000;

/** Records looked at in one go. */
const PAGE = 500;

export interface AuditFilter {
  /** `null` = every owner. */
  readonly owner: Owner | null;
}

/** Reads one feed for audit consumers. */
export interface AuditQueries {
  list(
    feed: "changes" | "access",
    filter: AuditFilter & { readonly pageSize: number; readonly pageToken: string },
  ): Promise<
    | { readonly rejected: Rejection }
    | { readonly records: readonly AuditRecord[]; readonly nextPageToken: string }
  >;
  /** Whether a feed can be followed from there. */
  checkStart(feed: "changes" | "access", after: string): Promise<Rejection | undefined>;
  /** Records behind `after`, then live. Ends when the signal aborts. */
  follow(
    feed: "changes" | "access",
    filter: AuditFilter & { readonly after: string },
    signal: CancelSignal,
  ): AsyncIterable<
    | { readonly kind: "records"; readonly records: readonly AuditRecord[] }
    | { readonly kind: "caught-up"; readonly position: Position }
  >;
}

export function createAuditQueries(
  feeds: { readonly changes: Feed; readonly access: Feed },
  crypto: Crypto,
): AuditQueries {
  const isAbout = (owner: Owner | null) => {
    const name = owner && ownerName(owner);
    return ({ metadata }: RecordedEvent) => name === null || metadata.owner === name;
  };

  async function check(feed: Feed, field: string, token: string): Promise<Rejection | undefined> {
    if (token === "") return undefined;
    const found = await feed.check(token);
    if (found === "foreign") return invalid(field, `is no position of the feed ${feed.name}`);
    return found === "ahead" ? invalid(field, `lies ahead of the feed ${feed.name}`) : undefined;
  }

  return {
    async list(name, { owner, pageSize, pageToken }) {
      const feed = feeds[name];
      const rejection = await check(feed, "page_token", pageToken);
      if (rejection) return { rejected: rejection };
      const matches = isAbout(owner);
      const records: AuditRecord[] = [];
      let after = pageToken === "" ? feed.zero : pageToken;
      for (let scanned = 0; scanned < SCANNED_MAX; ) {
        const page = await feed.read({ after, limit: PAGE });
        for (const recorded of page.events) {
          after = recorded.position;
          if (matches(recorded)) records.push(describe(crypto, recorded));
          if (records.length === pageSize) return { records, nextPageToken: after };
        }
        after = page.next;
        scanned += PAGE;
        if (page.atEnd) return { records, nextPageToken: "" };
      }
      return { records, nextPageToken: after };
    },

    checkStart: (name, after) => check(feeds[name], "after", after),

    async *follow(name, { owner, after }, signal) {
      const feed = feeds[name];
      const matches = isAbout(owner);
      for await (const item of feed.follow({ after: after === "" ? feed.zero : after, signal })) {
        if (item.kind === "caught-up") {
          yield { kind: "caught-up", position: item.next };
          continue;
        }
        const records = item.events.filter(matches).map((recorded) => describe(crypto, recorded));
        if (records.length > 0) yield { kind: "records", records };
      }
    },
  };
}
