import { randomBytes } from "node:crypto";
import { type Answer, answered, Refusal, unsupportedOperation, unsupportedPath } from "./answer.ts";
import type { Backend, Operation } from "./backend.ts";
import { base64Bytes } from "./base64.ts";
import { flagOf, ignoredFields, integerOf, textOf } from "./body.ts";
import type { Storage } from "./storage.ts";
import { carryOutBatch, decoded, type Item } from "./transit-batch.ts";
import { type Binding, decrypt, encrypt, type TransitKey } from "./transit-key.ts";
import { create, type KeyRing, keyPaths } from "./transit-keys.ts";
import { unixSeconds, type VaultClock } from "./vault-time.ts";

/** Encrypts and decrypts with keys that never leave it. */
export function createTransit(storage: Storage, clock: VaultClock, mount: string): Backend {
  const at = `mount/${mount}`;
  const ring: KeyRing = {
    find: (name) => storage.get(`${at}key/${name}`),
    put: (key) => {
      storage.put(`${at}key/${key.name}`, key);
      return key;
    },
    delete: (name) => storage.delete(`${at}key/${name}`),
    names: () => storage.entries(`${at}key`),
    nowSeconds: () => unixSeconds(clock.nowMs()),
  };
  const upsertForbidden = (): boolean => storage.get(`${at}disable-upsert`) ?? false;
  const find = (name: string): TransitKey => {
    const key = ring.find(name);
    if (key === undefined) throw new Refusal(400, "encryption key not found");
    return key;
  };

  const encryptPath = (name: string, { body, failing }: Operation): Answer =>
    carryOutBatch(body, {
      field: "plaintext",
      failed: {},
      failsWhole: true,
      needsField: true,
      failing,
      warnings: ignoredFields(body, ["plaintext", "type", "convergent_encryption", ...COMMON]),
      begin: (derived) => {
        const key =
          ring.find(name) ?? (upsertForbidden() ? find(name) : create(ring, name, { derived }));
        return (item) => wrapped(key, decoded(item.text), item, bindingOf(item));
      },
    });

  const decryptPath = (name: string, { body, failing }: Operation): Answer =>
    carryOutBatch(body, {
      field: "ciphertext",
      failed: { plaintext: "" },
      failsWhole: true,
      needsField: true,
      failing,
      warnings: ignoredFields(body, ["ciphertext", ...COMMON]),
      begin: () => {
        const key = find(name);
        return (item) => ({
          plaintext: decrypt(key, item.text, bindingOf(item)).toString("base64"),
        });
      },
    });

  const rewrapPath = (name: string, { body, failing }: Operation): Answer =>
    carryOutBatch(body, {
      field: "ciphertext",
      failed: {},
      failsWhole: false,
      needsField: false,
      failing,
      warnings: ignoredFields(body, ["ciphertext", "context", "key_version", "batch_input"]),
      begin: () => {
        const key = find(name);
        return (item) => {
          // Associated data is not looked at: what was encrypted with some does not open here.
          const binding = { context: item.context, associatedData: NONE };
          return wrapped(key, decrypt(key, item.text, binding), item, binding);
        };
      },
    });

  const dataKeyPath = (what: string, name: string, { body }: Operation): Answer => {
    if (what !== "plaintext" && what !== "wrapped") {
      throw new Refusal(400, "Invalid path, must be 'plaintext' or 'wrapped'");
    }
    const context = base64Bytes(textOf(body, "context"));
    if (context === undefined) throw new Refusal(400, "failed to base64-decode context");
    const key = find(name);
    const bits = integerOf(body, "bits") ?? 256;
    if (![128, 256, 512].includes(bits)) throw new Refusal(400, "invalid bit length");
    const bytes = randomBytes(bits / 8);
    const item = { associatedData: textOf(body, "associated_data"), context };
    const { ciphertext, version } = encrypt(
      key,
      bytes,
      bindingOf(item),
      integerOf(body, "key_version") ?? 0,
    );
    const plaintext = what === "plaintext" ? { plaintext: bytes.toString("base64") } : {};
    return answered({ data: { ciphertext, key_version: version, ...plaintext } });
  };

  const configPath = ({ kind, body }: Operation): Answer => {
    if (kind === "write") {
      storage.put(`${at}disable-upsert`, flagOf(body, "disable_upsert") ?? false);
    } else if (kind !== "read") throw unsupportedOperation();
    return answered({ data: { disable_upsert: upsertForbidden() } });
  };

  return {
    // Of all writes only encrypt can make a key that was not asked for, and is told from creating one.
    creates: (path) => {
      const [, name] = /^encrypt\/([\w.-]+)$/.exec(path) ?? [];
      return name !== undefined && ring.find(name) === undefined;
    },
    handle: (operation) => {
      const { path, kind } = operation;
      if (path === "keys/" || path.startsWith("keys/")) return keyPaths(ring, operation);
      if (path === "config/keys") return configPath(operation);
      const [, use, rest = ""] = /^(encrypt|decrypt|rewrap|datakey)\/([\w./-]+)$/.exec(path) ?? [];
      const [name = "", dataKeyName] = rest.split("/");
      if (use === undefined || (use === "datakey") !== (dataKeyName !== undefined)) {
        throw unsupportedPath();
      }
      if (kind !== "write") throw unsupportedOperation();
      if (use === "encrypt") return encryptPath(name, operation);
      if (use === "decrypt") return decryptPath(name, operation);
      if (use === "rewrap") return rewrapPath(name, operation);
      return dataKeyPath(name, dataKeyName ?? "", operation);
    },
  };
}

/** Fields that encrypt and decrypt share. A nonce is none of them. */
const COMMON = [
  "context",
  "associated_data",
  "key_version",
  "batch_input",
  "partial_failure_response_code",
];
const NONE = new Uint8Array();

const wrapped = (key: TransitKey, plaintext: Uint8Array, item: Item, binding: Binding) => {
  const { ciphertext, version } = encrypt(key, plaintext, binding, item.keyVersion);
  return { ciphertext, key_version: version };
};

function bindingOf({ context, associatedData }: Pick<Item, "context" | "associatedData">): Binding {
  const bytes = base64Bytes(associatedData);
  if (bytes === undefined) throw new Refusal(500, "unable to get associated_data");
  return { context, associatedData: bytes };
}
