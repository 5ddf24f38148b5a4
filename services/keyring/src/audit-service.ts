import { create, toBinary } from "@bufbuild/protobuf";
import { AuditRecordSchema, type AuditService } from "@keyledger/contracts";
import type { Ledger, Pause } from "@keyledger/core";
import { errorOf } from "./errors.ts";
import type { Handlers } from "./handlers.ts";
import { withHeartbeat } from "./heartbeat.ts";
import { PAGE_BYTES_MAX, takeBytes } from "./page.ts";
import { auditRecordTo, feedFrom, pageSizeFrom } from "./wire.ts";

/** How long a followed feed may be quiet before the position is said again, in milliseconds. */
const HEARTBEAT_MS = 10_000;

const bytesOf = (record: ReturnType<typeof auditRecordTo>): number =>
  toBinary(AuditRecordSchema, create(AuditRecordSchema, record)).byteLength;

/** AuditService: both feeds, listed and followed. */
export const auditService = (
  { audit }: Pick<Ledger, "audit">,
  pause: Pause,
): Handlers<typeof AuditService> => ({
  async listRecords(request, call) {
    const page = await audit.list(feedFrom(request.feed), {
      owner: call.owner,
      pageSize: pageSizeFrom("page_size", request.pageSize),
      pageToken: request.pageToken,
    });
    if ("rejected" in page) throw errorOf(page.rejected);
    const found = page.records.map(auditRecordTo);
    const records = takeBytes(found, bytesOf, PAGE_BYTES_MAX);
    const isCut = records.length < found.length;
    return {
      records: [...records],
      nextPageToken: isCut ? (records.at(-1)?.position ?? "") : page.nextPageToken,
    };
  },

  async *followRecords(request, call) {
    const feed = feedFrom(request.feed);
    const { after } = request;
    const rejection = await audit.checkStart(feed, after);
    if (rejection) throw errorOf(rejection);
    let position = after;
    const items = withHeartbeat(audit.follow(feed, { owner: call.owner, after }, call.signal), {
      everyMs: HEARTBEAT_MS,
      pause,
      beat: () => ({ kind: "caught-up" as const, position }),
    });
    for await (const item of items) {
      if (item.kind === "caught-up") {
        position = item.position;
        yield { item: { case: "caughtUp", value: position } };
        continue;
      }
      for (const record of item.records) {
        position = record.position;
        yield { item: { case: "record", value: auditRecordTo(record) } };
      }
    }
  },
});
