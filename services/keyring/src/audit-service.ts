import type { AuditService } from "@keyledger/contracts";
import type { Ledger } from "@keyledger/core";
import { errorOf } from "./errors.ts";
import type { Handlers } from "./handlers.ts";
import { auditRecordTo, feedFrom, pageSizeFrom } from "./wire.ts";

/** AuditService: both feeds, listed and followed. */
export const auditService = ({ audit }: Pick<Ledger, "audit">): Handlers<typeof AuditService> => ({
  async listRecords(request, call) {
    const page = await audit.list(feedFrom(request.feed), {
      owner: call.owner,
      pageSize: pageSizeFrom("page_size", request.pageSize),
      pageToken: request.pageToken,
    });
    if ("rejected" in page) throw errorOf(page.rejected);
    return { records: page.records.map(auditRecordTo), nextPageToken: page.nextPageToken };
  },

  async *followRecords(request, call) {
    const feed = feedFrom(request.feed);
    const { after } = request;
    const rejection = await audit.checkStart(feed, after);
    if (rejection) throw errorOf(rejection);
    for await (const item of audit.follow(feed, { owner: call.owner, after }, call.signal)) {
      if (item.kind === "caught-up") {
        yield { item: { case: "caughtUp", value: item.position } };
        continue;
      }
      for (const record of item.records) {
        yield { item: { case: "record", value: auditRecordTo(record) } };
      }
    }
  },
});
