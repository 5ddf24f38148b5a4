/**
 * The consumer rule. A feed is delivered at least once, in order within each stream, and two publishers may do so at the
 * same time: duplicates and interleavings happen, and a gap means that something was lost. Within a stream revisions count
 * up from 0 by one, so that one mark per stream tells all three apart. Kept to, every record is applied exactly once.
 */

/** Where a record stands. */
export interface Place {
  readonly stream: string;
  /** 0-based, contiguous within the stream. */
  readonly revision: bigint;
  /** Place in the feed: what reading goes on behind. Ordered as text. */
  readonly position: string;
}

/** Of the last record applied of a stream. */
export type Mark = Omit<Place, "stream">;

export type Verdict = "drop" | "apply" | "gap";

/** @param mark revision of the last record applied; `undefined` = none yet. */
export function verdictOn(mark: bigint | undefined, revision: bigint): Verdict {
  const next = (mark ?? -1n) + 1n;
  if (revision < next) return "drop";
  return revision === next ? "apply" : "gap";
}

/** Records that were not delivered: revisions `from` to `to` of a stream, both included. */
export interface Gap {
  readonly stream: string;
  readonly from: bigint;
  readonly to: bigint;
  /** They stand behind this position of the feed; empty = its start. */
  readonly after: string;
  /** And before this one. */
  readonly before: string;
}

/** The gap could not be closed from the audit service. Nothing behind it was applied. */
export class GapNotFilled extends Error {
  readonly gap: Gap;

  constructor(gap: Gap) {
    super(`revisions ${gap.from} to ${gap.to} of the stream ${gap.stream} are missing`);
    this.name = "GapNotFilled";
    this.gap = gap;
  }
}

export interface AuditConsumerOptions<R extends Place> {
  /** Where the stream stands, read from wherever `apply` wrote it. */
  readonly markOf: (stream: string) => Promise<Mark | undefined>;
  /**
   * Takes the record in and sets the stream's mark to its revision and position, both or neither: in one transaction, or
   * by keeping the mark inside what it writes. That, and nothing else, makes it once.
   */
  readonly apply: (record: R) => Promise<void>;
  /** Reads the missing records from the audit service, in order: see `gapReader`. */
  readonly readGap: (gap: Gap) => AsyncIterable<R>;
  /** Raises the alarm, before anything is done about it: a gap should never be. */
  readonly onGap: (gap: Gap) => void;
  /**
   * Of a stream seen for the first time: `beginning` takes earlier revisions for missing and reads them; `here` starts with
   * what comes first, for a topic whose beginning is past its retention. `beginning` unless given.
   */
  readonly startAt?: "beginning" | "here";
}

/** What one delivery came to. */
export interface Applied {
  readonly verdict: Verdict;
  /** Records applied, those out of a gap included. */
  readonly records: number;
}

export interface AuditConsumer<R extends Place> {
  /**
   * Takes one delivered record. Deliveries of one stream are worked off in the order of the calls.
   * @throws {GapNotFilled} the same delivery may be taken again.
   */
  take(record: R): Promise<Applied>;
}

export function createAuditConsumer<R extends Place>(
  options: AuditConsumerOptions<R>,
): AuditConsumer<R> {
  const { markOf, apply, readGap, onGap, startAt = "beginning" } = options;
  const turns = new Map<string, Promise<unknown>>();

  async function take(record: R): Promise<Applied> {
    const { stream, revision } = record;
    const mark = await markOf(stream);
    const isFirst = mark === undefined && startAt === "here";
    const verdict = isFirst ? "apply" : verdictOn(mark?.revision, revision);
    if (verdict === "drop") return { verdict, records: 0 };
    const missing = verdict === "gap" ? await fill(record, mark) : 0;
    await apply(record);
    return { verdict, records: missing + 1 };
  }

  async function fill({ stream, revision, position }: R, mark: Mark | undefined): Promise<number> {
    const from = (mark?.revision ?? -1n) + 1n;
    const after = mark?.position ?? "";
    onGap({ stream, from, to: revision - 1n, after, before: position });
    let next = from;
    let behind = after;
    for await (const missing of readGap({
      stream,
      from,
      to: revision - 1n,
      after,
      before: position,
    })) {
      if (missing.stream !== stream || missing.revision !== next || next === revision) break;
      await apply(missing);
      next += 1n;
      behind = missing.position;
    }
    if (next !== revision) {
      throw new GapNotFilled({
        stream,
        from: next,
        to: revision - 1n,
        after: behind,
        before: position,
      });
    }
    return Number(revision - from);
  }

  return {
    take(record) {
      const before = turns.get(record.stream) ?? Promise.resolve();
      const done = before.then(() => take(record));
      const turn: Promise<unknown> = done
        .catch(() => {})
        .then(() => {
          if (turns.get(record.stream) === turn) turns.delete(record.stream);
        });
      turns.set(record.stream, turn);
      return done;
    },
  };
}
