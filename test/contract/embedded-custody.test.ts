import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { EnvelopeRecord, SecretRef } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { createEnvelope, type Envelope } from "../../packages/core/src/application/envelope.ts";
import { openFileKek } from "../../packages/embedded/src/file-kek.ts";
import { createKeyFile, newKeySet } from "../../packages/embedded/src/key-file.ts";
import { openReadModels } from "../../packages/embedded/src/sqlite-read-models.ts";
import { openSqliteSecretStore } from "../../packages/embedded/src/sqlite-secret-store.ts";
import { kekContract } from "./kek.contract.ts";
import { readModelsContract } from "./read-models.contract.ts";
import { newRef, secretStoreContract } from "./secret-store.contract.ts";

const host = nodeHost();

function newDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "keyledger-custody-"));
  const remove = () => rmSync(directory, { recursive: true });
  return {
    directory,
    [Symbol.dispose]: remove,
    [Symbol.asyncDispose]: async () => remove(),
  };
}

secretStoreContract("The SQLite secret store", async () => {
  const home = newDirectory();
  const options = { file: join(home.directory, "secrets.db"), deploymentId: host.random.uuid() };
  return { ...home, open: async () => openSqliteSecretStore(options) };
});

function newKek(directory: string) {
  const file = join(directory, "keys");
  using keys = newKeySet(host.random.uuid(), host.random);
  createKeyFile(file, keys);
  return openFileKek(file, keys, host);
}

kekContract("The key file", async () => {
  const home = newDirectory();
  const kek = newKek(home.directory);
  return Object.assign(kek, { [Symbol.asyncDispose]: home[Symbol.asyncDispose] });
});

readModelsContract("The SQLite read models", () => {
  const home = newDirectory();
  const deploymentId = host.random.uuid();
  const file = join(home.directory, "views.db");
  const onReset = (reason: string) => {
    throw new Error(`the views were reset: ${reason}`);
  };
  return { ...home, open: () => openReadModels({ file, deploymentId, onReset }) };
});

describe("A secret sealed under a key file", () => {
  const sealAll = async (envelope: Envelope, refs: readonly SecretRef[]) =>
    Promise.all(
      refs.map(async (ref) => {
        const material = Buffer.from(`sk-${host.random.uuid()}-${host.random.uuid()}`);
        return { ref, material, record: await envelope.seal(ref, "openai", material) };
      }),
    );

  async function textOf(
    envelope: Envelope,
    ref: SecretRef,
    record: EnvelopeRecord,
  ): Promise<string | null> {
    using secret = await envelope.open(ref, record);
    return secret?.use((bytes) => Buffer.from(bytes).toString()) ?? null;
  }

  const newEnvelope = (directory: string): Envelope => createEnvelope(newKek(directory), host);

  it("opens at its own place and at no other: all ordered pairs of 100", async () => {
    using home = newDirectory();
    const envelope = newEnvelope(home.directory);
    const owner = `user.${host.random.uuid()}` as const;
    // Half of them are one owner's, so that the key alone has to tell them apart.
    const refs = Array.from({ length: 100 }, (_, at) => newRef(at < 50 ? { owner } : {}));
    const sealed = await sealAll(envelope, refs);
    let refused = 0;
    for (const { ref, material } of sealed) {
      for (const other of sealed) {
        const text = await textOf(envelope, ref, other.record);
        if (other.ref === ref) expect(text).toBe(material.toString());
        else refused += text === null ? 1 : 0;
      }
    }
    expect(refused).toBe(9_900);
  });

  it("does not open as another version of the same key, nor as another provider's", async () => {
    using home = newDirectory();
    const envelope = newEnvelope(home.directory);
    const ref = newRef();
    const next = { ...ref, secretVersion: host.random.uuid() };
    const [old] = await sealAll(envelope, [ref]);
    if (!old) throw new Error("nothing was sealed");
    expect(await textOf(envelope, next, old.record)).toBe(null);
    expect(await textOf(envelope, ref, { ...old.record, provider: "anthropic" })).toBe(null);
    const [young] = await sealAll(envelope, [next]);
    const forged = { ...old.record, contextSha256: young?.record.contextSha256 ?? old.record.tag };
    expect(await textOf(envelope, next, forged)).toBe(null);
  });

  it("does not open with any single bit turned, in any part", async () => {
    using home = newDirectory();
    const envelope = newEnvelope(home.directory);
    const sealed = await sealAll(
      envelope,
      Array.from({ length: 5 }, () => newRef()),
    );
    for (const { ref, record } of sealed) {
      const { wrappedDek } = record;
      const altered = [
        ...flipped(record.iv).map((iv) => ({ ...record, iv })),
        ...flipped(record.ciphertext).map((ciphertext) => ({ ...record, ciphertext })),
        ...flipped(record.tag).map((tag) => ({ ...record, tag })),
        ...flipped(record.contextSha256).map((contextSha256) => ({ ...record, contextSha256 })),
        ...flipped(wrappedDek.bytes).map((bytes) => ({
          ...record,
          wrappedDek: { ...wrappedDek, bytes },
        })),
      ];
      expect(altered.length).toBe((12 + record.ciphertext.length + 16 + 32 + 60) * 8);
      const opened = await Promise.all(altered.map((each) => textOf(envelope, ref, each)));
      expect(opened.filter((text) => text !== null)).toStrictEqual([]);
    }
  });

  it("does not open with a part cut short: a tag of 1 to 15 bytes is no tag", async () => {
    using home = newDirectory();
    const envelope = newEnvelope(home.directory);
    const [sealed] = await sealAll(envelope, [newRef()]);
    if (!sealed) throw new Error("nothing was sealed");
    const { ref, record } = sealed;
    for (const part of ["tag", "iv", "ciphertext", "contextSha256"] as const) {
      for (let length = 0; length < record[part].length; length++) {
        const cut = { ...record, [part]: record[part].slice(0, length) };
        expect(await textOf(envelope, ref, cut)).toBe(null);
      }
    }
  });
});

/** All copies of the bytes with one bit turned. */
const flipped = (bytes: Uint8Array): Uint8Array[] =>
  Array.from({ length: bytes.length * 8 }, (_, bit) => {
    const copy = Uint8Array.from(bytes);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    return copy;
  });
