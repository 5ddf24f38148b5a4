import { done, notThere, ok, type Row, refused, row } from "./row.ts";
import { absent, isAbout, type Shape, time } from "./shape.ts";

const live = { created_time: time, custom_metadata: null, deletion_time: "", destroyed: false };
const written = (version: number): Shape => ({ ...live, version });

const DATA = "{kv}/data/a/b";
const METADATA = "{kv}/metadata/a/b";

const WRITES: readonly Row[] = [
  row(
    "keeps ten versions and wants no check-and-set unless told so",
    "root",
    "GET {kv}/config",
    ok({ cas_required: false, delete_version_after: "0s", max_versions: 0 }),
    { patient: true },
  ),
  row("can be told to keep one and to want it", "root", "POST {kv}/config", done, {
    body: { max_versions: 1, cas_required: true },
  }),
  row("does not find what was never written", "root", `GET ${DATA}`, notThere),
  row(
    "writes nothing without check-and-set then",
    "root",
    `POST ${DATA}`,
    refused(400, /check-and-set/),
    { body: { data: { x: "1" } } },
  ),
  row("writes what must not be there yet", "root", `POST ${DATA}`, ok(written(1)), {
    body: { options: { cas: 0 }, data: { x: "1" } },
  }),
  row("writes it only once", "root", `POST ${DATA}`, refused(400, /check-and-set/), {
    body: { options: { cas: 0 }, data: { x: "1" } },
  }),
  row("writes over the version named", "root", `POST ${DATA}`, ok(written(2)), {
    body: { options: { cas: 1 }, data: { x: "2" } },
  }),
  row("writes over no version of before", "root", `POST ${DATA}`, refused(400, /check-and-set/), {
    body: { options: { cas: 1 }, data: { x: "3" } },
  }),
  row("wants data to write", "root", `POST ${DATA}`, refused(400, /data/), {
    body: { options: { cas: 2 } },
  }),
  row(
    "reads the newest version",
    "root",
    `GET ${DATA}`,
    ok({ data: { x: "2" }, metadata: written(2) }),
  ),
  row("has dropped the version before", "root", `GET ${DATA}?version=1`, notThere),
  row("does not find a version yet to come", "root", `GET ${DATA}?version=9`, notThere),
  row(
    "tells about the versions",
    "root",
    `GET ${METADATA}`,
    ok({
      cas_required: false,
      created_time: time,
      current_version: 2,
      custom_metadata: null,
      delete_version_after: "0s",
      max_versions: 0,
      oldest_version: 2,
      updated_time: time,
      versions: {
        1: absent,
        2: { created_time: time, deletion_time: "", destroyed: false },
      },
    }),
  ),
  row("lists a folder", "root", "GET {kv}/metadata/a?list=true", ok({ keys: ["b"] })),
  row(
    "lists it with a slash behind",
    "root",
    "GET {kv}/metadata/a/?list=true",
    ok({ keys: ["b"] }),
  ),
  row("does not find an empty folder", "root", "GET {kv}/metadata/zzz?list=true", notThere),
];

const owned = { custom_metadata: { owner: "o1" }, created_time: time, version: 2 };

const DELETES: readonly Row[] = [
  row("keeps fields beside the versions", "root", `POST ${METADATA}`, done, {
    body: { custom_metadata: { owner: "o1" } },
  }),
  row("wants a patch to be named as one", "root", `PATCH ${DATA}`, refused(415, /Content-Type/), {
    body: { options: { cas: 2 }, data: { y: "1" } },
  }),
  row("deletes softly", "root", `DELETE ${DATA}`, done),
  row(
    "does not find what is deleted softly, and tells about it",
    "root",
    `GET ${DATA}`,
    ok({ data: null, metadata: { ...owned, deletion_time: time, destroyed: false } }, 404),
  ),
  row("still counts its versions", "root", `POST ${DATA}`, refused(400, /check-and-set/), {
    body: { options: { cas: 0 }, data: { x: "9" } },
  }),
  row("takes a soft deletion back", "root", "POST {kv}/undelete/a/b", done, {
    body: { versions: [2] },
  }),
  row("destroys a version", "root", "POST {kv}/destroy/a/b", done, { body: { versions: [2] } }),
  row(
    "does not find what is destroyed, and tells about it",
    "root",
    `GET ${DATA}`,
    ok({ data: null, metadata: { ...owned, deletion_time: "", destroyed: true } }, 404),
  ),
  row("destroys no version unnamed", "root", "POST {kv}/destroy/a/b", refused(400, /version/), {
    body: {},
  }),
  row("deletes everything with the metadata", "root", `DELETE ${METADATA}`, done),
  row("deletes it again without a word", "root", `DELETE ${METADATA}`, done),
  row("finds nothing of it", "root", `GET ${DATA}`, notThere),
  row("lets no late rewrite bring it back", "root", `POST ${DATA}`, refused(400, /check-and-set/), {
    body: { options: { cas: 2 }, data: { x: "z" } },
  }),
  row("lets a late first write bring it back", "root", `POST ${DATA}`, ok(written(1)), {
    body: { options: { cas: 0 }, data: { x: "z" } },
  }),
];

const PATHS: readonly Row[] = [
  row("sends a path with dots elsewhere", "root", "GET {kv}/data/a/../b", {
    status: 307,
    answer: isAbout(/\/data\/b/),
    contentType: "text/html; charset=utf-8",
  }),
  row("knows no path outside its mounts", "root", "GET {nowhere}/x", refused(404, /route/)),
  row("knows no other path in a mount", "root", "GET {transit}/nope", refused(404, /path/)),
];

/** Records with versions: check-and-set, the three ways of deleting, and paths that lead nowhere. */
export const KV: readonly Row[] = [...WRITES, ...DELETES, ...PATHS];
