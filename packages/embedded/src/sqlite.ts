import { statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Corrupted, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import { codeOf, fileFault, makeDirectory, makeFile } from "./files.ts";

export interface SqliteOptions<Statements> {
  /** Made with mode 0600 where it is missing; the files SQLite puts beside it inherit the mode. */
  readonly file: string;
  /** Tells our files apart from any other database, and from each other. A positive 32-bit integer. */
  readonly applicationId: number;
  /** `migrations[n]` brings a file from format n to n + 1. Once released, none is ever edited. */
  readonly migrations: readonly string[];
  /**
   * `FULL`: a commit is on the disk when it returns. `NORMAL`: a power cut may undo the last commits, though never
   * tear one: for what can be built again.
   */
  readonly synchronous: "FULL" | "NORMAL";
  /** Page cache in KiB, 16,384 unless given. */
  readonly cacheKib?: number;
  /** Makes all that belongs to one connection. Called again whenever the file was reopened. */
  readonly prepare: (database: DatabaseSync) => Statements;
}

/** One database file under one connection. Synchronous, so nothing comes between the statements of one call. */
export interface Sqlite<Statements> extends Disposable {
  readonly file: string;
  /** @throws {StoreUnavailable} {Corrupted} */
  read<T>(work: (statements: Statements) => T): T;
  /**
   * Runs `work` in one transaction, committed when this returns. Whatever `work` throws undoes all of it.
   * @throws {StoreUnavailable} nothing was written. @throws {Corrupted}
   * @throws {OutcomeUnknown} the commit itself failed. The file is opened anew before it is used again: only then is it
   * settled whether the transaction is there.
   */
  write<T>(work: (statements: Statements) => T): T;
}

/** Nobody but an operator's own tool can hold the file, and while this waits the whole process stands still. */
const BUSY_TIMEOUT_MS = 1_000;

/** @throws {Corrupted} the file is not what it should be. @throws {StoreUnavailable} it cannot be opened. */
export function openSqlite<Statements>(options: SqliteOptions<Statements>): Sqlite<Statements> {
  makeDirectory(dirname(options.file));
  makeFile(options.file);
  const sqlite = new SqliteFile(options);
  sqlite.read(() => undefined);
  return sqlite;
}

/** What SQLite refused, in our words. What it did not throw is handed back as it is. */
export function sqliteFault(file: string, error: unknown): unknown {
  // A stored integer beyond what a number holds: none of ours is.
  if (codeOf(error) === "ERR_OUT_OF_RANGE") return damaged(file, error);
  if (!isSqliteError(error)) return error;
  const unavailable = (what: string, retryable = true) =>
    new StoreUnavailable(`${file}: ${what}`, { retryable, cause: error });
  if (error.errcode === IOERR_CORRUPTFS) return damaged(file, error);
  switch (error.errcode & 0xff) {
    case BUSY:
    case LOCKED:
      return unavailable("another process holds the file");
    case FULL:
      return unavailable("the disk is full");
    case PERM:
    case READONLY:
      return unavailable("the file may not be written", false);
    case IOERR:
    case CANTOPEN:
    case NOMEM:
      return unavailable("the file cannot be read or written");
    default:
      // Our statements are fixed and what they rely on was looked up first: a refused one met other contents than ours.
      return damaged(file, error);
  }
}

// Result codes of https://www.sqlite.org/rescode.html
const [PERM, BUSY, LOCKED, NOMEM, READONLY, IOERR, FULL, CANTOPEN] = [3, 5, 6, 7, 8, 10, 13, 14];
const IOERR_CORRUPTFS = 10 | (33 << 8);

interface Connection<Statements> {
  readonly database: DatabaseSync;
  readonly statements: Statements;
}

class SqliteFile<Statements> implements Sqlite<Statements> {
  readonly file: string;
  readonly #options: SqliteOptions<Statements>;
  readonly #inode: number;
  #connection: Connection<Statements> | undefined;
  #closed = false;

  constructor(options: SqliteOptions<Statements>) {
    this.file = options.file;
    this.#options = options;
    this.#inode = inodeOf(options.file);
  }

  read<T>(work: (statements: Statements) => T): T {
    try {
      return work(this.#connected().statements);
    } catch (error) {
      throw sqliteFault(this.file, error);
    }
  }

  write<T>(work: (statements: Statements) => T): T {
    const connection = this.#connected();
    this.#assertInPlace();
    const result = this.#upToCommit(connection, work);
    try {
      connection.database.exec("COMMIT");
    } catch (error) {
      // A commit that reached the file but not the disk may come back at the next opening, or not: open it now.
      this.#disconnect();
      throw new OutcomeUnknown(`${this.file}: a commit failed`, {
        cause: sqliteFault(this.file, error),
      });
    }
    return result;
  }

  [Symbol.dispose](): void {
    const database = this.#connection?.database;
    this.#closed = true;
    try {
      database?.exec("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)");
    } catch {
      // What the checkpoint would have moved stays in the write-ahead log, and is read from there.
    }
    this.#disconnect();
  }

  #upToCommit<T>(connection: Connection<Statements>, work: (statements: Statements) => T): T {
    const { database, statements } = connection;
    try {
      database.exec("BEGIN IMMEDIATE");
      return work(statements);
    } catch (error) {
      this.#undo(database);
      throw sqliteFault(this.file, error);
    }
  }

  /** SQLite undoes a transaction by itself after some errors; one that cannot be undone goes with its connection. */
  #undo(database: DatabaseSync): void {
    try {
      if (database.isTransaction) database.exec("ROLLBACK");
    } catch {
      this.#disconnect();
    }
  }

  #connected(): Connection<Statements> {
    if (this.#closed) throw new StoreUnavailable(`${this.file}: closed`, { retryable: false });
    if (this.#connection === undefined) {
      this.#assertInPlace();
      this.#connection = connect(this.#options);
    }
    return this.#connection;
  }

  /** SQLite goes on writing into a file that was removed, and would open another one in its place. */
  #assertInPlace(): void {
    if (inodeOf(this.file) === this.#inode) return;
    throw new StoreUnavailable(`${this.file}: the file was removed or replaced while in use`, {
      retryable: false,
    });
  }

  #disconnect(): void {
    const database = this.#connection?.database;
    this.#connection = undefined;
    try {
      database?.close();
    } catch {
      // Nothing is left to do: the descriptor goes with the process.
    }
  }
}

function connect<Statements>(options: SqliteOptions<Statements>): Connection<Statements> {
  const { file, synchronous, cacheKib = 16_384 } = options;
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS, defensive: true });
    // Four times SQLite's own interval between checkpoints, 16 MiB: measured, a third more appends per second.
    // Without recursive triggers, INSERT OR REPLACE removes rows past the triggers that refuse a DELETE.
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${synchronous};
      PRAGMA foreign_keys = ON;
      PRAGMA recursive_triggers = ON;
      PRAGMA temp_store = MEMORY;
      PRAGMA wal_autocheckpoint = 4000;
      PRAGMA cache_size = -${cacheKib};
    `);
    migrate(database, options);
    assertSchema(database, options);
    return { database, statements: options.prepare(database) };
  } catch (error) {
    database?.close();
    throw sqliteFault(file, error);
  }
}

function migrate<S>(database: DatabaseSync, options: SqliteOptions<S>): void {
  const { file, applicationId, migrations } = options;
  const version = pragma(database, "user_version");
  const application = pragma(database, "application_id");
  const fresh = version === 0 && application === 0 && schemaOf(database) === "[]";
  if (!fresh && application !== applicationId) {
    throw new Corrupted(`${file}: not the kind of file that belongs here`);
  }
  if (version > migrations.length) {
    throw new StoreUnavailable(
      `${file}: written by a newer release (format ${version}, known up to ${migrations.length})`,
      { retryable: false },
    );
  }
  if (version === migrations.length) return;
  database.exec(`
    BEGIN EXCLUSIVE;
    ${migrations.slice(version).join(";\n")};
    PRAGMA application_id = ${applicationId};
    PRAGMA user_version = ${migrations.length};
    COMMIT;
  `);
}

/** A missing trigger or index breaks a promise without any error, so it is looked for. */
function assertSchema<S>(database: DatabaseSync, options: SqliteOptions<S>): void {
  const model = new DatabaseSync(":memory:");
  try {
    for (const migration of options.migrations) model.exec(migration);
    if (schemaOf(model) === schemaOf(database)) return;
  } finally {
    model.close();
  }
  throw new Corrupted(`${options.file}: its tables, indexes or triggers were altered`);
}

// SQLite's own tables (statistics, AUTOINCREMENT) come and go by themselves.
const schemaOf = (database: DatabaseSync): string =>
  JSON.stringify(
    database
      .prepare(
        "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name",
      )
      .all(),
  );

function pragma(database: DatabaseSync, name: "user_version" | "application_id"): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

/** @returns 0 where there is no file, which no file has. */
function inodeOf(file: string): number {
  try {
    return statSync(file, { throwIfNoEntry: false })?.ino ?? 0;
  } catch (error) {
    throw fileFault(file, error);
  }
}

interface SqliteError extends Error {
  readonly errcode: number;
}

const isSqliteError = (error: unknown): error is SqliteError =>
  error instanceof Error && "errcode" in error && typeof error.errcode === "number";

const damaged = (file: string, cause: unknown): Corrupted =>
  new Corrupted(`${file}: the file is damaged`, { cause });
