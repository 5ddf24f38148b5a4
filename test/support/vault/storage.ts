import { closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs";

/** Named values, JSON all of them; the one place where anything is kept. Slashes in names make folders. */
export interface Storage extends Disposable {
  get<T>(name: string): T | undefined;
  put(name: string, value: unknown): void;
  delete(name: string): void;
  /** The names directly in a folder, sorted bytewise; folders in it end in a slash. */
  entries(folder: string): readonly string[];
  /** Every name below a folder, as seen from it. */
  below(folder: string): readonly string[];
}

interface Folder {
  readonly values: Map<string, unknown>;
  readonly folders: Map<string, Folder>;
}

const newFolder = (): Folder => ({ values: new Map(), folders: new Map() });

/**
 * In memory, and in a file of JSON lines where one is given: a line per change, written before the change is answered,
 * so that a killed process has lost nothing it acknowledged. No fsync: this outlives processes, not machines.
 */
export function openStorage(file?: string): Storage {
  const root = newFolder();
  if (file !== undefined && existsSync(file)) {
    // The last line has no end if the process died in the middle of it: then nobody was answered.
    const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
    for (const [name, value] of lines.map((line) => JSON.parse(line) as [string, unknown])) {
      if (value === null) remove(root, name.split("/"));
      else keep(root, name, value);
    }
  }
  const journal = file === undefined ? undefined : openSync(file, "a", 0o600);
  const record = (name: string, value: unknown): void => {
    if (journal !== undefined) writeSync(journal, `${JSON.stringify([name, value])}\n`);
  };
  const folderOf = (path: readonly string[]): Folder | undefined =>
    path.reduce<Folder | undefined>((folder, part) => folder?.folders.get(part), root);
  return {
    get: <T>(name: string) => {
      const path = name.split("/");
      return folderOf(path.slice(0, -1))?.values.get(path.at(-1) ?? "") as T | undefined;
    },
    put: (name, value) => {
      record(name, value);
      keep(root, name, value);
    },
    delete: (name) => {
      record(name, null);
      remove(root, name.split("/"));
    },
    entries: (name) => {
      const folder = folderOf(partsOf(name));
      if (folder === undefined) return [];
      return [...folder.values.keys(), ...[...folder.folders.keys()].map((n) => `${n}/`)].sort();
    },
    below: (name) => {
      const folder = folderOf(partsOf(name));
      return folder === undefined ? [] : namesBelow(folder);
    },
    [Symbol.dispose]: () => {
      if (journal !== undefined) closeSync(journal);
    },
  };
}

const partsOf = (folder: string): readonly string[] => folder.split("/").filter((p) => p !== "");

function keep(root: Folder, name: string, value: unknown): void {
  const path = name.split("/");
  let folder = root;
  for (const part of path.slice(0, -1)) {
    const next = folder.folders.get(part) ?? newFolder();
    folder.folders.set(part, next);
    folder = next;
  }
  folder.values.set(path.at(-1) ?? "", value);
}

/** Folders that are left empty go too: LIST does not show them. */
function remove(folder: Folder, [part = "", ...rest]: readonly string[]): void {
  if (rest.length === 0) {
    folder.values.delete(part);
    return;
  }
  const next = folder.folders.get(part);
  if (next === undefined) return;
  remove(next, rest);
  if (next.values.size === 0 && next.folders.size === 0) folder.folders.delete(part);
}

const namesBelow = (folder: Folder): readonly string[] => [
  ...folder.values.keys(),
  ...[...folder.folders].flatMap(([name, inner]) => namesBelow(inner).map((n) => `${name}/${n}`)),
];
