import { type Answer, answered, notFound, nothing, unsupportedOperation } from "./answer.ts";
import type { Operation } from "./backend.ts";
import { type Body, flagOf, integerOf, recordOf, secondsOf, textOf } from "./body.ts";
import { type KvEntry, type KvStore, newEntry } from "./kv-entry.ts";
import { duration, timestamp } from "./vault-time.ts";

/** `metadata/<path>`: its versions, its settings, and its end. */
export function metadataPath(store: KvStore, path: string, operation: Operation): Answer {
  const { kind, body } = operation;
  if (kind === "list") return list(store, path, body);
  const entry = store.get(path);
  if (kind === "read") {
    if (entry === undefined) throw notFound();
    return answered({ data: shown(entry) });
  }
  if (kind === "delete") {
    store.delete(path);
    return nothing;
  }
  if (kind !== "write") throw unsupportedOperation();
  return configure(store, path, body);
}

/** In pages where `after` and `limit` say so. */
function list(store: KvStore, folder: string, body: Body): Answer {
  const after = textOf(body, "after");
  const limit = integerOf(body, "limit") ?? 0;
  const following = store.entries(folder).filter((name) => name > after);
  const keys = limit > 0 ? following.slice(0, limit) : following;
  if (keys.length === 0) throw notFound();
  return answered({ data: { keys } });
}

function configure(store: KvStore, path: string, body: Body): Answer {
  const entry = store.get(path) ?? newEntry(store.nowMs());
  const custom = recordOf(body.custom_metadata);
  store.put(path, {
    ...entry,
    maxVersions: integerOf(body, "max_versions") ?? entry.maxVersions,
    casRequired: flagOf(body, "cas_required") ?? entry.casRequired,
    deleteAfterSeconds: secondsOf(body, "delete_version_after") ?? entry.deleteAfterSeconds,
    customMetadata:
      custom === undefined
        ? entry.customMetadata
        : Object.fromEntries(Object.keys(custom).map((name) => [name, textOf(custom, name)])),
    metadataVersion: entry.metadataVersion + 1,
    updatedAtMs: store.nowMs(),
  });
  return nothing;
}

const shown = (entry: KvEntry) => ({
  cas_required: entry.casRequired,
  created_time: timestamp(entry.createdAtMs),
  current_metadata_version: entry.metadataVersion,
  current_version: entry.currentVersion,
  custom_metadata: entry.customMetadata,
  delete_version_after: duration(entry.deleteAfterSeconds),
  max_versions: entry.maxVersions,
  metadata_cas_required: false,
  oldest_version: entry.oldestVersion,
  updated_time: timestamp(entry.updatedAtMs),
  versions: Object.fromEntries(
    Object.entries(entry.versions).map(([number, version]) => [
      number,
      {
        created_time: timestamp(version.createdAtMs),
        deletion_time: version.deletedAtMs === null ? "" : timestamp(version.deletedAtMs),
        destroyed: version.destroyed,
      },
    ]),
  ),
});
