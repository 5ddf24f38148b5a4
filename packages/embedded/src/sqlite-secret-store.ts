import type { DatabaseSync, SQLOutputValue } from "node:sqlite";
import {
  Corrupted,
  type EnvelopeRecord,
  Fault,
  type Held,
  OutcomeUnknown,
  type RecordVersion,
  type SecretRef,
  type SecretStore,
  type Staged,
  StoreUnavailable,
  type Uuid,
} from "@keyledger/core";
import { claimDeployment, DEPLOYMENT_SCHEMA } from "./deployment.ts";
import {
  decodeReference,
  decodeSlot,
  encodeReference,
  encodeSlot,
  SLOT_SIZES,
  type SlotSize,
  type Versioned,
} from "./envelope-codec.ts";
import { createGroupCommit, type GroupCommit, type Settled } from "./group-commit.ts";
import { openSqlite, type Sqlite } from "./sqlite.ts";

export interface SqliteSecretStoreOptions {
  readonly file: string;
  /** Written into a new file; an old one must hold the same. */
  readonly deploymentId: Uuid;
}

export interface SqliteSecretStore extends SecretStore, AsyncDisposable {
  /** Whether any record is there. */
  isEmpty(): boolean;
}

/**
 * Envelope records in one SQLite file, in slots of three sizes. A slot is never removed and never moves: a record is
 * destroyed, or replaced, by overwriting its slot where it is, and zeroed slots are used again. The write-ahead log,
 * which still holds the page as it was, is cut to nothing before the call resolves. So what was destroyed is in no file
 * any more; what the disk itself keeps of overwritten sectors stays sealed under a key that rotation retires.
 *
 * Durable when a call resolves; all that wait together share one fsync.
 * @throws {StoreUnavailable} the file cannot be opened, or belongs to another deployment.
 * @throws {Corrupted} the file is not what it should be.
 */
export const openSqliteSecretStore = (options: SqliteSecretStoreOptions): SqliteSecretStore =>
  new SlotStore(options);

/** Records read in one go: some 10 ms, then other work gets its turn. */
const SCAN_PAGE_MAX = 1_000;

/** "KL" and one number for each kind of file. */
const APPLICATION_ID = 0x4b4c0002;

const slotsTable = (size: SlotSize): string => `
  CREATE TABLE slots_${size} (
    id INTEGER PRIMARY KEY,
    is_used INTEGER NOT NULL CHECK (is_used IN (0, 1)),
    bytes BLOB NOT NULL CHECK (length(bytes) = ${size})
  ) STRICT;
  CREATE INDEX free_slots_${size} ON slots_${size} (id) WHERE is_used = 0;
  CREATE TRIGGER slots_${size}_never_removed BEFORE DELETE ON slots_${size}
    BEGIN SELECT RAISE(ABORT, 'a slot is overwritten, never removed'); END;
`;

// The index over the names holds nothing else: an index entry that goes leaves its bytes behind in the file.
const SCHEMA = `
  ${DEPLOYMENT_SCHEMA}
  CREATE TABLE records (
    reference BLOB PRIMARY KEY,
    slot_size INTEGER NOT NULL,
    slot INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  ${SLOT_SIZES.map(slotsTable).join("\n")}
`;

function slotStatements(database: DatabaseSync, size: SlotSize) {
  const table = `slots_${size}`;
  return {
    read: database.prepare(`SELECT bytes FROM ${table} WHERE id = ?`),
    findFree: database.prepare(`SELECT id FROM ${table} WHERE is_used = 0 LIMIT 1`),
    add: database.prepare(`INSERT INTO ${table} (is_used, bytes) VALUES (1, ?)`),
    // A row of the same length is overwritten where it is: is_used takes no byte beside its type.
    fill: database.prepare(`UPDATE ${table} SET is_used = 1, bytes = ? WHERE id = ?`),
    wipe: database.prepare(
      `UPDATE ${table} SET is_used = 0, bytes = zeroblob(${size}) WHERE id = ?`,
    ),
  };
}

function statementsOf(database: DatabaseSync) {
  return {
    find: database.prepare("SELECT slot_size, slot FROM records WHERE reference = ?"),
    add: database.prepare("INSERT INTO records VALUES (?, ?, ?)"),
    move: database.prepare("UPDATE records SET slot_size = ?, slot = ? WHERE reference = ?"),
    remove: database.prepare("DELETE FROM records WHERE reference = ?"),
    any: database.prepare("SELECT 1 FROM records LIMIT 1"),
    scan: database.prepare(
      "SELECT reference, slot_size, slot FROM records WHERE reference > ? ORDER BY reference LIMIT ?",
    ),
    truncateLog: database.prepare("PRAGMA wal_checkpoint(TRUNCATE)"),
    slots: new Map<number, SlotStatements>(
      SLOT_SIZES.map((size) => [size, slotStatements(database, size)]),
    ),
  };
}

type Statements = ReturnType<typeof statementsOf>;
type SlotStatements = ReturnType<typeof slotStatements>;

/** Where a record lies. */
interface Place {
  readonly slots: SlotStatements;
  readonly size: number;
  readonly id: number;
}

interface Change {
  /** It destroys bytes, so it may not resolve while the write-ahead log holds them. */
  readonly isWipe: boolean;
  /** Whatever it refuses, it refuses before it writes, so that no savepoint is needed to undo one change. @throws {Fault} */
  apply(statements: Statements): boolean;
}

class SlotStore implements SqliteSecretStore {
  readonly store = "sqlite";
  readonly method = "zeros-in-place";
  readonly #sqlite: Sqlite<Statements>;
  readonly #queue: GroupCommit<Change, boolean>;
  /** The write-ahead log holds pages as they were before something on them was destroyed. */
  #logHoldsOldPages = false;

  constructor({ file, deploymentId }: SqliteSecretStoreOptions) {
    this.#queue = createGroupCommit({ commit: (batch) => this.#commit(batch) });
    this.#sqlite = openSqlite({
      file,
      applicationId: APPLICATION_ID,
      migrations: [SCHEMA],
      synchronous: "FULL",
      prepare: (database) => {
        // A reader in another process would keep old pages in the write-ahead log: none is let in. The lock is taken by
        // the first transaction. A page that splits leaves copies of what moved behind, unless they are zeroed.
        database.exec(
          "PRAGMA locking_mode = EXCLUSIVE; PRAGMA secure_delete = ON; BEGIN IMMEDIATE; COMMIT",
        );
        const statements = statementsOf(database);
        const isEmpty = statements.any.get() === undefined;
        claimDeployment(database, { file, id: deploymentId, isEmpty });
        // A crash may have come between overwriting and cutting.
        truncateLog(file, statements);
        return statements;
      },
    });
  }

  isEmpty(): boolean {
    return this.#sqlite.read(({ any }) => any.get() === undefined);
  }

  async put(ref: SecretRef, record: EnvelopeRecord): Promise<void> {
    const reference = encodeReference(ref);
    const bytes = encodeSlot(reference, { record, version: 1 });
    await this.#queue.push({
      isWipe: false,
      apply: (statements) => {
        if (placeOf(statements, reference)) throw writtenTwice(ref);
        const { size, id } = store(statements, bytes);
        statements.add.run(reference, size, id);
        return true;
      },
    });
  }

  async get(ref: SecretRef): Promise<Held | null> {
    const reference = encodeReference(ref);
    const held = this.#sqlite.read((statements) => {
      const place = placeOf(statements, reference);
      return place && load(place, reference);
    });
    return held === undefined ? null : { record: held.record, version: String(held.version) };
  }

  async replace(ref: SecretRef, record: EnvelopeRecord, expected: RecordVersion): Promise<boolean> {
    const reference = encodeReference(ref);
    const version = Number(expected) + 1;
    if (!Number.isSafeInteger(version)) return false;
    const bytes = encodeSlot(reference, { record, version });
    return this.#queue.push({
      isWipe: true,
      apply: (statements) => {
        const place = placeOf(statements, reference);
        if (!place || String(load(place, reference).version) !== expected) return false;
        this.#logHoldsOldPages = true;
        if (place.size === bytes.length) {
          place.slots.fill.run(bytes, place.id);
        } else {
          place.slots.wipe.run(place.id);
          const { size, id } = store(statements, bytes);
          statements.move.run(size, id, reference);
        }
        return true;
      },
    });
  }

  async shred(ref: SecretRef): Promise<void> {
    const reference = encodeReference(ref);
    await this.#queue.push({
      isWipe: true,
      apply: (statements) => {
        const place = placeOf(statements, reference);
        if (place) {
          this.#logHoldsOldPages = true;
          place.slots.wipe.run(place.id);
          statements.remove.run(reference);
        }
        return true;
      },
    });
  }

  /** A damaged record is listed as of 1970 and of KEK version 0, so that no census and no collector overlooks it. */
  async scan({
    cursor,
    limit,
  }: {
    cursor: string;
    limit: number;
  }): Promise<{ records: readonly Staged[]; next: string | null }> {
    if (!Number.isInteger(limit) || limit < 1) {
      throw new RangeError(`limit is ${limit}, it must be at least 1`);
    }
    const count = Math.min(limit, SCAN_PAGE_MAX);
    return this.#sqlite.read((statements) => {
      const rows = statements.scan.all(Buffer.from(cursor, "base64url"), count + 1);
      const references = rows.slice(0, count).map(({ reference }) => bytesOf(reference));
      const last = rows.length > count ? references.at(-1) : undefined;
      return {
        records: references.map((reference) => stagedAt(statements, reference)),
        next: last === undefined ? null : Buffer.from(last).toString("base64url"),
      };
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#queue.close();
    this.#sqlite[Symbol.dispose]();
  }

  #commit(batch: readonly Change[]): readonly Settled<boolean>[] {
    const outcomes = this.#sqlite.write((statements) =>
      batch.map((change) => settled(() => change.apply(statements))),
    );
    if (!this.#logHoldsOldPages) return outcomes;
    try {
      this.#sqlite.read((statements) => truncateLog(this.#sqlite.file, statements));
      this.#logHoldsOldPages = false;
      return outcomes;
    } catch (error) {
      const fault = error instanceof Error ? error : new OutcomeUnknown("a wipe failed");
      return outcomes.map((outcome, at) => (batch[at]?.isWipe ? { fault } : outcome));
    }
  }
}

function settled(work: () => boolean): Settled<boolean> {
  try {
    return { value: work() };
  } catch (error) {
    if (error instanceof Fault) return { fault: error };
    throw error;
  }
}

function placeOf(statements: Statements, reference: Uint8Array): Place | undefined {
  const row = statements.find.get(reference);
  if (row === undefined) return undefined;
  const size = Number(row.slot_size);
  return { slots: slotsOf(statements, size), size, id: Number(row.slot) };
}

function slotsOf(statements: Statements, size: number): SlotStatements {
  const slots = statements.slots.get(size);
  if (slots === undefined)
    throw new Corrupted(`the index of secret records names slots of ${size} bytes`);
  return slots;
}

const load = ({ slots, id }: Place, reference: Uint8Array): Versioned =>
  decodeSlot(reference, bytesOf(slots.read.get(id)?.bytes));

/** Fills a free slot, or adds one. */
function store(statements: Statements, bytes: Uint8Array): { size: number; id: number } {
  const size = bytes.length;
  const slots = slotsOf(statements, size);
  const free = slots.findFree.get()?.id;
  if (free === undefined) return { size, id: Number(slots.add.run(bytes).lastInsertRowid) };
  slots.fill.run(bytes, free);
  return { size, id: Number(free) };
}

function stagedAt(statements: Statements, reference: Uint8Array): Staged {
  const ref = decodeReference(reference);
  try {
    const place = placeOf(statements, reference);
    if (place === undefined)
      throw new Corrupted("the index of secret records changed while it was read");
    const { createdAt, wrappedDek } = load(place, reference).record;
    return { ref, createdAt, kek: { id: wrappedDek.kekId, version: wrappedDek.kekVersion } };
  } catch (error) {
    if (!(error instanceof Corrupted)) throw error;
    return { ref, createdAt: "1970-01-01T00:00:00.000Z", kek: { id: "", version: 0 } };
  }
}

function truncateLog(file: string, { truncateLog }: Statements): void {
  if (truncateLog.get()?.busy !== 0) {
    throw new StoreUnavailable(
      `${file}: another process reads the file, so what was destroyed is still in its write-ahead log`,
      { retryable: true },
    );
  }
}

function bytesOf(value: SQLOutputValue | undefined): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Corrupted("the index of secret records names a slot that is not there");
}

const writtenTwice = ({ owner, keyId, secretVersion }: SecretRef): Fault =>
  new Fault(`the secret record ${owner} ${keyId} ${secretVersion} is there already`, {
    retryable: false,
  });
