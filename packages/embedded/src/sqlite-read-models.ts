import { existsSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync, type SQLOutputValue } from "node:sqlite";
import {
  type CallerKeyView,
  Corrupted,
  isUuid,
  type KeyringView,
  type Owner,
  ownerName,
  type Position,
  parseOwnerName,
  type ReadModels,
  type Uuid,
  type ViewChanges,
} from "@keyledger/core";
import { FILE_MODE, fileFault } from "./files.ts";
import { GenerationalCache } from "./generational-cache.ts";
import { openSqlite, type Sqlite, sqliteFault } from "./sqlite.ts";
import {
  decodeCallerKey,
  decodeKey,
  decodeKeyring,
  encodeCallerKey,
  encodeKey,
  encodeKeyring,
  isInline,
} from "./view-codec.ts";

/** Why stored views were thrown away: they cannot be read, or are those of another deployment or release. */
export type ViewsResetReason = "damaged" | "other-deployment" | "other-schema";

export interface ReadModelsOptions {
  readonly file: string;
  readonly deploymentId: Uuid;
  /** Called before this returns, where views were there and had to be thrown away. They are empty then. */
  readonly onReset?: (reason: ViewsResetReason) => void;
}

/**
 * The views in one SQLite file, read through a cache. They can be built again from the log at any time, so a file that
 * is damaged, or of another deployment or release, is replaced by an empty one; a power cut may take the last commits
 * back, always together with their checkpoint.
 *
 * Damage met later is thrown as `Corrupted` and remembered beside the file: the next opening starts empty.
 * @throws {StoreUnavailable} the file cannot be opened, or another process has it.
 */
export function openReadModels(options: ReadModelsOptions): ReadModels & Disposable {
  return new SqliteReadModels(options);
}

/**
 * Number of what is stored here: the tables, the documents, and what the core makes of events. Raise it whenever one of
 * them changes; the views are built again then.
 */
const VIEW_SCHEMA = 1;

/** Keys and keyrings kept in memory, some 100 MB at most. */
const CACHED_KEYS_MAX = 100_000;
const CACHED_CALLER_KEYS_MAX = 100_000;
/** A file up to this size is checked as a whole when it is opened: some 60 ms. A larger one shows damage when it is met. */
const CHECKED_BYTES_MAX = 64 * 1024 * 1024;

const APPLICATION_ID = 0x4b4c0003;

// Rows are added in the order in which owners came, so that a page of events dirties few pages of the file; the names
// are found through hashes, because an index of the names themselves is four times the size, and every page of
// it that a commit touches is written twice.
const schemaOf = (deploymentId: Uuid): string => `
  CREATE TABLE checkpoint (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    deployment_id TEXT NOT NULL,
    view_schema INTEGER NOT NULL,
    position TEXT
  ) STRICT;
  CREATE TABLE keyrings (
    id INTEGER PRIMARY KEY,
    owner_hash INTEGER NOT NULL,
    owner TEXT NOT NULL,
    document TEXT NOT NULL,
    pending_count INTEGER NOT NULL
  ) STRICT;
  CREATE INDEX keyrings_by_owner ON keyrings (owner_hash);
  CREATE INDEX keyrings_with_pending ON keyrings (pending_count) WHERE pending_count > 0;
  CREATE TABLE keys (
    keyring INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (keyring, key_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE caller_keys (
    id TEXT PRIMARY KEY,
    owner TEXT,
    issued_at TEXT NOT NULL,
    document TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX caller_keys_by_age ON caller_keys (issued_at, id);
  CREATE INDEX caller_keys_by_owner ON caller_keys (owner, issued_at, id);
  INSERT INTO checkpoint VALUES (1, '${deploymentId}', ${VIEW_SCHEMA}, NULL);
`;

const statementsOf = (database: DatabaseSync) => ({
  checkpoint: database.prepare("SELECT position FROM checkpoint"),
  moveCheckpoint: database.prepare("UPDATE checkpoint SET position = ?"),
  findKeyring: database.prepare(
    "SELECT id, document FROM keyrings WHERE owner_hash = ? AND owner = ?",
  ),
  addKeyring: database.prepare(
    "INSERT INTO keyrings (owner_hash, owner, document, pending_count) VALUES (?, ?, ?, ?)",
  ),
  changeKeyring: database.prepare(
    "UPDATE keyrings SET document = ?, pending_count = ? WHERE id = ?",
  ),
  keysOf: database.prepare("SELECT document FROM keys WHERE keyring = ?"),
  putKey: database.prepare("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)"),
  removeKey: database.prepare("DELETE FROM keys WHERE keyring = ? AND key_id = ?"),
  ownersWithPending: database.prepare("SELECT owner FROM keyrings WHERE pending_count > 0 LIMIT ?"),
  pendingCount: database.prepare(
    "SELECT sum(pending_count) AS total FROM keyrings WHERE pending_count > 0",
  ),
  findCallerKey: database.prepare("SELECT id, document FROM caller_keys WHERE id = ?"),
  putCallerKey: database.prepare("INSERT OR REPLACE INTO caller_keys VALUES (?, ?, ?, ?)"),
  callerKeys: database.prepare(
    `SELECT id, document FROM caller_keys WHERE (issued_at, id) < (?, ?)
     ORDER BY issued_at DESC, id DESC LIMIT ?`,
  ),
  callerKeysOf: database.prepare(
    `SELECT id, document FROM caller_keys WHERE owner = ? AND (issued_at, id) < (?, ?)
     ORDER BY issued_at DESC, id DESC LIMIT ?`,
  ),
});

type Statements = ReturnType<typeof statementsOf>;

/** What is known of one owner; without an id nothing is stored. */
interface Stored {
  readonly id: number | undefined;
  readonly view: KeyringView | undefined;
}

const ABSENT: Stored = { id: undefined, view: undefined };
const NO_KEYS: KeyringView["keys"] = new Map();

class SqliteReadModels implements ReadModels, Disposable {
  readonly #options: ReadModelsOptions;
  readonly #keyrings = new GenerationalCache<string, Stored>(
    CACHED_KEYS_MAX,
    ({ view }) => 1 + (view?.keys.size ?? 0),
  );
  readonly #callerKeys = new GenerationalCache<Uuid, CallerKeyView>(
    CACHED_CALLER_KEYS_MAX,
    () => 1,
  );
  #sqlite: Sqlite<Statements>;
  /** `undefined`: to be read from the file. */
  #checkpoint: Position | null | undefined;

  constructor(options: ReadModelsOptions) {
    if (!isUuid(options.deploymentId)) throw new RangeError("the deployment id is no UUID");
    this.#options = options;
    const reason = whyUnusable(options);
    if (reason !== undefined) replaced(options, reason);
    this.#sqlite = openOrReplace(options);
  }

  checkpoint(): Position | null {
    if (this.#checkpoint === undefined) {
      const position = this.#read((statements) => statements.checkpoint.get()?.position);
      this.#checkpoint = typeof position === "string" ? position : null;
    }
    return this.#checkpoint;
  }

  commit({ keyrings, callerKeys }: ViewChanges, checkpoint: Position): void {
    try {
      this.#sqlite.write((statements) => {
        for (const view of keyrings) this.#putKeyring(statements, view);
        for (const view of callerKeys) this.#putCallerKey(statements, view);
        statements.moveCheckpoint.run(checkpoint);
      });
      this.#checkpoint = checkpoint;
    } catch (error) {
      this.#forget();
      throw this.#noted(error);
    }
  }

  reset(): void {
    this.#sqlite[Symbol.dispose]();
    this.#forget();
    discard(this.#options.file, { keepCopy: false });
    this.#sqlite = openViews(this.#options);
  }

  keyring(owner: Owner): KeyringView | undefined {
    const name = ownerName(owner);
    const known = this.#keyrings.get(name);
    if (known !== undefined) return known.view;
    const stored = this.#read((statements) => this.#storedUnder(statements, name));
    this.#keyrings.set(name, stored);
    return stored.view;
  }

  callerKey(id: Uuid): CallerKeyView | undefined {
    const known = this.#callerKeys.get(id);
    if (known !== undefined) return known;
    return this.#read((statements) => {
      const row = statements.findCallerKey.get(id);
      if (row === undefined) return undefined;
      const view = callerKeyIn(row);
      this.#callerKeys.set(id, view);
      return view;
    });
  }

  callerKeys({
    owner,
    before,
    limit,
  }: {
    owner: Owner | null;
    before: Uuid | null;
    limit: number;
  }): readonly CallerKeyView[] {
    const start = before === null ? NEWEST : this.callerKey(before);
    if (start === undefined) return [];
    const { issuedAt, callerKeyId } = start;
    const rows = this.#read((statements) =>
      owner === null
        ? statements.callerKeys.all(issuedAt, callerKeyId, limit)
        : statements.callerKeysOf.all(ownerName(owner), issuedAt, callerKeyId, limit),
    );
    return rows.map(callerKeyIn);
  }

  ownersWithPendingShreds(limit: number): readonly Owner[] {
    return this.#read((statements) =>
      statements.ownersWithPending.all(limit).map(({ owner }) => ownerIn(owner)),
    );
  }

  pendingShredCount(): number {
    return this.#read((statements) => Number(statements.pendingCount.get()?.total ?? 0));
  }

  [Symbol.dispose](): void {
    this.#sqlite[Symbol.dispose]();
  }

  #read<T>(work: (statements: Statements) => T): T {
    try {
      return this.#sqlite.read(work);
    } catch (error) {
      throw this.#noted(error);
    }
  }

  #storedUnder(statements: Statements, name: string): Stored {
    const known = this.#keyrings.get(name);
    if (known !== undefined) return known;
    const row = statements.findKeyring.get(hashOf(name), name);
    return row === undefined ? ABSENT : storedIn(statements, name, row);
  }

  #putKeyring(statements: Statements, view: KeyringView): void {
    const name = ownerName(view.owner);
    const before = this.#storedUnder(statements, name);
    const document = encodeKeyring(view);
    const pendingCount = view.pendingShreds.length;
    let { id } = before;
    if (id === undefined) {
      id = Number(
        statements.addKeyring.run(hashOf(name), name, document, pendingCount).lastInsertRowid,
      );
    } else {
      statements.changeKeyring.run(document, pendingCount, id);
    }
    putKeysApart(statements, id, { before: before.view, after: view });
    this.#keyrings.set(name, { id, view });
  }

  #putCallerKey(statements: Statements, view: CallerKeyView): void {
    const { callerKeyId, owner, issuedAt } = view;
    const holder = owner && ownerName(owner);
    statements.putCallerKey.run(callerKeyId, holder, issuedAt, encodeCallerKey(view));
    this.#callerKeys.set(callerKeyId, view);
  }

  /** Once a commit failed, memory may be ahead of the file. */
  #forget(): void {
    this.#keyrings.clear();
    this.#callerKeys.clear();
    this.#checkpoint = undefined;
  }

  #noted(error: unknown): unknown {
    const { file } = this.#options;
    const fault =
      error instanceof SyntaxError ? new Corrupted(`${file}: a view is damaged`) : error;
    if (fault instanceof Corrupted) markDamaged(file);
    return fault;
  }
}

/** Writes those keys that have rows of their own. One that did not change is the same object. */
function putKeysApart(
  statements: Statements,
  id: number,
  { before, after }: { before: KeyringView | undefined; after: KeyringView },
): void {
  const stored = before === undefined || isInline(before) ? NO_KEYS : before.keys;
  const wanted = isInline(after) ? NO_KEYS : after.keys;
  if (stored === wanted) return;
  for (const [keyId, key] of wanted) {
    if (stored.get(keyId) !== key) statements.putKey.run(id, keyId, encodeKey(key));
  }
  for (const keyId of stored.keys()) {
    if (!wanted.has(keyId)) statements.removeKey.run(id, keyId);
  }
}

/** FNV-1a, 32 bits: for owners, it only has to spread them. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < name.length; at++) {
    hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193);
  }
  return hash;
}

type Row = Record<string, SQLOutputValue>;

function storedIn(statements: Statements, name: string, row: Row): Stored {
  const owner = ownerIn(name);
  const id = Number(row.id);
  const keysApart = () => statements.keysOf.all(id).map((key) => decodeKey(String(key.document)));
  return { id, view: decodeKeyring(owner, String(row.document), keysApart) };
}

const callerKeyIn = ({ id, document }: Row): CallerKeyView =>
  decodeCallerKey(String(id), String(document));

function ownerIn(value: SQLOutputValue | undefined): Owner {
  const owner = parseOwnerName(String(value));
  if (owner === undefined) throw new Corrupted("a stored view belongs to no owner");
  return owner;
}

/** Sorts after every time. */
const NEWEST = { issuedAt: "~", callerKeyId: "" };

const openViews = ({ file, deploymentId }: ReadModelsOptions): Sqlite<Statements> =>
  openSqlite({
    file,
    applicationId: APPLICATION_ID,
    migrations: [schemaOf(deploymentId)],
    synchronous: "NORMAL",
    cacheKib: 65_536,
    prepare: (database) => {
      // Views that two processes wrote would be newer than what one of them remembers. The first transaction takes the
      // lock.
      database.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT");
      return statementsOf(database);
    },
  });

/** Some damage shows only now: a missing index, or one of another table. */
function openOrReplace(options: ReadModelsOptions): Sqlite<Statements> {
  try {
    return openViews(options);
  } catch (error) {
    if (!(error instanceof Corrupted)) throw error;
    replaced(options, "damaged");
    return openViews(options);
  }
}

function replaced({ file, onReset }: ReadModelsOptions, reason: ViewsResetReason): void {
  discard(file, { keepCopy: reason === "damaged" });
  onReset?.(reason);
}

function whyUnusable({ file, deploymentId }: ReadModelsOptions): ViewsResetReason | undefined {
  if (existsSync(markerOf(file))) return "damaged";
  if (!existsSync(file)) return undefined;
  try {
    using database = new DatabaseSync(file);
    // Its making was cut off.
    if (database.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined)
      return undefined;
    if (statSync(file).size <= CHECKED_BYTES_MAX && !isSound(database)) return "damaged";
    const format = database.prepare("PRAGMA user_version").get()?.user_version;
    const stored = database.prepare("SELECT deployment_id, view_schema FROM checkpoint").get();
    if (format !== 1 || stored?.view_schema !== VIEW_SCHEMA) return "other-schema";
    return stored.deployment_id === deploymentId ? undefined : "other-deployment";
  } catch (error) {
    const fault = sqliteFault(file, error);
    if (fault instanceof Corrupted) return "damaged";
    throw fault;
  }
}

const isSound = (database: DatabaseSync): boolean =>
  database.prepare("PRAGMA quick_check(1)").get()?.quick_check === "ok";

/** Its presence says that the file must not be used, whatever it looks like. */
const markerOf = (file: string): string => `${file}.damaged`;

function markDamaged(file: string): void {
  try {
    writeFileSync(markerOf(file), "", { mode: FILE_MODE });
  } catch {
    // The next opening meets the damage again.
  }
}

/** Removes a database and all that belongs to it. The mark stays until everything is gone. */
function discard(file: string, { keepCopy }: { keepCopy: boolean }): void {
  markDamaged(file);
  try {
    for (const suffix of ["-wal", "-shm"]) rmSync(file + suffix, { force: true });
    if (keepCopy && existsSync(file)) renameSync(file, `${file}.set-aside`);
    else rmSync(file, { force: true });
    rmSync(markerOf(file));
  } catch (error) {
    throw fileFault(file, error);
  }
}
