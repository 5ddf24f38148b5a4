import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { basename } from "node:path";
import type { Disk } from "../../packages/embedded/src/disk.ts";
import { DiskError } from "./embedded-stores.ts";

const SECTOR = 512;

interface Write {
  readonly kind: "write";
  readonly offset: number;
  readonly bytes: Buffer;
}

type Change = Write | { readonly kind: "truncate"; readonly length: number };

/** One file: what a sync has made durable, and what a power cut may still take away. */
class SimulatedFile {
  readonly ino: number;
  durable: Buffer = Buffer.alloc(0);
  current: Buffer = Buffer.alloc(0);
  unsynced: Change[] = [];

  constructor(ino: number) {
    this.ino = ino;
  }

  change(change: Change): void {
    this.current = applied(this.current, change);
    this.unsynced.push(change);
  }

  sync(): void {
    this.durable = this.unsynced.reduce(applied, this.durable);
    this.unsynced = [];
  }

  /** Each sector that was not synced is there, or not, in any combination. */
  afterCut(chance: () => boolean): Buffer {
    const left = Buffer.alloc(Math.max(this.durable.byteLength, ...this.unsynced.map(endOf)));
    this.durable.copy(left);
    let length = this.durable.byteLength;
    for (const change of this.unsynced) {
      if (change.kind === "truncate") {
        if (!chance()) continue;
        left.fill(0, Math.min(length, change.length));
        length = change.length;
        continue;
      }
      for (const { offset, bytes } of sectorsOf(change)) {
        if (!chance()) continue;
        bytes.copy(left, offset);
        length = Math.max(length, offset + bytes.byteLength);
      }
    }
    return left.subarray(0, length);
  }
}

const endOf = (change: Change): number =>
  change.kind === "truncate" ? change.length : change.offset + change.bytes.byteLength;

function* sectorsOf({ offset, bytes }: Write): Generator<Write, void, undefined> {
  for (let at = 0; at < bytes.byteLength; ) {
    const end = Math.min(at + SECTOR - ((offset + at) % SECTOR), bytes.byteLength);
    yield { kind: "write", offset: offset + at, bytes: bytes.subarray(at, end) };
    at = end;
  }
}

/** Changes the bytes in place where it can. */
function applied(bytes: Buffer, change: Change): Buffer {
  if (change.kind === "truncate" && change.length <= bytes.byteLength) {
    return bytes.subarray(0, change.length);
  }
  const end = endOf(change);
  const changed = end <= bytes.byteLength ? bytes : Buffer.concat([bytes], end);
  if (change.kind === "write") change.bytes.copy(changed, change.offset);
  return changed;
}

type Names = Map<string, SimulatedFile>;

/**
 * One directory on a disk that loses power: a write is durable once its file was synced, a name once its directory was;
 * of all else any part may be left.
 */
export class SimulatedDisk implements Disk {
  readonly #names: Names = new Map();
  #durableNames: Names = new Map();
  #unsyncedNames: ((names: Names) => void)[] = [];
  #inodes = 0;
  #isOff = false;
  /** Counts down with each operation; the power fails at 0. */
  operationsLeft = Number.POSITIVE_INFINITY;

  /** The disk as it is found when the power is back. */
  afterCut(random: () => number): SimulatedDisk {
    this.#isOff = true;
    const chance = () => random() < 0.5;
    const names = new Map(this.#durableNames);
    for (const change of this.#unsyncedNames) if (chance()) change(names);
    const found = new SimulatedDisk();
    for (const [name, file] of names) {
      const copy = new SimulatedFile(file.ino);
      copy.current = file.afterCut(chance);
      copy.durable = Buffer.from(copy.current);
      found.#names.set(name, copy);
    }
    found.#durableNames = new Map(found.#names);
    found.#inodes = this.#inodes;
    return found;
  }

  open = (async (path: string, flags: string | number) => {
    this.#step();
    const name = basename(path);
    const creates =
      flags === "w+" || (typeof flags === "number" && (flags & constants.O_CREAT) > 0);
    let file = this.#names.get(name);
    if (file === undefined && flags === "r" && !name.includes(".")) return this.#directoryHandle();
    if (file === undefined && !creates) throw new DiskError("ENOENT", "open");
    if (file === undefined) {
      const made = new SimulatedFile(++this.#inodes);
      this.#changeNames((names) => names.set(name, made));
      file = made;
    }
    if (flags === "w+") file.change({ kind: "truncate", length: 0 });
    return this.#handle(file);
  }) as unknown as Disk["open"];

  readdir = (async () => {
    this.#step();
    return [...this.#names.keys()];
  }) as unknown as Disk["readdir"];

  stat = (async (path: string) => {
    this.#step();
    const file = this.#names.get(basename(path));
    if (file === undefined) throw new DiskError("ENOENT", "stat");
    return { ino: file.ino, dev: 1 };
  }) as unknown as Disk["stat"];

  rename = (async (from: string, to: string) => {
    this.#step();
    const file = this.#names.get(basename(from));
    if (file === undefined) throw new DiskError("ENOENT", "rename");
    this.#changeNames((names) => {
      names.delete(basename(from));
      names.set(basename(to), file);
    });
  }) as unknown as Disk["rename"];

  unlink = (async (path: string) => {
    this.#step();
    this.#changeNames((names) => names.delete(basename(path)));
  }) as unknown as Disk["unlink"];

  #step(): void {
    if (this.#isOff || this.operationsLeft-- <= 0) {
      this.#isOff = true;
      throw new DiskError("EIO", "power");
    }
  }

  names(): string[] {
    return [...this.#names.keys()];
  }

  text(name: string): string {
    return this.#names.get(name)?.current.toString("utf8") ?? "";
  }

  get isOff(): boolean {
    return this.#isOff;
  }

  #changeNames(change: (names: Names) => void): void {
    change(this.#names);
    this.#unsyncedNames.push(change);
  }

  #directoryHandle(): FileHandle {
    const sync = async () => {
      this.#step();
      this.#durableNames = new Map(this.#names);
      this.#unsyncedNames = [];
    };
    return { sync, close: async () => {} } as unknown as FileHandle;
  }

  #handle(file: SimulatedFile): FileHandle {
    const sync = async () => {
      this.#step();
      file.sync();
    };
    return {
      sync,
      datasync: sync,
      close: async () => {},
      stat: async () => ({ ino: file.ino, dev: 1, nlink: 1, size: file.current.byteLength }),
      truncate: async (length: number) => {
        this.#step();
        file.change({ kind: "truncate", length });
      },
      write: async (bytes: Uint8Array, from: number, length: number, offset: number) => {
        this.#step();
        const written = Buffer.from(bytes.subarray(from, from + length));
        file.change({ kind: "write", offset, bytes: written });
        return { bytesWritten: length };
      },
      read: async (into: Uint8Array, from: number, length: number, offset: number) => {
        const found = file.current.subarray(offset, offset + length);
        into.set(found, from);
        return { bytesRead: found.byteLength };
      },
    } as unknown as FileHandle;
  }
}
