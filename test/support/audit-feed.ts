import { type AuditRecord, AuditService, type Feed } from "@keyledger/contracts";
import { CHAIN_START, linkHash } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { grpcClient } from "./grpc-client.ts";

/** What a feed holds behind a position, read page by page, and the position to go on from. */
export async function readFeed(
  grpc: string,
  key: string,
  feed: Feed,
  after = "",
): Promise<{ readonly records: readonly AuditRecord[]; readonly next: string }> {
  using audit = grpcClient(AuditService, grpc, { key });
  const records: AuditRecord[] = [];
  for (let pageToken = after; ; ) {
    const page = await audit.listRecords({ feed, pageSize: 500, pageToken });
    records.push(...page.records);
    pageToken = page.nextPageToken;
    if (pageToken === "") return { records, next: records.at(-1)?.position ?? after };
  }
}

/** Checks the chain of every stream, record by record, from nothing but what an export carries. */
export class ChainCheck {
  readonly #crypto = nodeHost().crypto;
  readonly #last = new Map<string, { readonly hash: string; readonly revision: number }>();

  get streams(): number {
    return this.#last.size;
  }

  /** @returns what is wrong with the record, or nothing. */
  add(record: AuditRecord): string | undefined {
    const { stream, eventId: id, type, dataDigest, metadataDigest } = record;
    const before = this.#last.get(stream) ?? { hash: CHAIN_START, revision: -1 };
    const revision = Number(record.revision);
    const place = `${stream}@${revision}`;
    this.#last.set(stream, { hash: record.hash, revision });
    if (revision !== before.revision + 1) return `${place} comes behind ${before.revision}`;
    if (record.prevHash !== before.hash) return `${place} is not linked to the event before it`;
    const link = { prevHash: before.hash, stream, revision, id, type, dataDigest, metadataDigest };
    return linkHash(this.#crypto, link) === record.hash ? undefined : `${place} was altered`;
  }
}

/** What is wrong with the chains of a whole feed. */
export function brokenLinks(records: readonly AuditRecord[]): readonly string[] {
  const chain = new ChainCheck();
  return records.flatMap((record) => chain.add(record) ?? []);
}
