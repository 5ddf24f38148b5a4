import type { Body } from "./body.ts";

/** Everything under one path. */
export interface KvEntry {
  readonly currentVersion: number;
  /** 0 = none was ever dropped. */
  readonly oldestVersion: number;
  readonly versions: Readonly<Record<string, KvVersion>>;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
  /** 0 = what the mount says. */
  readonly maxVersions: number;
  readonly casRequired: boolean;
  readonly deleteAfterSeconds: number;
  readonly customMetadata: Readonly<Record<string, string>> | null;
  readonly metadataVersion: number;
}

export interface KvVersion {
  /** Gone once destroyed. */
  readonly data?: Body;
  readonly createdAtMs: number;
  readonly deletedAtMs: number | null;
  readonly destroyed: boolean;
}

export interface KvConfig {
  /** 0 = 10. */
  readonly maxVersions: number;
  readonly casRequired: boolean;
  readonly deleteAfterSeconds: number;
}

/** The entries of one mount. */
export interface KvStore {
  get(path: string): KvEntry | undefined;
  put(path: string, entry: KvEntry): void;
  delete(path: string): void;
  /** What is directly in a folder. */
  entries(folder: string): readonly string[];
  nowMs(): number;
}

const VERSIONS_BY_DEFAULT = 10;

export const newEntry = (nowMs: number): KvEntry => ({
  currentVersion: 0,
  oldestVersion: 0,
  versions: {},
  createdAtMs: nowMs,
  updatedAtMs: nowMs,
  maxVersions: 0,
  casRequired: false,
  deleteAfterSeconds: 0,
  customMetadata: null,
  metadataVersion: 0,
});

/** A version more; the oldest go as soon as there are more than may be. */
export function withVersion(entry: KvEntry, config: KvConfig, data: Body, nowMs: number): KvEntry {
  const currentVersion = entry.currentVersion + 1;
  const most = entry.maxVersions || config.maxVersions || VERSIONS_BY_DEFAULT;
  const full = currentVersion - entry.oldestVersion >= most;
  const oldestVersion = full ? currentVersion - most + 1 : entry.oldestVersion;
  const deleteAfter = entry.deleteAfterSeconds || config.deleteAfterSeconds;
  const version: KvVersion = {
    data,
    createdAtMs: nowMs,
    deletedAtMs: deleteAfter > 0 ? nowMs + deleteAfter * 1000 : null,
    destroyed: false,
  };
  const kept = Object.entries(entry.versions).filter(([number]) => Number(number) >= oldestVersion);
  return {
    ...entry,
    currentVersion,
    oldestVersion,
    versions: { ...Object.fromEntries(kept), [currentVersion]: version },
    updatedAtMs: nowMs,
  };
}

/** Changes the versions that are there and not destroyed. */
export const withVersions = (
  entry: KvEntry,
  numbers: readonly number[],
  change: (version: KvVersion) => KvVersion,
): KvEntry => ({
  ...entry,
  versions: Object.fromEntries(
    Object.entries(entry.versions).map(([number, version]) => [
      number,
      numbers.includes(Number(number)) && !version.destroyed ? change(version) : version,
    ]),
  ),
});

export const isDeleted = ({ deletedAtMs }: KvVersion, nowMs: number): boolean =>
  deletedAtMs !== null && deletedAtMs <= nowMs;

export function softDeleted(version: KvVersion, nowMs: number): KvVersion {
  return isDeleted(version, nowMs) ? version : { ...version, deletedAtMs: nowMs };
}

export const undeleted = (version: KvVersion): KvVersion => ({ ...version, deletedAtMs: null });

export function destroyed({ data: _gone, ...version }: KvVersion): KvVersion {
  return { ...version, destroyed: true };
}
