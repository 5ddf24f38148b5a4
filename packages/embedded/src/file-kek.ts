import {
  Corrupted,
  type Host,
  type Kek,
  type KeyHandle,
  StoreUnavailable,
  type Uuid,
  type WrappedKey,
} from "@keyledger/core";
import {
  currentVersion,
  type KeySet,
  readKeyFile,
  replaceKeyFile,
  withNextVersion,
} from "./key-file.ts";

/**
 * The key-encryption key in a key file. Each context has a key of its own, HKDF-SHA-256 of the KEK version over the
 * context, so a wrapped key opens under its context and version only, and no key ever seals more than a few data keys:
 * random ivs cannot run out. A wrapped key is 60 bytes: iv 12, data key 32, tag 16.
 *
 * In memory the keys are handles; their bytes are wiped once imported.
 */
export const openFileKek = (
  file: string,
  /** What the file holds; stays the caller's to dispose. */
  keys: KeySet,
  host: Host,
): Kek => new FileKek(file, keys, host);

const DEK_BYTES = 32;
const IV_BYTES = 12;
const TAG_BYTES = 16;
const WRAPPED_BYTES = IV_BYTES + DEK_BYTES + TAG_BYTES;

/** The derived key binds the context already. */
const NO_ASSOCIATED_DATA = new Uint8Array(0);

class FileKek implements Kek {
  readonly #file: string;
  readonly #host: Host;
  readonly #kekId: Uuid;
  readonly #versions = new Map<number, KeyHandle>();
  #current = 0;

  constructor(file: string, keys: KeySet, host: Host) {
    this.#file = file;
    this.#host = host;
    this.#kekId = keys.kekId;
    this.#import(keys);
  }

  async wrap(dek: Uint8Array, context: Uint8Array): Promise<WrappedKey> {
    return this.#wrap(dek, context);
  }

  async unwrap(
    items: readonly { wrapped: WrappedKey; context: Uint8Array }[],
  ): Promise<readonly (Uint8Array | null)[]> {
    return items.map(({ wrapped, context }) => this.#unwrap(wrapped, context));
  }

  async rewrap(
    items: readonly { wrapped: WrappedKey; context: Uint8Array }[],
  ): Promise<readonly (WrappedKey | null)[]> {
    return items.map(({ wrapped, context }) => {
      const dek = this.#unwrap(wrapped, context);
      if (dek === null) return null;
      try {
        return this.#wrap(dek, context);
      } finally {
        dek.fill(0);
      }
    });
  }

  async current(): Promise<{ id: string; version: number }> {
    return { id: this.#kekId, version: this.#current };
  }

  /**
   * Durable in the key file before anything is wrapped with it.
   * @throws {StoreUnavailable} the file cannot be written, or is gone. @throws {Corrupted} it holds other keys now.
   */
  async rotate(): Promise<{ id: string; version: number }> {
    // The file is the only place that holds the bytes of the older versions.
    using stored = readKeyFile(this.#file);
    if (stored === undefined) {
      throw new StoreUnavailable(`the key file ${this.#file} is gone`, { retryable: true });
    }
    // An older copy lacks the current version: the next one made from it would take the number of another key.
    if (stored.kekId !== this.#kekId || currentVersion(stored) < this.#current) {
      throw new Corrupted(`the key file ${this.#file} was replaced by another one`);
    }
    using keys = withNextVersion(stored, this.#host.random);
    replaceKeyFile(this.#file, keys);
    this.#import(keys);
    return this.current();
  }

  /** A rotation whose outcome was unknown may have left versions in the file that are new here. */
  #import(keys: KeySet): void {
    for (const { version, key } of keys.kekVersions) {
      if (this.#versions.has(version)) continue;
      this.#versions.set(
        version,
        key.use((bytes) => this.#host.crypto.importKey(bytes)),
      );
    }
    this.#current = currentVersion(keys);
  }

  #wrap(dek: Uint8Array, context: Uint8Array): WrappedKey {
    if (dek.length !== DEK_BYTES) {
      throw new RangeError(`a data key has ${DEK_BYTES} bytes, this one ${dek.length}`);
    }
    const key = this.#keyFor(this.#current, context);
    if (key === undefined) {
      throw new StoreUnavailable(`the key file ${this.#file} holds no key`, { retryable: false });
    }
    const { iv, ciphertext, tag } = this.#host.crypto.seal(key, dek, NO_ASSOCIATED_DATA);
    const bytes = new Uint8Array(WRAPPED_BYTES);
    bytes.set(iv);
    bytes.set(ciphertext, IV_BYTES);
    bytes.set(tag, IV_BYTES + DEK_BYTES);
    return { kekId: this.#kekId, kekVersion: this.#current, bytes };
  }

  #unwrap({ kekId, kekVersion, bytes }: WrappedKey, context: Uint8Array): Uint8Array | null {
    if (kekId !== this.#kekId || bytes.length !== WRAPPED_BYTES) return null;
    const key = this.#keyFor(kekVersion, context);
    if (key === undefined) return null;
    const sealed = {
      iv: bytes.subarray(0, IV_BYTES),
      ciphertext: bytes.subarray(IV_BYTES, IV_BYTES + DEK_BYTES),
      tag: bytes.subarray(IV_BYTES + DEK_BYTES),
    };
    return this.#host.crypto.open(key, sealed, NO_ASSOCIATED_DATA) ?? null;
  }

  #keyFor(version: number, context: Uint8Array): KeyHandle | undefined {
    const root = this.#versions.get(version);
    return root && this.#host.crypto.deriveKey(root, context);
  }
}
