import { existsSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { Corrupted, isUuid, type Uuid } from "@keyledger/core";
import { FILE_MODE, fileFault } from "./files.ts";
import { openSqlite, type Sqlite, sqliteFault } from "./sqlite.ts";

/** Why stored views were thrown away: they cannot be read, or are those of another deployment or release. */
export type ViewsResetReason = "damaged" | "other-deployment" | "other-schema";

export interface ReadModelsOptions {
  readonly file: string;
  readonly deploymentId: Uuid;
  /** Called before this returns, where views were there and had to be thrown away. They are empty then. */
  readonly onReset?: (reason: ViewsResetReason) => void;
}

/**
 * Number of what is stored here: the tables, the documents, and what the core makes of events. Raise it whenever one of
 * them changes; the views are built again then.
 */
const VIEW_SCHEMA = 1;

/** A file up to this size is checked as a whole when it is opened: some 60 ms. A larger one shows damage when it is met. */
const CHECKED_BYTES_MAX = 64 * 1024 * 1024;

const APPLICATION_ID = 0x4b4c0003;

// Rows are added in the order in which owners came, so that a page of events dirties few pages of the file; the names
// are found through hashes, because an index of the names themselves is four times the size, and every page of it
// that a commit touches is written twice: to the write-ahead log and to its place.
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

export type ViewStatements = ReturnType<typeof statementsOf>;

/**
 * Opens the file, which is empty where it was missing or had to be thrown away.
 * @throws {StoreUnavailable} it cannot be opened, or another process has it.
 */
export function openViews(options: ReadModelsOptions): Sqlite<ViewStatements> {
  if (!isUuid(options.deploymentId)) throw new RangeError("the deployment id is no UUID");
  const reason = whyUnusable(options);
  if (reason !== undefined) replaced(options, reason);
  return openOrReplace(options);
}

/** Throws the file away and opens an empty one. Nobody may have the old one open. */
export function remakeViews(options: ReadModelsOptions): Sqlite<ViewStatements> {
  discard(options.file, { keepCopy: false });
  return openFile(options);
}

const openFile = ({ file, deploymentId }: ReadModelsOptions): Sqlite<ViewStatements> =>
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
function openOrReplace(options: ReadModelsOptions): Sqlite<ViewStatements> {
  try {
    return openFile(options);
  } catch (error) {
    if (!(error instanceof Corrupted)) throw error;
    replaced(options, "damaged");
    return openFile(options);
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

/** Has the file thrown away when it is opened the next time. */
export function markDamaged(file: string): void {
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
    rmSync(markerOf(file), { force: true });
  } catch (error) {
    throw fileFault(file, error);
  }
}
