import { randomBytes, randomUUID } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inspect } from "node:util";
import { Corrupted, Fault, type Random, StoreUnavailable } from "@keyledger/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  createKeyFile,
  currentVersion,
  type KeySet,
  newKeySet,
  readKeyFile,
  replaceKeyFile,
  withNextVersion,
} from "./key-file.ts";

const random: Random = {
  bytes: (length) => new Uint8Array(randomBytes(length)),
  uuid: randomUUID,
  fraction: () => 0.5,
};

let directory: string;
let file: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "keyledger-keys-"));
  file = join(directory, "keys");
});
afterEach(() => rmSync(directory, { recursive: true }));

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

const plain = (keys: KeySet | undefined) =>
  keys && {
    deploymentId: keys.deploymentId,
    kekId: keys.kekId,
    kekVersions: keys.kekVersions.map(({ version, key }) => [version, key.use(hex)]),
    macRootId: keys.macRootId,
    macRoot: keys.macRoot.use(hex),
  };

const faultOf = (work: () => unknown): Fault => {
  try {
    work();
  } catch (error) {
    if (error instanceof Fault) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
};

function created(): KeySet {
  const keys = newKeySet(randomUUID(), random);
  createKeyFile(file, keys);
  return keys;
}

describe("A key file", () => {
  it("gives back the keys that were written", () => {
    const keys = created();
    expect(plain(readKeyFile(file))).toStrictEqual(plain(keys));
    expect(keys.kekVersions).toHaveLength(1);
    expect(keys.macRootId).toMatch(/^[0-9a-f]{8}$/);
  });

  it("is nobody else's to open, whatever the umask", () => {
    const umask = process.umask(0);
    try {
      created();
      expect(statSync(file).mode & 0o777).toBe(0o600);
      replaceKeyFile(file, newKeySet(randomUUID(), random));
      expect(statSync(file).mode & 0o777).toBe(0o600);
    } finally {
      process.umask(umask);
    }
  });

  it.for([0o640, 0o604, 0o644, 0o620, 0o602, 0o610, 0o601, 0o660, 0o777])(
    "is refused with mode %o, by name and without its contents",
    (mode) => {
      created();
      chmodSync(file, mode);
      const fault = faultOf(() => readKeyFile(file));
      expect(fault).toBeInstanceOf(StoreUnavailable);
      expect(fault.retryable).toBe(false);
      expect(fault.message).toContain(file);
      expect(fault.message).toContain(`0${mode.toString(8)}`);
    },
  );

  it.for([0o600, 0o400])("is accepted with mode %o", (mode) => {
    const keys = created();
    chmodSync(file, mode);
    expect(plain(readKeyFile(file))).toStrictEqual(plain(keys));
  });

  it("is not there where there is none", () => {
    expect(readKeyFile(file)).toBe(undefined);
    expect(readKeyFile(join(directory, "none", "keys"))).toBe(undefined);
    expect(readdirSync(directory)).toStrictEqual([]);
  });

  it("is refused with any single bit turned", () => {
    created();
    const bytes = readFileSync(file);
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const altered = Buffer.from(bytes);
      altered.writeUInt8(altered.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      writeFileSync(file, altered);
      expect(faultOf(() => readKeyFile(file)).retryable).toBe(false);
    }
  });

  it("is refused when it was cut short or grew", () => {
    created();
    const bytes = readFileSync(file);
    for (let length = 0; length < bytes.length; length++) {
      writeFileSync(file, bytes.subarray(0, length));
      expect(faultOf(() => readKeyFile(file))).toBeInstanceOf(Corrupted);
    }
    for (const length of [1, 36, 100_000]) {
      writeFileSync(file, Buffer.concat([bytes, Buffer.alloc(length)]));
      expect(faultOf(() => readKeyFile(file))).toBeInstanceOf(Corrupted);
    }
  });

  it("is refused when it is something else", () => {
    writeFileSync(file, '{"keys":[]}', { mode: 0o600 });
    expect(faultOf(() => readKeyFile(file))).toBeInstanceOf(Corrupted);
    rmSync(file);
    mkdirSync(file, { mode: 0o700 });
    expect(faultOf(() => readKeyFile(file))).toBeInstanceOf(Fault);
  });

  it("of a later format is told apart from a damaged one", () => {
    created();
    const bytes = readFileSync(file);
    bytes.writeUInt8(2, 15);
    writeFileSync(file, bytes);
    const fault = faultOf(() => readKeyFile(file));
    expect(fault).toBeInstanceOf(StoreUnavailable);
    expect(fault.message).toContain("format 2");
  });

  it("is never written over by a new one", () => {
    const keys = created();
    const other = newKeySet(randomUUID(), random);
    expect(faultOf(() => createKeyFile(file, other))).toBeInstanceOf(StoreUnavailable);
    expect(plain(readKeyFile(file))).toStrictEqual(plain(keys));
  });

  it("makes its directory for nobody but its user", () => {
    file = join(directory, "a", "b", "keys");
    const keys = created();
    expect(plain(readKeyFile(file))).toStrictEqual(plain(keys));
    expect(statSync(join(directory, "a", "b")).mode & 0o777).toBe(0o700);
  });

  it("grows by one version at a time, and keeps the others", () => {
    const keys = created();
    for (let version = 2; version <= 5; version++) {
      const stored = readKeyFile(file);
      if (stored === undefined) throw new Error("it is gone");
      const next = withNextVersion(stored, random);
      replaceKeyFile(file, next);
      expect(currentVersion(next)).toBe(version);
      expect(plain(readKeyFile(file))).toStrictEqual(plain(next));
    }
    const stored = plain(readKeyFile(file));
    expect(stored?.kekVersions.map(([version]) => version)).toStrictEqual([1, 2, 3, 4, 5]);
    expect({ ...stored, kekVersions: stored?.kekVersions.slice(0, 1) }).toStrictEqual(plain(keys));
    expect(readdirSync(directory)).toStrictEqual(["keys"]);
  });

  it("holds 1,000 versions and refuses one more, unharmed", () => {
    const keys = newKeySet(randomUUID(), random);
    const [first] = keys.kekVersions;
    if (first === undefined) throw new Error("no version");
    const kekVersions = Array.from({ length: 1_000 }, (_, at) => ({ ...first, version: at + 1 }));
    const full = { ...keys, kekVersions };
    createKeyFile(file, full);
    expect(plain(readKeyFile(file))).toStrictEqual(plain(full));
    expect(() => replaceKeyFile(file, withNextVersion(full, random))).toThrow(RangeError);
    expect(plain(readKeyFile(file))).toStrictEqual(plain(full));
  });

  it("survives a crash while it was replaced, at any length of what was written", () => {
    const keys = created();
    const next = withNextVersion(keys, random);
    const whole = readFileSync(file);
    for (const length of [0, 1, 15, 100, whole.length]) {
      writeFileSync(`${file}.new`, whole.subarray(0, length), { mode: 0o600 });
      expect(plain(readKeyFile(file))).toStrictEqual(plain(keys));
    }
    replaceKeyFile(file, next);
    expect(plain(readKeyFile(file))).toStrictEqual(plain(next));
    expect(existsSync(`${file}.new`)).toBe(false);
  });

  it("stays a link where it is one", () => {
    mkdirSync(join(directory, "elsewhere"));
    const target = join(directory, "elsewhere", "keys");
    createKeyFile(target, newKeySet(randomUUID(), random));
    symlinkSync(target, file);
    const next = newKeySet(randomUUID(), random);
    replaceKeyFile(file, next);
    expect(plain(readKeyFile(target))).toStrictEqual(plain(next));
    expect(plain(readKeyFile(file))).toStrictEqual(plain(next));
  });

  it("cannot be replaced where there is none", () => {
    expect(faultOf(() => replaceKeyFile(file, newKeySet(randomUUID(), random)))).toBeInstanceOf(
      StoreUnavailable,
    );
    expect(readdirSync(directory)).toStrictEqual([]);
  });
});

describe("A set of keys", () => {
  it("is wiped when it is disposed", () => {
    const keys = created();
    keys[Symbol.dispose]();
    expect(keys.macRoot.use(hex)).toBe("00".repeat(32));
    expect(keys.kekVersions.map(({ key }) => key.use(hex))).toStrictEqual(["00".repeat(32)]);
  });

  it("prints no key", () => {
    const keys = created();
    const secrets = [keys.macRoot, ...keys.kekVersions.map(({ key }) => key)].map((key) =>
      key.use(hex),
    );
    const printed = inspect(keys, { depth: 10, showHidden: true }) + JSON.stringify(keys);
    for (const secret of secrets) expect(printed).not.toContain(secret);
    expect(printed).toContain("[secret]");
  });
});
