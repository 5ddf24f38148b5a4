import { randomUUID } from "node:crypto";
import { askVault, textAt, type VaultCall } from "../support/vault/client.ts";
import {
  DEPLOYMENT_PATH,
  KEK_NAME,
  MAC_KEY_NAME,
  MAC_ROOT_PATH,
  RECORDS_FOLDER,
  type VaultLayout,
  type VaultRole,
} from "../support/vault/layout.ts";
import type { AdministeredVault } from "../support/vault/provision.ts";

/** Something one may want of the engine. */
export interface VaultOperation {
  /** Behind "may" or "may not". */
  readonly name: string;
  readonly may: readonly VaultRole[];
  /** Brings about what it needs, as the administrator, and says what to ask. */
  readonly prepare: (world: World) => Promise<VaultCall>;
  /** What the administrator gets: proof that a 403 is the policy's. 2xx unless said otherwise. */
  readonly asRoot?: number;
}

export interface World {
  readonly layout: VaultLayout;
  /** As the administrator. @throws {Error} it was refused. */
  admin(method: string, path: string, body?: object): Promise<unknown>;
}

export const worldOf = (vault: AdministeredVault, layout: VaultLayout): World => ({
  layout,
  admin: async (method, path, body) => {
    const call = { method, path: `/v1/${path}`, token: vault.rootToken, body };
    const answer = await askVault(vault, call);
    if (answer.status < 300) return answer.body;
    throw new Error(`${method} ${path} as the administrator: ${answer.status}`);
  },
});

const base64 = (content: string): string => Buffer.from(content).toString("base64");
const plaintext = base64("k".repeat(32));
const context = base64("context");

const call = (method: string, path: string, body?: object): VaultCall => ({
  method,
  path: `/v1/${path}`,
  body,
});

/** Needs nothing but itself. */
const plain = (
  name: string,
  may: readonly VaultRole[],
  asked: (layout: VaultLayout) => VaultCall,
  asRoot?: number,
): VaultOperation => ({
  name,
  may,
  prepare: async ({ layout }) => asked(layout),
  ...(asRoot === undefined ? {} : { asRoot }),
});

async function sealed({ admin, layout }: World, key: string): Promise<string> {
  const path = `${layout.transitMount}/encrypt/${key}`;
  return textAt(await admin("POST", path, { plaintext, context }), "data.ciphertext");
}

/** Opens or moves what that key sealed. */
const withCiphertext = (
  name: string,
  may: readonly VaultRole[],
  use: "decrypt" | "rewrap",
  key: string,
): VaultOperation => ({
  name,
  may,
  prepare: async (world) => {
    const body = { ciphertext: await sealed(world, key), context };
    return call("POST", `${world.layout.transitMount}/${use}/${key}`, body);
  },
});

const minimums = { min_decryption_version: 1, min_encryption_version: 1 };

const trims = (name: string, may: readonly VaultRole[], key: string): VaultOperation => ({
  name,
  may,
  prepare: async ({ admin, layout: { transitMount } }) => {
    await admin("POST", `${transitMount}/keys/${key}/config`, minimums);
    const body = { min_available_version: 1 };
    return call("POST", `${transitMount}/keys/${key}/trim`, body);
  },
});

/** @param asked what to do to the key at this path. */
const keyOperations = (
  key: string,
  rights: Readonly<Record<"encrypt" | "decrypt" | "rewrap" | "manage", readonly VaultRole[]>>,
): readonly VaultOperation[] => [
  plain(`encrypt with ${key}`, rights.encrypt, ({ transitMount }) =>
    call("POST", `${transitMount}/encrypt/${key}`, { plaintext, context }),
  ),
  plain(`encrypt a batch with ${key}`, rights.encrypt, ({ transitMount }) =>
    call("POST", `${transitMount}/encrypt/${key}`, { batch_input: [{ plaintext, context }] }),
  ),
  withCiphertext(`decrypt with ${key}`, rights.decrypt, "decrypt", key),
  withCiphertext(`rewrap with ${key}`, rights.rewrap, "rewrap", key),
  plain(`rotate ${key}`, rights.manage, ({ transitMount }) =>
    call("POST", `${transitMount}/keys/${key}/rotate`, {}),
  ),
  plain(`set the minimum versions of ${key}`, rights.manage, ({ transitMount }) =>
    call("POST", `${transitMount}/keys/${key}/config`, minimums),
  ),
  trims(`trim ${key}`, rights.manage, key),
  // What nobody may, for it would let a key out, lose it, or hand out data keys in clear.
  plain(`let ${key} be deleted`, [], ({ transitMount }) =>
    call("POST", `${transitMount}/keys/${key}/config`, { deletion_allowed: false }),
  ),
  plain(`make ${key} exportable`, [], ({ transitMount }) =>
    call("POST", `${transitMount}/keys/${key}/config`, { exportable: false }),
  ),
  plain(`let ${key} be backed up in clear`, [], ({ transitMount }) =>
    call("POST", `${transitMount}/keys/${key}/config`, { allow_plaintext_backup: false }),
  ),
  plain(
    `delete ${key}`,
    [],
    ({ transitMount }) => call("DELETE", `${transitMount}/keys/${key}`),
    400,
  ),
  plain(`look at ${key}`, [], ({ transitMount }) => call("GET", `${transitMount}/keys/${key}`)),
  plain(`draw a data key in clear from ${key}`, [], ({ transitMount }) =>
    call("POST", `${transitMount}/datakey/plaintext/${key}`, { context }),
  ),
  plain(`draw a wrapped data key from ${key}`, [], ({ transitMount }) =>
    call("POST", `${transitMount}/datakey/wrapped/${key}`, { context }),
  ),
];

const TRANSIT: readonly VaultOperation[] = [
  ...keyOperations(KEK_NAME, {
    encrypt: ["command"],
    decrypt: ["resolver"],
    rewrap: ["rotator"],
    manage: ["operator"],
  }),
  ...keyOperations(MAC_KEY_NAME, { encrypt: [], decrypt: ["command"], rewrap: [], manage: [] }),
  plain(
    "encrypt with a key that is not there",
    [],
    ({ transitMount }) =>
      call("POST", `${transitMount}/encrypt/${randomUUID()}`, { plaintext, context }),
    400,
  ),
  plain("make a key", [], ({ transitMount }) =>
    call("POST", `${transitMount}/keys/other-${randomUUID()}`, {}),
  ),
  plain("list keys", [], ({ transitMount }) => call("GET", `${transitMount}/keys?list=true`)),
  plain("let encrypting make keys", [], ({ transitMount }) =>
    call("POST", `${transitMount}/config/keys`, { disable_upsert: true }),
  ),
];

const newRecord = (): string => `${RECORDS_FOLDER}/user.u1/${randomUUID()}/${randomUUID()}`;

/** On a record of its own that stands at version 1. */
const onRecord = (
  name: string,
  may: readonly VaultRole[],
  asked: (kvMount: string, record: string) => VaultCall,
): VaultOperation => ({
  name,
  may,
  prepare: async ({ admin, layout: { kvMount } }) => {
    const record = newRecord();
    await admin("POST", `${kvMount}/data/${record}`, { options: { cas: 0 }, data: { a: "1" } });
    return asked(kvMount, record);
  },
});

const update = { options: { cas: 1 }, data: { a: "2" } };

const RECORDS: readonly VaultOperation[] = [
  plain("create a record", ["command"], ({ kvMount }) =>
    call("POST", `${kvMount}/data/${newRecord()}`, { options: { cas: 0 }, data: { a: "1" } }),
  ),
  onRecord("update a record", ["command", "rotator"], (kv, record) =>
    call("POST", `${kv}/data/${record}`, update),
  ),
  onRecord("read a record", ["resolver", "rotator", "collector"], (kv, record) =>
    call("GET", `${kv}/data/${record}`),
  ),
  onRecord("patch a record", [], (kv, record) => ({
    ...call("PATCH", `${kv}/data/${record}`, update),
    headers: { "content-type": "application/merge-patch+json" },
  })),
  onRecord("delete a record softly", [], (kv, record) => call("DELETE", `${kv}/data/${record}`)),
  onRecord("delete a version softly", [], (kv, record) =>
    call("POST", `${kv}/delete/${record}`, { versions: [1] }),
  ),
  onRecord("bring a version back", [], (kv, record) =>
    call("POST", `${kv}/undelete/${record}`, { versions: [1] }),
  ),
  onRecord("destroy a version", [], (kv, record) =>
    call("POST", `${kv}/destroy/${record}`, { versions: [1] }),
  ),
  onRecord("wipe a record", ["reaper", "collector"], (kv, record) =>
    call("DELETE", `${kv}/metadata/${record}`),
  ),
  onRecord("read the metadata of a record", [], (kv, record) =>
    call("GET", `${kv}/metadata/${record}`),
  ),
  onRecord("let a record keep more versions", [], (kv, record) =>
    call("POST", `${kv}/metadata/${record}`, { max_versions: 10 }),
  ),
  onRecord("list owners", ["rotator", "collector"], (kv) =>
    call("GET", `${kv}/metadata/${RECORDS_FOLDER}?list=true`),
  ),
  onRecord("list keys of an owner", ["rotator", "collector"], (kv) =>
    call("GET", `${kv}/metadata/${RECORDS_FOLDER}/user.u1/?list=true`),
  ),
  onRecord("list what is beside the records", [], (kv) => call("GET", `${kv}/metadata?list=true`)),
];

/** Leaves the entry as it was, but for its version. */
const onEntry = (
  name: string,
  may: readonly VaultRole[],
  entry: string,
  asked: (kvMount: string, cas: number, data: object) => VaultCall,
): VaultOperation => ({
  name,
  may,
  prepare: async ({ admin, layout: { kvMount } }) => {
    const held = (await admin("GET", `${kvMount}/data/${entry}`)) as {
      data: { data: object; metadata: { version: number } };
    };
    return asked(kvMount, held.data.metadata.version, held.data.data);
  },
});

const write = (entry: string) => (kv: string, cas: number, data: object) =>
  call("POST", `${kv}/data/${entry}`, { options: { cas }, data });
const read = (entry: string) => (kv: string) => call("GET", `${kv}/data/${entry}`);

const ENTRIES: readonly VaultOperation[] = [
  onEntry("read the Mac root", ["command"], MAC_ROOT_PATH, read(MAC_ROOT_PATH)),
  onEntry("replace the Mac root", [], MAC_ROOT_PATH, write(MAC_ROOT_PATH)),
  onEntry(
    "read the deployment id",
    ["resolver", "collector"],
    DEPLOYMENT_PATH,
    read(DEPLOYMENT_PATH),
  ),
  onEntry("write the deployment id", ["command"], DEPLOYMENT_PATH, write(DEPLOYMENT_PATH)),
  onEntry("read the metadata of the Mac root", [], MAC_ROOT_PATH, (kv) =>
    call("GET", `${kv}/metadata/${MAC_ROOT_PATH}`),
  ),
  plain("wipe something beside the records", [], ({ kvMount }) =>
    call("DELETE", `${kvMount}/metadata/beside`),
  ),
  plain("write beside the records", [], ({ kvMount }) =>
    call("POST", `${kvMount}/data/beside-${randomUUID()}`, { options: { cas: 0 }, data: {} }),
  ),
  plain("read the settings of the store", [], ({ kvMount }) => call("GET", `${kvMount}/config`)),
  plain("let the store keep more versions", [], ({ kvMount }) =>
    call("POST", `${kvMount}/config`, { max_versions: 1, cas_required: true }),
  ),
];

/** Everything in the two mounts, and who may do it. */
export const VAULT_OPERATIONS: readonly VaultOperation[] = [...TRANSIT, ...RECORDS, ...ENTRIES];

/** Ways to more rights, to other secrets, or to shut everybody out; nobody has any of them. */
export const forbiddenPaths = ({
  transitMount,
  kvMount,
  appRoleMount,
  rolePrefix,
}: VaultLayout) => [
  "sys/seal",
  "sys/mounts",
  `sys/mounts/${kvMount}`,
  `sys/mounts/${kvMount}/tune`,
  "sys/remount",
  "sys/policies/acl",
  `sys/policies/acl/${rolePrefix}-command`,
  "sys/auth/another",
  "sys/audit/file",
  "sys/raw/core/keyring",
  "sys/rotate",
  "sys/storage/raft/snapshot",
  "auth/token/create",
  "auth/token/create-orphan",
  "auth/token/lookup",
  "auth/token/accessors",
  `auth/${appRoleMount}/role/${rolePrefix}-resolver`,
  `auth/${appRoleMount}/role/${rolePrefix}-resolver/secret-id`,
  `auth/${appRoleMount}/role/${rolePrefix}-resolver/role-id`,
  "identity/entity",
  `${transitMount}/export/encryption-key/${KEK_NAME}`,
  `${transitMount}/backup/${KEK_NAME}`,
  `${transitMount}/restore`,
  `${transitMount}/cache-config`,
  `${transitMount}/keys/${KEK_NAME}/import_version`,
  `${transitMount}/hmac/${MAC_KEY_NAME}`,
  `${kvMount}/subkeys/${MAC_ROOT_PATH}`,
  `${kvMount}/detailed-metadata/`,
];
