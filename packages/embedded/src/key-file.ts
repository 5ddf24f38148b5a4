import { createHash } from "node:crypto";
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { Corrupted, type Random, Secret, StoreUnavailable, type Uuid } from "@keyledger/core";
import { codeOf, FILE_MODE, fileFault, makeDirectory, syncDirectory } from "./files.ts";
import { UUID_BYTES, uuidBytes, uuidText } from "./uuid-bytes.ts";

/** One version of the key-encryption key. */
export interface KekVersion {
  /** 1 and up. */
  readonly version: number;
  /** 32 bytes. */
  readonly key: Secret;
}

/** What a key file holds. Disposing it wipes the keys. */
export interface KeySet extends Disposable {
  readonly deploymentId: Uuid;
  readonly kekId: Uuid;
  /** Ascending; the last one is current. At least one. */
  readonly kekVersions: readonly KekVersion[];
  /** 8 hex digits. */
  readonly macRootId: string;
  /** 32 bytes. */
  readonly macRoot: Secret;
}

/**
 * The file is binary, so that no key ever becomes a string, which could not be wiped. Numbers are big-endian:
 *
 *     16  "KEYLEDGER KEYS" LF, format (1)
 *     16  deployment id
 *     16  KEK id
 *      4  Mac root id
 *     32  Mac root
 *      4  count of KEK versions
 *      n  per version: 4 number, 32 key
 *     32  SHA-256 of all before it: tells a damaged file from a wrong one
 */
const MAGIC = Buffer.from("KEYLEDGER KEYS\n", "latin1");
const FORMAT = 1;
const KEY_BYTES = 32;
const MAC_ROOT_ID_BYTES = 4;
const DIGEST_BYTES = 32;
const VERSION_BYTES = 4 + KEY_BYTES;
const HEAD_BYTES = MAGIC.length + 1 + 2 * UUID_BYTES + MAC_ROOT_ID_BYTES + KEY_BYTES + 4;
/** A rotation a month for 83 years. */
const KEK_VERSIONS_MAX = 1_000;
const FILE_BYTES_MAX = HEAD_BYTES + KEK_VERSIONS_MAX * VERSION_BYTES + DIGEST_BYTES;

/**
 * @returns `undefined` where there is no file.
 * @throws {StoreUnavailable} it cannot be read, belongs to a newer release, or others than its owner may read it.
 * @throws {Corrupted} it is no key file, or a damaged one.
 */
export function readKeyFile(file: string): KeySet | undefined {
  const bytes = readGuarded(file);
  if (bytes === undefined) return undefined;
  try {
    return decode(file, bytes);
  } finally {
    bytes.fill(0);
  }
}

/** Fresh keys for a new deployment. */
export const newKeySet = (deploymentId: Uuid, random: Random): KeySet =>
  keySet({
    deploymentId,
    kekId: random.uuid(),
    kekVersions: [{ version: 1, key: new Secret(random.bytes(KEY_BYTES)) }],
    macRootId: Buffer.from(random.bytes(MAC_ROOT_ID_BYTES)).toString("hex"),
    macRoot: new Secret(random.bytes(KEY_BYTES)),
  });

/** The same keys and a fresh current version of the KEK. It borrows the old keys: dispose only one of the two. */
export function withNextVersion(keys: KeySet, random: Random): KeySet {
  const version = currentVersion(keys) + 1;
  const key = new Secret(random.bytes(KEY_BYTES));
  return keySet({ ...keys, kekVersions: [...keys.kekVersions, { version, key }] });
}

export const currentVersion = ({ kekVersions }: KeySet): number => kekVersions.at(-1)?.version ?? 0;

/**
 * Writes a key file where there is none; durable when it returns.
 * @throws {StoreUnavailable} it cannot be written, or one is there: it is never written over.
 */
export function createKeyFile(file: string, keys: KeySet): void {
  makeDirectory(dirname(file));
  writeWhole(file, keys, (temporary) => {
    linkSync(temporary, file);
    rmSync(temporary);
  });
}

/**
 * Puts other keys into the place of a key file: after a crash either the old file is there or the new one, whole.
 * Durable when it returns.
 * @throws {StoreUnavailable} {RangeError} more than 1,000 versions.
 */
export function replaceKeyFile(file: string, keys: KeySet): void {
  // A link to the file stays a link.
  const target = translating(file, () => realpathSync(file));
  writeWhole(target, keys, (temporary) => renameSync(temporary, target));
}

function writeWhole(file: string, keys: KeySet, publish: (temporary: string) => void): void {
  const bytes = encode(keys);
  const temporary = `${file}.new`;
  try {
    translating(file, () => {
      // What a crash left may hold keys that are retired since.
      rmSync(temporary, { force: true });
      writeDurably(temporary, bytes);
      publish(temporary);
      syncDirectory(dirname(file));
    });
  } finally {
    bytes.fill(0);
  }
}

function writeDurably(file: string, bytes: Uint8Array): void {
  const descriptor = openSync(file, "wx", FILE_MODE);
  try {
    fchmodSync(descriptor, FILE_MODE);
    for (let written = 0; written < bytes.length; ) {
      written += writeSync(descriptor, bytes, written);
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Looks at the permissions of the very file it reads. */
function readGuarded(file: string): Uint8Array | undefined {
  let descriptor: number;
  try {
    descriptor = openSync(file, "r");
  } catch (error) {
    if (codeOf(error) === "ENOENT") return undefined;
    throw fileFault(file, error);
  }
  try {
    const { mode, size } = fstatSync(descriptor);
    assertPrivate(file, mode);
    if (size > FILE_BYTES_MAX) throw notAKeyFile(file);
    const bytes = new Uint8Array(size);
    const read = translating(file, () => readSync(descriptor, bytes, 0, size, 0));
    return bytes.subarray(0, read);
  } finally {
    closeSync(descriptor);
  }
}

function assertPrivate(file: string, mode: number): void {
  if ((mode & 0o077) === 0) return;
  const found = (mode & 0o777).toString(8).padStart(4, "0");
  throw new StoreUnavailable(
    `the key file ${file} has mode ${found}: others than its owner may open it; make it 0600 and ask who could read it`,
    { retryable: false },
  );
}

function encode(keys: KeySet): Uint8Array {
  const { kekVersions } = keys;
  if (kekVersions.length > KEK_VERSIONS_MAX) {
    throw new RangeError(`a key file holds at most ${KEK_VERSIONS_MAX} KEK versions`);
  }
  const body = HEAD_BYTES + kekVersions.length * VERSION_BYTES;
  const bytes = new Uint8Array(body + DIGEST_BYTES);
  const view = new DataView(bytes.buffer);
  let at = 0;
  const put = (part: Uint8Array) => {
    bytes.set(part, at);
    at += part.length;
  };
  const putNumber = (value: number) => {
    view.setUint32(at, value);
    at += 4;
  };
  put(MAGIC);
  put(Uint8Array.of(FORMAT));
  put(uuidBytes(keys.deploymentId));
  put(uuidBytes(keys.kekId));
  put(Buffer.from(keys.macRootId, "hex"));
  keys.macRoot.use(put);
  putNumber(kekVersions.length);
  for (const { version, key } of kekVersions) {
    putNumber(version);
    key.use(put);
  }
  put(digestOf(bytes.subarray(0, body)));
  return bytes;
}

function decode(file: string, bytes: Uint8Array): KeySet {
  if (bytes.length <= MAGIC.length || MAGIC.compare(bytes, 0, MAGIC.length) !== 0) {
    throw notAKeyFile(file);
  }
  const format = bytes[MAGIC.length];
  if (format !== FORMAT) {
    throw new StoreUnavailable(
      `the key file ${file} has format ${format}; this release knows format ${FORMAT}`,
      { retryable: false },
    );
  }
  const body = bytes.length - DIGEST_BYTES;
  const stored = bytes.subarray(Math.max(body, 0));
  if (body < HEAD_BYTES || digestOf(bytes.subarray(0, body)).compare(stored) !== 0) {
    throw damaged(file);
  }
  return decodeBody(file, bytes.subarray(0, body));
}

function decodeBody(file: string, body: Uint8Array): KeySet {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  let at = MAGIC.length + 1;
  const take = (length: number): Uint8Array => {
    at += length;
    return body.slice(at - length, at);
  };
  const deploymentId = uuidText(take(UUID_BYTES));
  const kekId = uuidText(take(UUID_BYTES));
  const macRootId = Buffer.from(take(MAC_ROOT_ID_BYTES)).toString("hex");
  const macRoot = new Secret(take(KEY_BYTES));
  const count = view.getUint32(at);
  if (count === 0 || body.length !== HEAD_BYTES + count * VERSION_BYTES) throw damaged(file);
  at += 4;
  const kekVersions = Array.from({ length: count }, (): KekVersion => {
    const version = view.getUint32(at);
    at += 4;
    return { version, key: new Secret(take(KEY_BYTES)) };
  });
  const ascends = kekVersions.every(
    ({ version }, n) => version > (kekVersions[n - 1]?.version ?? 0),
  );
  if (!ascends) throw damaged(file);
  return keySet({ deploymentId, kekId, kekVersions, macRootId, macRoot });
}

const keySet = (keys: Omit<KeySet, typeof Symbol.dispose>): KeySet => ({
  ...keys,
  [Symbol.dispose]: () => {
    keys.macRoot[Symbol.dispose]();
    for (const { key } of keys.kekVersions) key[Symbol.dispose]();
  },
});

const digestOf = (bytes: Uint8Array): Buffer => createHash("sha256").update(bytes).digest();

const notAKeyFile = (file: string): Corrupted => new Corrupted(`${file}: not a key file`);

const damaged = (file: string): Corrupted =>
  new Corrupted(`the key file ${file} is damaged: restore it from its backup`);

function translating<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileFault(file, error);
  }
}
