import {
  type Answer,
  answered,
  notFound,
  nothing,
  Refusal,
  unsupportedOperation,
  unsupportedPath,
} from "./answer.ts";
import type { Operation } from "./backend.ts";
import { type Body, flagOf, integerOf, secondsOf, textOf } from "./body.ts";
import { newKeyVersion, type TransitKey } from "./transit-key.ts";

/** The named keys of one mount. */
export interface KeyRing {
  find(name: string): TransitKey | undefined;
  put(key: TransitKey): TransitKey;
  delete(name: string): void;
  names(): readonly string[];
  nowSeconds(): number;
}

const OTHER_TYPES: ReadonlySet<string> = new Set([
  "aes128-gcm96",
  "chacha20-poly1305",
  "xchacha20-poly1305",
  "ecdsa-p256",
  "ecdsa-p384",
  "ecdsa-p521",
  "ed25519",
  "rsa-2048",
  "rsa-3072",
  "rsa-4096",
  "hmac",
]);
const HOUR_SECONDS = 3600;

/** `keys/`: create, look at, rotate, configure, trim, delete. */
export function keyPaths(ring: KeyRing, operation: Operation): Answer {
  const { kind, path, body } = operation;
  if (kind === "list" && path === "keys/") {
    const keys = ring.names();
    if (keys.length === 0) throw notFound();
    return answered({ data: { keys } });
  }
  const [, name, what = ""] = /^keys\/([\w.-]+)(?:\/([a-z]+))?$/.exec(path) ?? [];
  if (name === undefined) throw unsupportedPath();
  if (what === "") return keyItself(ring, name, operation);
  if (kind !== "write") throw unsupportedOperation();
  if (what === "rotate") return rotate(ring, name);
  if (what === "config") return configure(ring, name, body);
  if (what === "trim") return trim(ring, name, body);
  throw unsupportedPath();
}

function keyItself(ring: KeyRing, name: string, { kind, body }: Operation): Answer {
  const key = ring.find(name);
  if (kind === "write") return shown(key ?? create(ring, name, body));
  if (kind === "read") {
    if (key === undefined) throw notFound();
    return shown(key);
  }
  if (kind !== "delete") throw unsupportedOperation();
  if (key === undefined) throw new Refusal(400, `error deleting policy ${name}: key not found`);
  if (!key.deletionAllowed) {
    throw new Refusal(400, `error deleting policy ${name}: deletion is not allowed for this key`);
  }
  ring.delete(name);
  return nothing;
}

export function create(ring: KeyRing, name: string, body: Body): TransitKey {
  const type = textOf(body, "type", "aes256-gcm96");
  if (OTHER_TYPES.has(type) || flagOf(body, "convergent_encryption") === true) {
    throw new Refusal(
      400,
      "the stand-in has keys of type aes256-gcm96 only, none of them convergent",
    );
  }
  if (type !== "aes256-gcm96") throw new Refusal(400, `unknown key type ${type}`);
  return ring.put({
    name,
    derived: flagOf(body, "derived") ?? false,
    exportable: flagOf(body, "exportable") ?? false,
    allowPlaintextBackup: flagOf(body, "allow_plaintext_backup") ?? false,
    deletionAllowed: false,
    autoRotateSeconds: autoRotateOf(body) ?? 0,
    latest: 1,
    minAvailable: 0,
    minDecryption: 1,
    minEncryption: 0,
    versions: { 1: newKeyVersion(ring.nowSeconds()) },
  });
}

function autoRotateOf(body: Body): number | undefined {
  const seconds = secondsOf(body, "auto_rotate_period");
  if (seconds !== undefined && seconds !== 0 && seconds < HOUR_SECONDS) {
    throw new Refusal(400, "auto rotate period must be 0 to disable or at least an hour");
  }
  return seconds;
}

function rotate(ring: KeyRing, name: string): Answer {
  const key = ring.find(name);
  if (key === undefined) throw new Refusal(400, "key not found");
  const latest = key.latest + 1;
  const versions = { ...key.versions, [latest]: newKeyVersion(ring.nowSeconds()) };
  return shown(ring.put({ ...key, latest, versions }));
}

function configure(ring: KeyRing, name: string, body: Body): Answer {
  const key = ring.find(name);
  if (key === undefined) throw new Refusal(400, `no existing key named ${name} could be found`);
  const asked = minimum(body, "min_decryption_version", "decryption", key.latest);
  const warnings = asked === 0 ? ["key versions start at 1; the minimum is 1"] : [];
  const changed: TransitKey = {
    ...key,
    minDecryption: asked === undefined ? key.minDecryption : Math.max(asked, 1),
    minEncryption:
      minimum(body, "min_encryption_version", "encryption", key.latest) ?? key.minEncryption,
    deletionAllowed: flagOf(body, "deletion_allowed") ?? key.deletionAllowed,
    // Once on, these stay on.
    exportable: key.exportable || flagOf(body, "exportable") === true,
    allowPlaintextBackup:
      key.allowPlaintextBackup || flagOf(body, "allow_plaintext_backup") === true,
    autoRotateSeconds: autoRotateOf(body) ?? key.autoRotateSeconds,
  };
  const { minAvailable, minDecryption, minEncryption } = changed;
  if (minEncryption > 0 && minEncryption < minDecryption) {
    throw new Refusal(
      400,
      `cannot set min encryption/decryption values; min encryption version of ${minEncryption} must be greater than or equal to min decryption version of ${minDecryption}`,
    );
  }
  if (minAvailable > minEncryption) {
    throw new Refusal(400, "min encryption version should not be less than min available version");
  }
  if (minAvailable > minDecryption) {
    throw new Refusal(400, "min decryption version should not be less then min available version");
  }
  return shown(ring.put(changed), warnings);
}

function minimum(body: Body, field: string, use: string, latest: number): number | undefined {
  const wanted = integerOf(body, field);
  if (wanted === undefined) return undefined;
  if (wanted < 0) throw new Refusal(400, `min ${use} version cannot be negative`);
  if (wanted <= latest) return wanted;
  throw new Refusal(
    400,
    `cannot set min ${use} version of ${wanted}, latest key version is ${latest}`,
  );
}

function trim(ring: KeyRing, name: string, body: Body): Answer {
  const key = ring.find(name);
  if (key === undefined) throw new Refusal(400, "invalid key name");
  const wanted = integerOf(body, "min_available_version");
  if (wanted === undefined) throw new Refusal(400, "missing min_available_version");
  const problem = trimProblem(key, wanted);
  if (problem !== undefined) throw new Refusal(400, `minimum available version ${problem}`);
  const kept = Object.entries(key.versions).filter(([version]) => Number(version) >= wanted);
  return shown(ring.put({ ...key, minAvailable: wanted, versions: Object.fromEntries(kept) }));
}

function trimProblem(key: TransitKey, wanted: number): string | undefined {
  if (wanted < key.minAvailable) return "cannot be decremented";
  if (key.minEncryption === 0) {
    return "cannot be set when minimum encryption version is not set";
  }
  if (wanted > key.minEncryption) return "cannot be greater than minmum encryption version";
  if (wanted > key.minDecryption) return "cannot be greater than minimum decryption version";
  return wanted === 0 ? "should be positive" : undefined;
}

const shown = (key: TransitKey, warnings: readonly string[] = []): Answer =>
  answered({
    warnings,
    data: {
      name: key.name,
      type: "aes256-gcm96",
      derived: key.derived,
      ...(key.derived ? { kdf: "hkdf_sha256", convergent_encryption: false } : {}),
      exportable: key.exportable,
      allow_plaintext_backup: key.allowPlaintextBackup,
      deletion_allowed: key.deletionAllowed,
      auto_rotate_period: key.autoRotateSeconds,
      imported_key: false,
      soft_deleted: false,
      latest_version: key.latest,
      min_available_version: key.minAvailable,
      min_decryption_version: key.minDecryption,
      min_encryption_version: key.minEncryption,
      supports_encryption: true,
      supports_decryption: true,
      supports_derivation: true,
      supports_signing: false,
      keys: Object.fromEntries(
        Object.entries(key.versions)
          .filter(([version]) => Number(version) >= key.minDecryption)
          .map(([version, { createdAtSeconds }]) => [version, createdAtSeconds]),
      ),
    },
  });
