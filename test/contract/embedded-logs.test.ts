import { accessLogContract } from "./access-log.contract.ts";
import { auditSinkContract } from "./audit-sink.contract.ts";
import { newAccessLogStore, newAuditSinkStore, newEventLogStore } from "./embedded-stores.ts";
import { eventLogContract } from "./event-log.contract.ts";

eventLogContract("The SQLite event log", async () => newEventLogStore(), {
  gapFree: true,
  seesEveryId: true,
});

accessLogContract("The segment access log", async () => newAccessLogStore(), { gapFree: true });

auditSinkContract("The JSONL audit sink", async () => newAuditSinkStore());
