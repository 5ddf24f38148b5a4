import type { AuditRecord } from "../domain/audit-record.ts";
import type { Position } from "../domain/vocabulary.ts";

/** Where a relay delivers one feed. */
export interface AuditSink {
  /** Position of the last record known to be there, read from the sink itself; `null` = none. */
  resumeAfter(feed: "changes" | "access"): Promise<Position | null>;
  /** Delivers a batch in order, at least once; durable once resolved. @throws {StoreUnavailable} */
  deliver(feed: "changes" | "access", records: readonly AuditRecord[]): Promise<void>;
}
