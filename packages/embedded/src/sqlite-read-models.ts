import type { SQLOutputValue } from "node:sqlite";
import {
  type CallerKeyView,
  Corrupted,
  type KeyringView,
  type Owner,
  ownerName,
  type Position,
  parseOwnerName,
  type ReadModels,
  type Uuid,
  type ViewChanges,
} from "@keyledger/core";
import { GenerationalCache } from "./generational-cache.ts";
import type { Sqlite } from "./sqlite.ts";
import {
  decodeCallerKey,
  decodeKey,
  decodeKeyring,
  encodeCallerKey,
  encodeKey,
  encodeKeyring,
  isInline,
} from "./view-codec.ts";
import {
  markDamaged,
  openViews,
  type ReadModelsOptions,
  remakeViews,
  type ViewStatements,
} from "./views-file.ts";

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

/** Keys and keyrings kept in memory, some 100 MB at most. */
const CACHED_KEYS_MAX = 100_000;
const CACHED_CALLER_KEYS_MAX = 100_000;

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
  #sqlite: Sqlite<ViewStatements>;
  /** `undefined`: to be read from the file. */
  #checkpoint: Position | null | undefined;

  constructor(options: ReadModelsOptions) {
    this.#options = options;
    this.#sqlite = openViews(options);
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
    this.#sqlite = remakeViews(this.#options);
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

  #read<T>(work: (statements: ViewStatements) => T): T {
    try {
      return this.#sqlite.read(work);
    } catch (error) {
      throw this.#noted(error);
    }
  }

  #storedUnder(statements: ViewStatements, name: string): Stored {
    const known = this.#keyrings.get(name);
    if (known !== undefined) return known;
    const row = statements.findKeyring.get(hashOf(name), name);
    return row === undefined ? ABSENT : storedIn(statements, name, row);
  }

  #putKeyring(statements: ViewStatements, view: KeyringView): void {
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

  #putCallerKey(statements: ViewStatements, view: CallerKeyView): void {
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
  statements: ViewStatements,
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

function storedIn(statements: ViewStatements, name: string, row: Row): Stored {
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
