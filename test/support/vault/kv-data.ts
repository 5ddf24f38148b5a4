import {
  type Answer,
  answered,
  notFound,
  nothing,
  Refusal,
  unsupportedOperation,
} from "./answer.ts";
import type { Operation } from "./backend.ts";
import { type Body, ignoredFields, integerOf, recordOf } from "./body.ts";
import {
  isDeleted,
  type KvConfig,
  type KvEntry,
  type KvStore,
  type KvVersion,
  newEntry,
  softDeleted,
  withVersion,
  withVersions,
} from "./kv-entry.ts";
import { timestamp } from "./vault-time.ts";

/** `data/<path>`: what is kept there. */
export function dataPath(
  store: KvStore,
  config: KvConfig,
  path: string,
  { kind, body }: Operation,
): Answer {
  if (kind === "read") return read(store, path, body);
  if (kind === "write") return write(store, config, path, body);
  if (kind === "patch") return patch(store, config, path, body);
  if (kind !== "delete") throw unsupportedOperation();
  const entry = store.get(path);
  if (entry === undefined) return nothing;
  const latest = [entry.currentVersion];
  store.put(
    path,
    withVersions(entry, latest, (version) => softDeleted(version, store.nowMs())),
  );
  return nothing;
}

function read(store: KvStore, path: string, body: Body): Answer {
  const entry = store.get(path);
  const number = integerOf(body, "version") || (entry?.currentVersion ?? 0);
  const version = entry?.versions[number];
  if (entry === undefined || version === undefined) throw notFound();
  const metadata = describe(entry, number, version);
  // What is deleted or destroyed is not found, and yet described.
  if (version.destroyed || isDeleted(version, store.nowMs())) {
    return answered({ status: 404, data: { data: null, metadata } });
  }
  return answered({ data: { data: version.data, metadata } });
}

const describe = (entry: KvEntry, number: number, version: KvVersion) => ({
  created_time: timestamp(version.createdAtMs),
  custom_metadata: entry.customMetadata,
  deletion_time: version.deletedAtMs === null ? "" : timestamp(version.deletedAtMs),
  destroyed: version.destroyed,
  version: number,
});

function write(store: KvStore, config: KvConfig, path: string, body: Body): Answer {
  const data = recordOf(body.data);
  if (data === undefined) throw new Refusal(400, "no data provided");
  const entry = store.get(path) ?? newEntry(store.nowMs());
  checkAndSet(entry, config, body);
  return written(store, config, path, entry, data, body);
}

/** RFC 7396: `null` takes a field away. */
function patch(store: KvStore, config: KvConfig, path: string, body: Body): Answer {
  const data = recordOf(body.data);
  if (data === undefined) throw new Refusal(400, "no data provided");
  const entry = store.get(path);
  const version = entry?.versions[entry.currentVersion];
  if (entry === undefined || version === undefined) throw notFound();
  checkAndSet(entry, config, body);
  if (version.destroyed || isDeleted(version, store.nowMs())) {
    return answered({ status: 404, data: describe(entry, entry.currentVersion, version) });
  }
  return written(store, config, path, entry, mergePatch(version.data ?? {}, data), body);
}

function mergePatch(target: Body, patched: Body): Body {
  const merged = Object.entries(patched).map(([field, value]) => {
    const inner = recordOf(value);
    return [field, inner ? mergePatch(recordOf(target[field]) ?? {}, inner) : value] as const;
  });
  const all = { ...target, ...Object.fromEntries(merged) };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null));
}

function checkAndSet(entry: KvEntry, config: KvConfig, body: Body): void {
  const cas = integerOf(recordOf(body.options) ?? {}, "cas");
  if (cas === undefined) {
    if (!config.casRequired && !entry.casRequired) return;
    throw new Refusal(400, "check-and-set parameter required for this call");
  }
  if (cas !== entry.currentVersion) {
    throw new Refusal(400, "check-and-set parameter did not match the current version");
  }
}

function written(
  store: KvStore,
  config: KvConfig,
  path: string,
  entry: KvEntry,
  data: Body,
  body: Body,
): Answer {
  const next = withVersion(entry, config, data, store.nowMs());
  store.put(path, next);
  const version = next.versions[next.currentVersion];
  if (version === undefined) throw new Error(`no version ${next.currentVersion} after a write`);
  return answered({
    data: describe(next, next.currentVersion, version),
    warnings: ignoredFields(body, ["data", "options", "version"]),
  });
}
