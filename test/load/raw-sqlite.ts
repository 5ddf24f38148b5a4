import { DatabaseSync, type SQLInputValue } from "node:sqlite";

/** One table of one file: what a durable write costs before anybody checks anything. */
export interface RawSqlite extends Disposable {
  /** On the disk when it resolves; all that wait together share one fsync. */
  put(...row: readonly SQLInputValue[]): Promise<void>;
}

/** A secret's record, found by its name. */
export const openRawSecrets = (file: string): RawSqlite =>
  openRaw(file, "reference BLOB PRIMARY KEY, record BLOB NOT NULL");

/** An event, found by its id and by its place in its stream. */
export const openRawLog = (file: string): RawSqlite =>
  openRaw(
    file,
    `event_id BLOB NOT NULL UNIQUE, stream TEXT NOT NULL, revision INTEGER NOT NULL, type TEXT NOT NULL,
     data TEXT NOT NULL, metadata TEXT NOT NULL, UNIQUE (stream, revision)`,
  );

function openRaw(file: string, columns: string): RawSqlite {
  const database = new DatabaseSync(file);
  // The interval between checkpoints is the event log's own: the baseline shall want nothing that helps.
  database.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA wal_autocheckpoint = 4000;
    PRAGMA cache_size = -16384;
    CREATE TABLE rows (${columns}) STRICT;
  `);
  const width = database.prepare("SELECT * FROM rows").columns().length;
  const insert = database.prepare(`INSERT INTO rows VALUES (${Array(width).fill("?").join(", ")})`);
  let waiting: { readonly row: readonly SQLInputValue[]; readonly done: () => void }[] = [];

  function flush(): void {
    const batch = waiting;
    waiting = [];
    database.exec("BEGIN IMMEDIATE");
    for (const { row } of batch) insert.run(...row);
    database.exec("COMMIT");
    for (const { done } of batch) done();
  }

  return {
    put: (...row) =>
      new Promise((resolve) => {
        if (waiting.length === 0) setImmediate(flush);
        waiting.push({ row, done: resolve });
      }),
    [Symbol.dispose]: () => database.close(),
  };
}
