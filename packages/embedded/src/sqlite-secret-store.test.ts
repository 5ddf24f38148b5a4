import { execFileSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { serialize } from "node:v8";
import { Corrupted, type EnvelopeRecord, type SecretRef, StoreUnavailable } from "@keyledger/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openSqliteSecretStore } from "./sqlite-secret-store.ts";

let directory: string;
let file: string;
const deploymentId = randomUUID();
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "keyledger-secrets-"));
  file = join(directory, "secrets.db");
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (at = file) => openSqliteSecretStore({ file: at, deploymentId });

const newRef = (): SecretRef => ({
  owner: `user.${randomUUID()}`,
  keyId: randomUUID(),
  secretVersion: randomUUID(),
});

const bytes = (length: number): Uint8Array => new Uint8Array(randomBytes(length));

const newRecord = (length = 164): EnvelopeRecord => ({
  schema: 1,
  provider: "openai",
  wrappedDek: { kekId: randomUUID(), kekVersion: 1, bytes: bytes(60) },
  iv: bytes(12),
  ciphertext: bytes(length),
  tag: bytes(16),
  contextSha256: bytes(32),
  createdAt: "2026-11-21T11:00:00.000Z",
});

/** Puts records and closes the store. */
async function stored(...records: readonly EnvelopeRecord[]): Promise<SecretRef[]> {
  await using store = open();
  const refs = records.map(() => newRef());
  await Promise.all(records.map((record, at) => store.put(refs[at] ?? newRef(), record)));
  return refs;
}

/** Does to the closed file what somebody with another tool would do. */
function meddle(sql: string, ...values: SQLInputValue[]): void {
  using database = new DatabaseSync(file);
  database.prepare(sql).run(...values);
}

/** Turns one bit of a record's ciphertext in the file. */
function flipBit(record: EnvelopeRecord): void {
  using database = new DatabaseSync(file);
  for (const size of [512, 4_096, 20_480]) {
    for (const row of database.prepare(`SELECT id, bytes FROM slots_${size}`).all()) {
      const slot = Buffer.from(row.bytes instanceof Uint8Array ? row.bytes : []);
      const at = slot.indexOf(record.ciphertext);
      if (at < 0) continue;
      slot.writeUInt8(slot.readUInt8(at) ^ 1, at);
      database.prepare(`UPDATE slots_${size} SET bytes = ? WHERE id = ?`).run(slot, row.id ?? 0);
    }
  }
}

/** The files as a kill would leave them now. Copied by another process, so that no lock of this one is dropped. */
function killed(): string {
  const copy = join(directory, "copy");
  execFileSync("sh", ["-c", `mkdir "${copy}" && cp "${file}"* "${copy}"`]);
  return join(copy, "secrets.db");
}

/** Whether a file of the directory holds the record's ciphertext. Read by another process, as above. */
const holds = ({ ciphertext }: EnvelopeRecord, at: string): boolean =>
  readdirSync(at).some((name) =>
    execFileSync("cat", [join(at, name)], { maxBuffer: 2 ** 30 }).includes(Buffer.from(ciphertext)),
  );

const walBytes = (): number => statSync(`${file}-wal`).size;

/**
 * In a process whose files may not be written beyond 128 KiB: the write-ahead log takes the zeros, but they cannot go
 * where the slot is. Then the bound is lifted.
 */
async function shredWithSmallFiles(
  ref: SecretRef,
  added: { ref: SecretRef; record: EnvelopeRecord },
): Promise<unknown> {
  const given = { file, deploymentId, ref, added };
  const script = `
    import { execFileSync } from "node:child_process";
    import { statSync } from "node:fs";
    import { deserialize } from "node:v8";
    import { openSqliteSecretStore } from "./sqlite-secret-store.ts";
    const { file, deploymentId, ref, added } = deserialize(Buffer.from("${serialize(given).toString("base64")}", "base64"));
    const limit = (bytes) => execFileSync("prlimit", ["--pid", process.pid, "--fsize=" + bytes + ":"]);
    const endOf = (work) => work.then(() => "fulfilled", ({ name }) => name);
    const walBytes = () => statSync(file + "-wal").size;
    const store = openSqliteSecretStore({ file, deploymentId });
    limit(131072);
    const [put, shred] = await Promise.all([
      endOf(store.put(added.ref, added.record)),
      endOf(store.shred(ref)),
    ]);
    const isReadable = (await store.get(ref)) !== null;
    const again = await endOf(store.shred(ref));
    const logIsCut = walBytes() === 0;
    limit("unlimited");
    const retried = await endOf(store.shred(ref));
    console.log(JSON.stringify({
      put, shred, isReadable, again, logIsCut, retried, logIsCutThen: walBytes() === 0,
    }));
  `;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    encoding: "utf8",
  });
  return JSON.parse(output);
}

describe("The secrets file", () => {
  it("has what was acknowledged, whenever the process is killed", async () => {
    await using store = open();
    const refs = Array.from({ length: 100 }, () => newRef());
    await Promise.all(refs.map((ref, at) => store.put(ref, newRecord(at * 50))));
    await Promise.all(refs.slice(0, 30).map((ref) => store.shred(ref)));
    const replaced = newRecord();
    const ref = refs[40] ?? newRef();
    await store.replace(ref, replaced, (await store.get(ref))?.version ?? "");
    const late = newRef();
    await store.put(late, newRecord());

    await using copy = open(killed());
    for (const [at, put] of refs.entries()) {
      expect((await copy.get(put)) === null).toBe(at < 30);
    }
    expect((await copy.get(ref))?.record.tag).toStrictEqual(replaced.tag);
    expect(await copy.get(late)).not.toBe(null);
  });

  it("has no write-ahead log left when a shred or a replace resolves", async () => {
    await using store = open();
    const [one, other] = [newRef(), newRef()];
    await store.put(one, newRecord());
    await store.put(other, newRecord());
    expect(walBytes()).toBeGreaterThan(0);
    await store.replace(other, newRecord(), (await store.get(other))?.version ?? "");
    expect(walBytes()).toBe(0);
    await store.put(newRef(), newRecord());
    await store.shred(one);
    expect(walBytes()).toBe(0);
  });

  it("loses what a crash left in it of a destroyed record, when it is opened again", async () => {
    const record = newRecord();
    await stored(record);
    {
      // As after a kill between the commit that overwrites the slot and the cut of the write-ahead log.
      using database = new DatabaseSync(file);
      database.exec("PRAGMA wal_autocheckpoint = 0");
      database.exec("UPDATE slots_512 SET is_used = 0, bytes = zeroblob(512)");
      database.exec("DELETE FROM records");
      const copy = killed();
      expect(holds(record, join(directory, "copy"))).toBe(true);
      await using _store = open(copy);
      expect(holds(record, join(directory, "copy"))).toBe(false);
    }
  });

  it("uses freed slots again: it does not grow while as much goes as comes", async () => {
    await using store = open();
    const sizes = [100, 3_000, 16_000];
    const round = async (): Promise<number> => {
      const refs = Array.from({ length: 30 }, () => newRef());
      await Promise.all(refs.map((ref, at) => store.put(ref, newRecord(sizes[at % 3]))));
      await Promise.all(refs.map((ref) => store.shred(ref)));
      return statSync(file).size;
    };
    const first = await round();
    for (let rounds = 0; rounds < 20; rounds++) expect(await round()).toBe(first);
  });

  it("lets no other connection read it while it is open: old pages would be kept for it", async () => {
    await using _store = open();
    using other = new DatabaseSync(file, { timeout: 0 });
    expect(() => other.prepare("SELECT * FROM records").all()).toThrow("locked");
  });

  it("cannot be opened while another connection reads it, and can afterwards", async () => {
    const [ref] = await stored(newRecord());
    {
      using other = new DatabaseSync(file);
      other.exec("BEGIN");
      other.prepare("SELECT * FROM records").all();
      expect(() => open()).toThrow(StoreUnavailable);
    }
    await using store = open();
    expect(ref && (await store.get(ref))).not.toBe(null);
  });

  it.skipIf(process.platform !== "linux")(
    "calls nothing destroyed while the disk refuses to cut its write-ahead log",
    async () => {
      const records = Array.from({ length: 600 }, () => newRecord());
      const refs = await stored(...records);
      const [ref, record] = [refs.at(-1), records.at(-1)];
      if (!ref || !record) throw new Error("nothing was stored");
      const added = { ref: newRef(), record: newRecord() };
      expect(await shredWithSmallFiles(ref, added)).toStrictEqual({
        put: "fulfilled",
        shred: "StoreUnavailable",
        isReadable: false,
        again: "StoreUnavailable",
        logIsCut: false,
        retried: "fulfilled",
        logIsCutThen: true,
      });
      await using store = open();
      expect(await store.get(ref)).toBe(null);
      expect((await store.get(added.ref))?.record.tag).toStrictEqual(added.record.tag);
      expect(holds(record, directory)).toBe(false);
    },
  );

  it("belongs to one deployment", async () => {
    await stored(newRecord());
    const other = () => openSqliteSecretStore({ file, deploymentId: randomUUID() });
    expect(other).toThrow(StoreUnavailable);
    expect(other).toThrow(file);
  });

  it("lets nobody remove a slot, which would leave its bytes in the file", async () => {
    await stored(newRecord());
    expect(() => meddle("DELETE FROM slots_512")).toThrow("never removed");
    expect(() =>
      meddle("INSERT OR REPLACE INTO slots_512 VALUES (1, 0, zeroblob(512))"),
    ).not.toThrow();
  });

  it("tells whether it holds anything", async () => {
    {
      await using store = open();
      expect(store.isEmpty()).toBe(true);
      const ref = newRef();
      await store.put(ref, newRecord());
      expect(store.isEmpty()).toBe(false);
      await store.shred(ref);
      expect(store.isEmpty()).toBe(true);
    }
    await stored(newRecord());
    await using store = open();
    expect(store.isEmpty()).toBe(false);
  });

  it("takes no record that is too large, and fails nobody else for it", async () => {
    await using store = open();
    const [ref, neighbour] = [newRef(), newRef()];
    const race = await Promise.allSettled([
      store.put(ref, newRecord(20_480)),
      store.put(neighbour, newRecord()),
    ]);
    expect(race.map(({ status }) => status)).toStrictEqual(["rejected", "fulfilled"]);
    expect(await store.get(ref)).toBe(null);
  });
});

describe("A damaged record", () => {
  it.for([100, 3_000, 16_384])(
    "with %i bytes of ciphertext is told, and others are not affected",
    async (length) => {
      const [bad, good] = [newRecord(length), newRecord(length)];
      const [ref, neighbour] = await stored(bad, good);
      flipBit(bad);
      await using store = open();
      if (!ref || !neighbour) throw new Error("nothing was stored");
      await expect(store.get(ref)).rejects.toBeInstanceOf(Corrupted);
      expect((await store.get(neighbour))?.record.tag).toStrictEqual(good.tag);

      const { version } = (await store.get(neighbour)) ?? { version: "" };
      const race = await Promise.allSettled([
        store.replace(ref, newRecord(), "1"),
        store.replace(neighbour, newRecord(), version),
        store.put(newRef(), newRecord()),
      ]);
      expect(race.map(({ status }) => status)).toStrictEqual([
        "rejected",
        "fulfilled",
        "fulfilled",
      ]);
      expect(race[0].status === "rejected" && race[0].reason).toBeInstanceOf(Corrupted);
    },
  );

  it("is listed as of 1970 and of KEK version 0, so that nobody overlooks it", async () => {
    const [bad, good] = [newRecord(), newRecord()];
    const [ref, neighbour] = await stored(bad, good);
    flipBit(bad);
    await using store = open();
    const { records } = await store.scan({ cursor: "", limit: 10 });
    expect(records).toHaveLength(2);
    expect(records).toContainEqual({
      ref,
      createdAt: "1970-01-01T00:00:00.000Z",
      kek: { id: "", version: 0 },
    });
    const { kekId: id, kekVersion: version } = good.wrappedDek;
    const { createdAt } = good;
    expect(records).toContainEqual({ ref: neighbour, createdAt, kek: { id, version } });
  });

  it("can be shredded", async () => {
    const bad = newRecord();
    const [ref] = await stored(bad);
    flipBit(bad);
    await using store = open();
    if (!ref) throw new Error("nothing was stored");
    await store.shred(ref);
    expect(await store.get(ref)).toBe(null);
    expect(store.isEmpty()).toBe(true);
  });

  it("is one that stands in the slot of another", async () => {
    const refs = await stored(newRecord(), newRecord());
    meddle("UPDATE records SET slot = 3 - slot");
    await using store = open();
    for (const ref of refs) await expect(store.get(ref)).rejects.toBeInstanceOf(Corrupted);
  });

  it("is one whose slot is not there, or of no size we know", async () => {
    const [ref] = await stored(newRecord());
    if (!ref) throw new Error("nothing was stored");
    for (const [size, slot] of [
      [512, 99],
      [4_096, 1],
      [513, 1],
    ] as const) {
      meddle("UPDATE records SET slot_size = ?, slot = ?", size, slot);
      await using store = open();
      await expect(store.get(ref)).rejects.toBeInstanceOf(Corrupted);
      expect((await store.scan({ cursor: "", limit: 1 })).records).toHaveLength(1);
    }
  });

  it("is told without any of its bytes", async () => {
    const bad = newRecord();
    const [ref] = await stored(bad);
    flipBit(bad);
    await using store = open();
    if (!ref) throw new Error("nothing was stored");
    await expect(store.get(ref)).rejects.toThrow(
      `the secret record ${ref.owner} ${ref.keyId} ${ref.secretVersion} is damaged: its checksum is wrong`,
    );
  });
});
