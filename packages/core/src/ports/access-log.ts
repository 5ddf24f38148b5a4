import type { Instant, Position, Revision, Uuid } from "../domain/vocabulary.ts";
import type { Feed } from "./event-log.ts";
import type { CancelSignal } from "./host.ts";

/** An access record before the log gives it revision and hash. */
export interface NewAccess {
  readonly id: Uuid;
  readonly type: "AccessGranted" | "AccessRefused";
  /** Canonical JSON. */
  readonly data: string;
  /** Without `hash` and `prevHash`: the log chains the records of its node's stream when it writes a batch. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Who used what. A log of its own: thousands a second, retired by age. Its stream is `access-<node>`. */
export interface AccessLog extends Feed {
  readonly name: "access";
  /**
   * Durable once resolved.
   * @throws {StoreUnavailable} it is not there, and will not be.
   * @throws {OutcomeUnknown} it may be there.
   */
  append(
    record: NewAccess,
    options?: { signal?: CancelSignal },
  ): Promise<{ revision: Revision; position: Position }>;
  /** Drops whole parts of the log whose records are all older. */
  retire(olderThan: Instant): Promise<void>;
}
