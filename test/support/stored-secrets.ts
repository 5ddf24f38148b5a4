import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { SecretRef } from "@keyledger/core";
import {
  decodeReference,
  decodeSlot,
  encodeReference,
  encodeSlot,
  type Versioned,
} from "../../packages/embedded/src/envelope-codec.ts";

/** A stopped process's store of secrets, opened as somebody who stole or wants to forge it would. */
export class StoredSecrets implements Disposable {
  readonly #database: DatabaseSync;

  /** @param directory the data directory of a process that is stopped, or a copy of one. */
  constructor(directory: string) {
    this.#database = new DatabaseSync(join(directory, "secrets.db"));
  }

  /** Every record there is, staged ones too. */
  references(): readonly SecretRef[] {
    return this.#database
      .prepare("SELECT reference FROM records")
      .all()
      .map(({ reference }) => decodeReference(bytesOf(reference)));
  }

  find(keyId: string): SecretRef {
    const found = this.references().filter((reference) => reference.keyId === keyId);
    const [only, ...more] = found;
    if (only === undefined || more.length > 0)
      throw new Error(`${keyId} has ${found.length} records`);
    return only;
  }

  slot(reference: SecretRef): Buffer {
    const { table, id } = this.#place(reference);
    const row = this.#database.prepare(`SELECT bytes FROM ${table} WHERE id = ?`).get(id);
    return Buffer.from(bytesOf(row?.bytes));
  }

  /** The same length as before. */
  writeSlot(reference: SecretRef, bytes: Uint8Array): void {
    const { table, id } = this.#place(reference);
    this.#database.prepare(`UPDATE ${table} SET bytes = ? WHERE id = ?`).run(bytes, id);
  }

  record(reference: SecretRef): Versioned {
    return StoredSecrets.decode(reference, this.slot(reference));
  }

  static decode(reference: SecretRef, slot: Uint8Array): Versioned {
    return decodeSlot(encodeReference(reference), slot);
  }

  /** Puts a record in the place of another, with a checksum that is right. */
  writeRecord(reference: SecretRef, versioned: Versioned): void {
    this.writeSlot(reference, encodeSlot(encodeReference(reference), versioned));
  }

  /** Lets one name stand for the other's slot, and the other way round. */
  exchangeSlots(one: SecretRef, other: SecretRef): void {
    const [first, second] = [this.#row(one), this.#row(other)];
    const point = this.#database.prepare(
      "UPDATE records SET slot_size = ?, slot = ? WHERE reference = ?",
    );
    point.run(second.slot_size ?? 0, second.slot ?? 0, encodeReference(one));
    point.run(first.slot_size ?? 0, first.slot ?? 0, encodeReference(other));
  }

  remove(reference: SecretRef): void {
    this.#database
      .prepare("DELETE FROM records WHERE reference = ?")
      .run(encodeReference(reference));
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #row(reference: SecretRef) {
    const row = this.#database
      .prepare("SELECT slot_size, slot FROM records WHERE reference = ?")
      .get(encodeReference(reference));
    if (row === undefined) throw new Error("there is no such record");
    return row;
  }

  #place(reference: SecretRef): { table: string; id: number } {
    const { slot_size, slot } = this.#row(reference);
    return { table: `slots_${Number(slot_size)}`, id: Number(slot) };
  }
}

function bytesOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  throw new Error("the row holds no bytes");
}

/** A copy of a directory as it is now. Of a running process nothing else may be opened: a reader holds its work up. */
export function copyOf(directory: string): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), "keyledger-copy-"));
  execFileSync("cp", ["-R", `${directory}/.`, path]);
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Every file below a directory, by its path from there. */
export function filesBelow(directory: string): ReadonlyMap<string, Buffer> {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  return new Map(paths.map((path) => [relative(directory, path), readFileSync(path)]));
}
