import { done, notThere, ok, plain, type Row, refused, row } from "./row.ts";
import { count, type Shape, text } from "./shape.ts";

/** What is shown of a key. */
export const keyShape = (facts: { readonly [field: string]: Shape }): Shape => ({
  type: "aes256-gcm96",
  allow_plaintext_backup: false,
  auto_rotate_period: 0,
  exportable: false,
  imported_key: false,
  supports_decryption: true,
  supports_derivation: true,
  supports_encryption: true,
  supports_signing: false,
  ...facts,
});

const fresh = { latest_version: 1, min_decryption_version: 1, min_encryption_version: 0 };
const untrimmed = { min_available_version: 0, deletion_allowed: false };
const derived = keyShape({
  name: "kek",
  derived: true,
  keys: { 1: count },
  ...fresh,
  ...untrimmed,
});
const underived = keyShape({
  name: "plain",
  derived: false,
  keys: { 1: count },
  ...fresh,
  ...untrimmed,
});

const openCluster = { cluster_name: text, cluster_id: text, version: text };

/** Health, mounts, and keys as they come and are listed. */
export const KEYS: readonly Row[] = [
  row(
    "is initialised, open and active",
    null,
    "GET sys/health",
    plain({
      ...openCluster,
      initialized: true,
      sealed: false,
      standby: false,
      server_time_utc: count,
    }),
  ),
  row(
    "tells without a token how its seal stands",
    null,
    "GET sys/seal-status",
    plain({ ...openCluster, initialized: true, sealed: false, t: count, n: count, progress: 0 }),
  ),
  row("enables transit", "root", "POST sys/mounts/{transit}", done, { body: { type: "transit" } }),
  row(
    "enables nothing twice in one place",
    "root",
    "POST sys/mounts/{transit}",
    refused(400, /in use/),
    { body: { type: "transit" } },
  ),
  row("enables KV version 2", "root", "POST sys/mounts/{kv}", done, {
    body: { type: "kv", options: { version: "2" } },
  }),
  row("does not find a key that was never made", "root", "GET {transit}/keys/none", notThere),
  row("makes a derived key", "root", "POST {transit}/keys/kek", ok(derived), {
    body: { type: "aes256-gcm96", derived: true },
  }),
  row("leaves a key as it is that is made again", "root", "POST {transit}/keys/kek", ok(derived), {
    body: { type: "aes256-gcm96", derived: true },
  }),
  row("makes an underived key by default", "root", "POST {transit}/keys/plain", ok(underived), {
    body: {},
  }),
  row("shows a key without its bytes", "root", "GET {transit}/keys/kek", ok(derived)),
  row("lists keys", "root", "GET {transit}/keys?list=true", ok({ keys: ["kek", "plain"] })),
  row(
    "lists keys by a method of its own too",
    "root",
    "LIST {transit}/keys",
    ok({ keys: ["kek", "plain"] }),
  ),
  row("makes no key of an unknown type", "root", "POST {transit}/keys/odd", refused(400, /type/), {
    body: { type: "rot13" },
  }),
  row(
    "can be told to make no key while encrypting",
    "root",
    "POST {transit}/config/keys",
    ok({ disable_upsert: true }),
    { body: { disable_upsert: true } },
  ),
  row(
    "says whether it was told so",
    "root",
    "GET {transit}/config/keys",
    ok({ disable_upsert: true }),
  ),
];
