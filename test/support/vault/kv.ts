import {
  type Answer,
  answered,
  nothing,
  Refusal,
  unsupportedOperation,
  unsupportedPath,
} from "./answer.ts";
import type { Backend, Operation } from "./backend.ts";
import { type Body, flagOf, integerOf, secondsOf } from "./body.ts";
import { dataPath } from "./kv-data.ts";
import {
  destroyed,
  type KvConfig,
  type KvStore,
  type KvVersion,
  softDeleted,
  undeleted,
  withVersions,
} from "./kv-entry.ts";
import { metadataPath } from "./kv-metadata.ts";
import type { Storage } from "./storage.ts";
import { duration, type VaultClock } from "./vault-time.ts";

/** Values with versions and check-and-set. */
export function createKv(storage: Storage, clock: VaultClock, mount: string): Backend {
  const at = `mount/${mount}`;
  const store: KvStore = {
    get: (path) => storage.get(`${at}entry/${path}`),
    put: (path, entry) => storage.put(`${at}entry/${path}`, entry),
    delete: (path) => storage.delete(`${at}entry/${path}`),
    entries: (folder) => storage.entries(`${at}entry/${folder}`),
    nowMs: () => clock.nowMs(),
  };
  const config = (): KvConfig => storage.get(`${at}config`) ?? NO_CONFIG;
  return {
    creates: (path) => {
      const [, , name] = split(path);
      return /^(?:data|metadata)\//.test(path) && store.get(name) === undefined;
    },
    handle: (operation) => {
      const [, area, path] = split(operation.path);
      if (operation.path === "config") return configPath(storage, `${at}config`, operation);
      if (path === "" && operation.kind !== "list") throw unsupportedPath();
      if (area === "data") return dataPath(store, config(), path, operation);
      if (area === "metadata") return metadataPath(store, path, operation);
      const change = CHANGES[area];
      if (change === undefined) throw unsupportedPath();
      if (operation.kind !== "write") throw unsupportedOperation();
      return changeVersions(store, path, operation.body, change);
    },
  };
}

const NO_CONFIG: KvConfig = { maxVersions: 0, casRequired: false, deleteAfterSeconds: 0 };

/** The whole, the area, and the path in it. */
const split = (path: string): readonly [string, string, string] => {
  const slash = path.indexOf("/");
  return slash < 0 ? [path, path, ""] : [path, path.slice(0, slash), path.slice(slash + 1)];
};

const CHANGES: Readonly<Record<string, (version: KvVersion, nowMs: number) => KvVersion>> = {
  delete: softDeleted,
  undelete: undeleted,
  destroy: destroyed,
};

function changeVersions(
  store: KvStore,
  path: string,
  body: Body,
  change: (version: KvVersion, nowMs: number) => KvVersion,
): Answer {
  const numbers = Array.isArray(body.versions) ? body.versions.map(Number) : [];
  if (numbers.length === 0) throw new Refusal(400, "no version number provided");
  const entry = store.get(path);
  if (entry === undefined) return nothing;
  store.put(
    path,
    withVersions(entry, numbers, (version) => change(version, store.nowMs())),
  );
  return nothing;
}

function configPath(storage: Storage, name: string, { kind, body }: Operation): Answer {
  const config = storage.get<KvConfig>(name) ?? NO_CONFIG;
  if (kind === "read") {
    return answered({
      data: {
        cas_required: config.casRequired,
        delete_version_after: duration(config.deleteAfterSeconds),
        max_versions: config.maxVersions,
        metadata_cas_required: false,
      },
    });
  }
  if (kind !== "write") throw unsupportedOperation();
  storage.put(name, {
    maxVersions: integerOf(body, "max_versions") ?? config.maxVersions,
    casRequired: flagOf(body, "cas_required") ?? config.casRequired,
    deleteAfterSeconds: secondsOf(body, "delete_version_after") ?? config.deleteAfterSeconds,
  });
  return nothing;
}
