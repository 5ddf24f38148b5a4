import {
  type AccessLog,
  type CancelSignal,
  chained,
  type Followed,
  type Host,
  type Instant,
  type NewAccess,
  type Page,
  type Position,
  type PositionCheck,
  type Revision,
  StoreUnavailable,
  type Uuid,
} from "@keyledger/core";
import type { Disk } from "./disk.ts";
import { follow, Growth } from "./follow.ts";
import { createGroupCommit, type GroupCommit, type Settled } from "./group-commit.ts";
import { EMBEDDED_ACCESS, type Positions, positionsOf } from "./position.ts";
import { Segments } from "./segments.ts";

export interface SegmentAccessLogOptions {
  /** Holds nothing but segments. */
  readonly directory: string;
  readonly deploymentId: Uuid;
  /** The single writer of the stream `access-<nodeId>`, which is all that the log holds. */
  readonly nodeId: Uuid;
  readonly host: Host;
  /** A segment that would grow beyond is followed by a new one. 64 MiB unless given. */
  readonly segmentBytesMax?: number;
  /** A segment older than this is followed by a new one, so that retiring by age finds whole ones. A day unless given. */
  readonly segmentAgeMs?: number;
  /** The file system, unless given. */
  readonly disk?: Disk;
}

/**
 * The access log in append-only segment files. Each append is on the disk when it resolves; all that wait together share
 * one fdatasync, during which the next batch gathers.
 * @throws {StoreUnavailable} the files cannot be opened, or belong to another deployment or node.
 * @throws {Corrupted} names file and offset.
 */
export async function openSegmentAccessLog(
  options: SegmentAccessLogOptions,
): Promise<AccessLog & AsyncDisposable> {
  const { segmentBytesMax = 67_108_864, segmentAgeMs = 86_400_000 } = options;
  const segments = await Segments.open({ ...options, segmentBytesMax, segmentAgeMs });
  return new SegmentAccessLog(segments, options);
}

/** Hashing a batch of that many keeps the process busy for some 4 ms. */
const BATCH_MAX = 256;
const LIMIT_MAX = 10_000;
/** An access record is some 500 characters. */
const DATA_CHARS_MAX = 65_536;

interface Place {
  readonly revision: Revision;
  readonly position: Position;
}

class SegmentAccessLog implements AccessLog, AsyncDisposable {
  readonly name = "access";
  readonly zero: Position;
  readonly #segments: Segments;
  readonly #stream: string;
  readonly #host: Host;
  readonly #positions: Positions;
  readonly #queue: GroupCommit<NewAccess, Place>;
  readonly #growth = new Growth();
  #closed = false;

  constructor(segments: Segments, { deploymentId, nodeId, host }: SegmentAccessLogOptions) {
    this.#segments = segments;
    this.#stream = `access-${nodeId}`;
    this.#host = host;
    this.#positions = positionsOf(EMBEDDED_ACCESS, deploymentId);
    this.zero = this.#positions.zero;
    this.#queue = createGroupCommit({
      commit: (batch) => this.#commit(batch),
      batchMax: BATCH_MAX,
    });
  }

  async append(record: NewAccess, { signal }: { signal?: CancelSignal } = {}): Promise<Place> {
    if (record.data.length > DATA_CHARS_MAX) {
      throw new RangeError(
        `a record's data has ${record.data.length} characters, the most is ${DATA_CHARS_MAX}`,
      );
    }
    return this.#queue.push(record, signal);
  }

  async retire(olderThan: Instant): Promise<void> {
    this.#assertOpen();
    await this.#segments.retire(olderThan);
  }

  async head(): Promise<Position> {
    this.#assertOpen();
    return this.#positions.encode(this.#headSequence);
  }

  async check(token: string): Promise<PositionCheck> {
    this.#assertOpen();
    return this.#positions.check(token, this.#headSequence);
  }

  async read({ after, limit }: { after: Position; limit: number }): Promise<Page> {
    this.#assertOpen();
    if (!Number.isInteger(limit) || limit < 1 || limit > LIMIT_MAX) {
      throw new RangeError(`a limit is 1 to ${LIMIT_MAX}, not ${limit}`);
    }
    const head = this.#headSequence;
    const behind = this.#positions.sequenceOf(after, head);
    const first = Math.max(behind + 1, this.#segments.firstSequence);
    const last = Math.min(first + limit - 1, head);
    const records = await this.#segments.read(first, last + 1);
    const events = records.map(({ sequence, record }) => ({
      ...record,
      stream: this.#stream,
      ...this.#place(sequence),
    }));
    return { events, next: this.#positions.encode(last), atEnd: last === head };
  }

  follow(options: {
    after: Position;
    signal: CancelSignal;
    pageSize?: number;
  }): AsyncIterable<Followed> {
    return follow({ growth: this.#growth, read: (page) => this.read(page) }, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.close();
    this.#closed = true;
    await this.#segments.close();
    // Followers that wait for the next record learn that there will be none.
    this.#growth.announce();
  }

  /** One at a time: the queue waits for each batch before it gives the next. */
  async #commit(batch: readonly NewAccess[]): Promise<readonly Settled<Place>[]> {
    const { nextSequence, tip } = this.#segments;
    let { lastHash, latestTime } = tip;
    const records = batch.map((record, nth) => {
      const { revision } = this.#place(nextSequence + nth);
      const metadata = chained(this.#host.crypto, lastHash, {
        ...record,
        stream: this.#stream,
        revision,
      });
      lastHash = metadata.hash;
      const { time = "" } = record.metadata;
      if (time > latestTime) latestTime = time;
      return { ...record, metadata };
    });
    await this.#segments.append(records, { lastHash, latestTime });
    this.#growth.announce();
    return batch.map((_, nth) => ({ value: this.#place(nextSequence + nth) }));
  }

  /** Sequence numbers begin at 1, so that 0 is before the first record; revisions at 0. */
  #place(sequence: number): Place {
    return { revision: sequence - 1, position: this.#positions.encode(sequence) };
  }

  get #headSequence(): number {
    return this.#segments.nextSequence - 1;
  }

  #assertOpen(): void {
    if (this.#closed) throw new StoreUnavailable("the access log is closed", { retryable: false });
  }
}
