import type { Position, Revision, Uuid } from "../domain/vocabulary.ts";
import type { CancelSignal } from "./host.ts";

/** An event as it is stored: canonical JSON text and string metadata, hash chain included. */
export interface NewEvent {
  readonly id: Uuid;
  readonly type: string;
  /** Canonical JSON: sorted names, no spaces. Its SHA-256 is in the hash chain, so it is stored byte for byte. */
  readonly data: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface RecordedEvent extends NewEvent {
  readonly stream: string;
  readonly revision: Revision;
  readonly position: Position;
}

/** What a stream must be for an append to happen: untouched, at this revision, existing, or anything. */
export type ExpectedRevision = "none" | Revision | "exists" | "any";

export interface Appended {
  /** `already`: exactly these events stand exactly there, from an earlier attempt. */
  readonly outcome: "appended" | "already";
  /** Of the last event. */
  readonly revision: Revision;
  /** Of the last event. */
  readonly position: Position;
}

export interface Page {
  readonly events: readonly RecordedEvent[];
  /** Everything up to here was looked at: the next `after`. */
  readonly next: Position;
  /** The end of the feed was reached. */
  readonly atEnd: boolean;
}

/** One item of a follow: a page that may be empty, or the news that the end was reached. */
export type Followed =
  | { readonly kind: "page"; readonly events: readonly RecordedEvent[]; readonly next: Position }
  | { readonly kind: "caught-up"; readonly next: Position };

export type PositionCheck = "known" | "foreign" | "ahead";

/** An ordered feed of recorded events: what can be read, followed and relayed. */
export interface Feed {
  readonly name: "changes" | "access";
  /** The position before the first event. */
  readonly zero: Position;
  /** Position of the last event, or zero. */
  head(): Promise<Position>;
  /** Whether a token is one of this feed of this deployment, and not beyond its end. Any text may be given. */
  check(token: string): Promise<PositionCheck>;
  /** Events behind `after` in order; at most `limit` (1 to 10,000) are looked at. */
  read(options: { after: Position; limit: number }): Promise<Page>;
  /**
   * Catches up from `after`, then goes on live, without a gap or a duplicate at the hand-over. Pull: a slow reader
   * buffers nothing. Ends without an error when the signal aborts.
   */
  follow(options: {
    after: Position;
    signal: CancelSignal;
    pageSize?: number;
  }): AsyncIterable<Followed>;
}

/** Another event stands at the expected place: somebody else was first. */
export class WrongExpectedRevision extends Error {
  readonly actual: Revision | "none";

  constructor(stream: string, expected: ExpectedRevision, actual: Revision | "none") {
    super(`stream ${stream} is at ${actual}, not at ${expected}`);
    this.name = "WrongExpectedRevision";
    this.actual = actual;
  }
}

/** An event id stands somewhere else already: a bug or an attack, never a retry. */
export class EventIdReused extends Error {
  constructor(stream: string) {
    super(`an event id given for stream ${stream} stands elsewhere`);
    this.name = "EventIdReused";
  }
}

/** What changed. The truth, the outbox and the audit trail at once. */
export interface EventLog extends Feed {
  readonly name: "changes";
  /** Nobody but this process can append: a state built from its own appends is the whole state. Absent = others can. */
  readonly isSoleWriter?: boolean;
  /**
   * Appends all events or none; durable once resolved. 1 to 64 events.
   * @throws {WrongExpectedRevision} lost race; load and decide again.
   * @throws {EventIdReused} see there.
   * @throws {StoreUnavailable} nothing was written.
   * @throws {OutcomeUnknown} repeat with the same ids and the same expected revision.
   */
  append(
    stream: string,
    expected: ExpectedRevision,
    events: readonly NewEvent[],
    options?: { signal?: CancelSignal },
  ): Promise<Appended>;
  /** At most `limit` (1 to 10,000) events from revision `from` on, forwards; a missing stream is empty, not an error. */
  readStream(
    stream: string,
    options: { from: Revision; limit: number },
  ): Promise<readonly RecordedEvent[]>;
}
