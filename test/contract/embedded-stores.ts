import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import * as nodeFiles from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AuditRecord } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import type { Disk } from "../../packages/embedded/src/disk.ts";
import {
  type JsonlAuditSinkOptions,
  openJsonlAuditSink,
} from "../../packages/embedded/src/jsonl-audit-sink.ts";
import {
  openSegmentAccessLog,
  type SegmentAccessLogOptions,
} from "../../packages/embedded/src/segment-access-log.ts";
import { openSqliteEventLog } from "../../packages/embedded/src/sqlite-event-log.ts";

export const host = nodeHost();

/** A directory of its own for each test, removed after it. */
function newDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "keyledger-logs-"));
  const remove = async () => rmSync(directory, { recursive: true, force: true });
  return { directory, [Symbol.asyncDispose]: remove };
}

export function newEventLogStore() {
  const store = newDirectory();
  const deploymentId = host.random.uuid();
  const file = join(store.directory, "log.db");
  const open = async (at = file) => openSqliteEventLog({ file: at, deploymentId, host });
  return { ...store, deploymentId, file, open };
}

export function newAccessLogStore(settings: Partial<SegmentAccessLogOptions> = {}) {
  const store = newDirectory();
  const deploymentId = host.random.uuid();
  const nodeId = host.random.uuid();
  const directory = join(store.directory, "access");
  const open = (changes: Partial<SegmentAccessLogOptions> = {}) =>
    openSegmentAccessLog({ directory, deploymentId, nodeId, host, ...settings, ...changes });
  const files = () => readdirSync(directory).toSorted();
  const path = (nth: number) => join(directory, files().at(nth) ?? "");
  return { ...store, directory, deploymentId, nodeId, open, files, path };
}

export function newAuditSinkStore(settings: Partial<JsonlAuditSinkOptions> = {}) {
  const store = newDirectory();
  const directory = join(store.directory, "audit");
  const path = (name: string) => join(directory, name);
  return {
    ...store,
    directory,
    path,
    open: async (changes: Partial<JsonlAuditSinkOptions> = {}) =>
      openJsonlAuditSink({ directory, ...settings, ...changes }),
    /** As a consumer reads it: the files put aside in order of their numbers, then the one that is written to. */
    delivered: async (feed: "changes" | "access"): Promise<AuditRecord[]> => {
      const aside = readdirSync(directory).filter((name) => name.startsWith(`${feed}-`));
      const names = [...aside.toSorted(), `${feed}.jsonl`].filter((name) => existsSync(path(name)));
      return names.flatMap((name) =>
        readFileSync(path(name), "utf8")
          .split("\n")
          .slice(0, -1)
          .map((line): AuditRecord => JSON.parse(line)),
      );
    },
  };
}

type Operation = "write" | "datasync" | "truncate" | "sync";

export class DiskError extends Error {
  readonly syscall: string;
  readonly code: string;

  constructor(code: string, syscall: string) {
    super(`${code}: injected`);
    this.code = code;
    this.syscall = syscall;
  }
}

/**
 * The file system, but for what a test makes of the operations on files opened for writing.
 * @param meddle throws, waits, or lets go on.
 */
export function meddledDisk(
  meddle: (operation: Operation, path: string) => void | Promise<void>,
  { writeBytesMax = Number.POSITIVE_INFINITY }: { writeBytesMax?: number } = {},
): Disk {
  return {
    ...nodeFiles,
    open: async (...args: Parameters<typeof nodeFiles.open>) => {
      const handle = await nodeFiles.open(...args);
      const path = String(args[0]);
      if (args[1] === "r") return handle;
      const { datasync, truncate, sync, write } = handle;
      handle.datasync = async () => {
        await meddle("datasync", path);
        return datasync.call(handle);
      };
      handle.truncate = async (length) => {
        await meddle("truncate", path);
        return truncate.call(handle, length);
      };
      handle.sync = async () => {
        await meddle("sync", path);
        return sync.call(handle);
      };
      const writeSome = async (bytes: Uint8Array, from: number, length: number, at: number) => {
        await meddle("write", path);
        return Reflect.apply(write, handle, [bytes, from, Math.min(length, writeBytesMax), at]);
      };
      handle.write = writeSome as typeof write;
      return handle;
    },
  };
}
