import { DatabaseSync, type StatementSync } from "node:sqlite";

/** Written as the server writes it: the last revision there is. A stream whose last one this is has a tombstone. */
export const TOMBSTONE_REVISION = 9_223_372_036_854_775_807n;

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS streams (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS events (
    position INTEGER PRIMARY KEY,
    stream TEXT NOT NULL,
    revision INTEGER NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    content_type TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    metadata BLOB NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (stream, revision)
  ) STRICT;
`;

const COLUMNS = "position, stream, revision, id, type, content_type, created_ms, metadata, data";

/** A file that a killed process leaves whole; what power loss does to it is not what the stand-in is there to show. */
export function openDatabase(file: string): { database: DatabaseSync; statements: Statements } {
  const database = new DatabaseSync(file);
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
  database.exec(SCHEMA);
  return { database, statements: statementsOf(database) };
}

export type Statements = ReturnType<typeof statementsOf>;

function statementsOf(database: DatabaseSync) {
  const prepare = (sql: string): StatementSync => {
    const statement = database.prepare(sql);
    // A tombstone's revision is beyond what a number holds.
    statement.setReadBigInts(true);
    return statement;
  };
  return {
    lastRevision: prepare("SELECT last FROM streams WHERE name = ?"),
    setLastRevision: prepare(
      "INSERT INTO streams VALUES (?1, ?2) ON CONFLICT DO UPDATE SET last = ?2",
    ),
    addEvent: prepare(`INSERT INTO events (${COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`),
    lastPosition: prepare("SELECT max(position) AS last FROM events"),
    eventAt: prepare(`SELECT ${COLUMNS} FROM events WHERE stream = ? AND revision = ?`),
    streamForwards: prepare(
      `SELECT ${COLUMNS} FROM events WHERE stream = ? AND revision >= ? ORDER BY revision`,
    ),
    streamBackwards: prepare(
      `SELECT ${COLUMNS} FROM events WHERE stream = ? AND revision <= ? ORDER BY revision DESC`,
    ),
    allForwards: prepare(
      `SELECT ${COLUMNS} FROM events WHERE position >= ? ORDER BY position LIMIT ?`,
    ),
    allBackwards: prepare(
      `SELECT ${COLUMNS} FROM events WHERE position < ? ORDER BY position DESC LIMIT ?`,
    ),
  };
}
