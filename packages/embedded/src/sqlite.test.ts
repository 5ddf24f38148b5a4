import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Corrupted, Fault, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqlite, type SqliteOptions } from "./sqlite.ts";

// The deferred key is checked by COMMIT, so that a row without a parent makes the commit itself fail.
const SCHEMA = `
  CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;
  CREATE TABLE child (
    id INTEGER PRIMARY KEY,
    parent INTEGER NOT NULL REFERENCES parent DEFERRABLE INITIALLY DEFERRED
  ) STRICT;
  CREATE TRIGGER parent_kept BEFORE DELETE ON parent BEGIN SELECT RAISE(ABORT, 'kept'); END`;

const prepare = (database: DatabaseSync) => ({
  database,
  addParent: database.prepare("INSERT INTO parent (id) VALUES (?)"),
  addChild: database.prepare("INSERT INTO child VALUES (?, ?)"),
  parents: database.prepare("SELECT id FROM parent"),
});

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "keyledger-file-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

const options = (changes: Partial<SqliteOptions<ReturnType<typeof prepare>>> = {}) => ({
  file: join(directory, "data", "some.db"),
  applicationId: 0x4b4c0001,
  migrations: [SCHEMA],
  synchronous: "FULL" as const,
  prepare,
  ...changes,
});

const faultOf = (work: () => unknown): Fault => {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

describe("A SQLite file", () => {
  it("makes its directory and files for nobody but its user", () => {
    using sqlite = openSqlite(options());
    sqlite.write(({ addParent }) => addParent.run(1));
    const mode = (path: string) => (statSync(join(directory, path)).mode & 0o777).toString(8);
    expect(["data", "data/some.db", "data/some.db-wal"].map(mode)).toStrictEqual([
      "700",
      "600",
      "600",
    ]);
  });

  it("keeps what was committed and leaves no write-ahead log behind", () => {
    {
      using sqlite = openSqlite(options());
      sqlite.write(({ addParent }) => addParent.run(1));
    }
    expect(existsSync(`${options().file}-wal`)).toBe(false);
    using sqlite = openSqlite(options());
    expect(sqlite.read(({ parents }) => parents.all().length)).toBe(1);
  });

  it.for([
    ["FULL", 2],
    ["NORMAL", 1],
  ] as const)(
    "runs with the pragmas that durability and the triggers need (%s)",
    ([synchronous, level]) => {
      using sqlite = openSqlite(options({ synchronous }));
      const pragmas = ["journal_mode", "synchronous", "foreign_keys", "recursive_triggers"];
      const values = sqlite.read(({ database }) =>
        pragmas.map((name) => database.prepare(`PRAGMA ${name}`).get()?.[name]),
      );
      expect(values).toStrictEqual(["wal", level, 1, 1]);
    },
  );

  it("undoes all of a transaction that threw, and hands on what it threw", () => {
    using sqlite = openSqlite(options());
    const own = new RangeError("own");
    expect(() =>
      sqlite.write(({ addParent }) => {
        addParent.run(1);
        throw own;
      }),
    ).toThrow(own);
    expect(sqlite.read(({ parents }) => parents.all())).toStrictEqual([]);
  });

  it("leaves the outcome of a failed commit open, and opens the file anew", () => {
    using sqlite = openSqlite(options());
    const before = sqlite.read((statements) => statements);
    expect(() => sqlite.write(({ addChild }) => addChild.run(1, 9))).toThrow(OutcomeUnknown);
    expect(sqlite.read((statements) => statements === before)).toBe(false);
    sqlite.write(({ addParent }) => addParent.run(1));
    expect(sqlite.read(({ parents }) => parents.all().length)).toBe(1);
  });

  it("tells a full disk as a fault that may pass, and goes on when it has passed", () => {
    using sqlite = openSqlite(options());
    const fill = (rows: number) =>
      sqlite.write(({ addParent }) => {
        for (let id = 1; id <= rows; id++) addParent.run(id);
      });
    sqlite.read(({ database }) => database.exec("PRAGMA max_page_count = 6"));
    const fault = faultOf(() => fill(10_000));
    expect(fault).toMatchObject({ constructor: StoreUnavailable, retryable: true });
    expect(fault.message).toBe(`${options().file}: the disk is full`);
    sqlite.read(({ database }) => database.exec("PRAGMA max_page_count = 100000"));
    fill(10);
    expect(sqlite.read(({ parents }) => parents.all().length)).toBe(10);
  });

  it("waits for another process's write only so long", () => {
    using sqlite = openSqlite(options());
    using other = new DatabaseSync(options().file);
    other.exec("BEGIN IMMEDIATE");
    const fault = faultOf(() => sqlite.write(({ addParent }) => addParent.run(1)));
    expect(fault).toMatchObject({ constructor: StoreUnavailable, retryable: true });
    other.exec("ROLLBACK");
    sqlite.write(({ addParent }) => addParent.run(1));
  });

  it("writes no more once its file was removed or replaced", () => {
    using sqlite = openSqlite(options());
    const write = () => sqlite.write(({ addParent }) => addParent.run(1));
    rmSync(options().file);
    expect(write).toThrow(StoreUnavailable);
    writeFileSync(options().file, "");
    expect(write).toThrow(StoreUnavailable);
  });

  it("is closed for good", () => {
    const sqlite = openSqlite(options());
    sqlite[Symbol.dispose]();
    sqlite[Symbol.dispose]();
    expect(() => sqlite.read(() => 1)).toThrow(StoreUnavailable);
  });

  it("brings an older format up to date, once", () => {
    openSqlite(options())[Symbol.dispose]();
    const migrations = [SCHEMA, "ALTER TABLE parent ADD COLUMN name TEXT"];
    for (const _ of [1, 2]) {
      using sqlite = openSqlite(options({ migrations }));
      const version = sqlite.read(({ database }) => database.prepare("PRAGMA user_version").get());
      expect(version).toMatchObject({ user_version: 2 });
    }
    const fault = faultOf(() => openSqlite(options()));
    expect(fault.message).toBe(
      `${options().file}: written by a newer release (format 2, known up to 1)`,
    );
  });

  it("does not take another kind of database for its own", () => {
    openSqlite(options())[Symbol.dispose]();
    const fault = faultOf(() => openSqlite(options({ applicationId: 0x4b4c0002 })));
    expect(fault).toBeInstanceOf(Corrupted);
    expect(fault.message).toContain(options().file);
  });

  it("does not start where a trigger was taken away", () => {
    openSqlite(options())[Symbol.dispose]();
    using other = new DatabaseSync(options().file);
    other.exec("DROP TRIGGER parent_kept");
    expect(() => openSqlite(options())).toThrow(Corrupted);
  });

  it.for([
    ["text", (bytes: Buffer) => bytes.fill("x")],
    ["a broken first page", (bytes: Buffer) => bytes.fill(0xff, 100, 4096)],
    ["a file cut short", (bytes: Buffer) => bytes.subarray(0, 4096)],
  ] as const)("does not start from %s, and names the file but no library", ([, damage]) => {
    {
      using sqlite = openSqlite(options());
      sqlite.write(({ addParent }) => addParent.run(1));
    }
    writeFileSync(options().file, damage(readFileSync(options().file)));
    const fault = faultOf(() => {
      using sqlite = openSqlite(options());
      return sqlite.read(({ parents }) => parents.all());
    });
    expect(fault).toBeInstanceOf(Corrupted);
    expect(fault.message).toMatch(/^\S+some\.db: (the file is damaged|its tables|not the kind)/);
    expect(fault.message).not.toMatch(/sqlite/i);
  });

  it.skipIf(process.getuid?.() === 0)("says which file it may not open", () => {
    openSqlite(options())[Symbol.dispose]();
    chmodSync(options().file, 0o000);
    const fault = faultOf(() => openSqlite(options()));
    expect(fault).toMatchObject({ constructor: StoreUnavailable, retryable: false });
    expect(fault.message).toBe(`${options().file}: no access (EACCES)`);
  });
});
