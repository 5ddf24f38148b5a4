import { existsSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { StoreUnavailable, type Uuid } from "@keyledger/core";
import { sqliteFault } from "./sqlite.ts";

/** One row: which deployment a file belongs to. Files of different deployments never work together. */
export const DEPLOYMENT_SCHEMA = `
  CREATE TABLE deployment (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL) STRICT;
  CREATE TRIGGER deployment_never_changed BEFORE UPDATE ON deployment
    BEGIN SELECT RAISE(ABORT, 'a file stays with its deployment'); END;
  CREATE TRIGGER deployment_never_removed BEFORE DELETE ON deployment
    BEGIN SELECT RAISE(ABORT, 'a file stays with its deployment'); END;
`;

/**
 * Deployment id stored in a database file with `DEPLOYMENT_SCHEMA`; `undefined` where there is no file, or one that
 * never got an id. Makes no file.
 * @throws {Corrupted} {StoreUnavailable}
 */
export function readDeploymentId(file: string): Uuid | undefined {
  if (!existsSync(file)) return undefined;
  try {
    using database = new DatabaseSync(file);
    const hasTable = database
      .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'deployment'")
      .get();
    return hasTable && idIn(database);
  } catch (error) {
    throw sqliteFault(file, error);
  }
}

/**
 * Writes the id into a new file and compares it with that of an old one.
 * @param isEmpty whether the file holds nothing else yet: only then may the id be missing.
 * @throws {StoreUnavailable} the file belongs to another deployment.
 */
export function claimDeployment(
  database: DatabaseSync,
  { file, id, isEmpty }: { file: string; id: Uuid; isEmpty: boolean },
): void {
  const stored = idIn(database);
  if (stored === undefined && isEmpty) {
    database.prepare("INSERT INTO deployment VALUES (1, ?)").run(id);
  } else if (stored !== id) {
    throw new StoreUnavailable(`${file}: belongs to another deployment`, { retryable: false });
  }
}

function idIn(database: DatabaseSync): Uuid | undefined {
  const id = database.prepare("SELECT id FROM deployment").get()?.id;
  return typeof id === "string" ? id : undefined;
}
