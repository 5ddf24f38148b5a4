import { randomBytes, randomInt } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  AdminService,
  type AuditRecord,
  Feed,
  KeyringService,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
  Role,
} from "@keyledger/contracts";
import type { EnvelopeRecord, SecretRef } from "@keyledger/core";
import { canonicalJson, chained } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { checksumOf } from "../../packages/embedded/src/event-row.ts";
import { brokenLinks, readFeed } from "../support/audit-feed.ts";
import { dice } from "../support/dice.ts";
import { failureOf, grpcClient } from "../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { patiently } from "../support/patiently.ts";
import { StoredSecrets } from "../support/stored-secrets.ts";

const SEED = Number(process.env.KEYLEDGER_TEST_SEED ?? randomInt(2 ** 31));
const owners = ["a", "b"].map((id) => ({ kind: OwnerKind.TEAM, id: `tamper-${id}` }));

interface Planted {
  readonly keyId: string;
  readonly owner: (typeof owners)[number];
  readonly model: string;
  readonly material: string;
}

/** A key that a question about its model, and no other, resolves. */
async function plant(
  keyring: ReturnType<typeof grpcClient<typeof KeyringService>>,
  owner: Planted["owner"],
  model: string,
): Promise<Planted> {
  const material = `sk-tamper-${model}-${randomBytes(12).toString("hex")}`;
  const { key } = await keyring.createKey({
    owner,
    provider: "openai",
    secret: Buffer.from(material),
    allowedModels: { values: [model] },
  });
  return { keyId: key?.keyId ?? "", owner, model, material };
}

/** The material, or the reason why there is none. */
async function resolve(
  resolver: ReturnType<typeof grpcClient<typeof ResolveService>>,
  { owner, model }: Pick<Planted, "owner" | "model">,
): Promise<string> {
  const policy = ResolvePolicy.OWN_KEYS_FIRST;
  const question = { owner, provider: "openai", policy, model, skipKeyIds: ["platform"] };
  return patiently(() => resolver.resolve(question)).then(
    ({ material }) => Buffer.from(material).toString("utf8"),
    (error: unknown) => failureOf(error).reason,
  );
}

const flipped = (bytes: Uint8Array, bit: number): Uint8Array => {
  const copy = Uint8Array.from(bytes);
  copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  return copy;
};

/** What a forger may do to one key's record, given the record of another one. */
type Forgery = (stored: StoredSecrets, own: SecretRef, other: SecretRef) => void;

/** Rewrites a record with a checksum that is right: only the seal can tell. */
const withRecord =
  (change: (record: EnvelopeRecord, other: EnvelopeRecord) => EnvelopeRecord): Forgery =>
  (stored, own, other) => {
    const versioned = stored.record(own);
    const record = change(versioned.record, stored.record(other).record);
    stored.writeRecord(own, { ...versioned, record });
  };

const PARTS = ["ciphertext", "tag", "iv", "contextSha256"] as const;

const forgeries: Readonly<Record<string, Forgery>> = {
  ...Object.fromEntries(
    PARTS.flatMap((part) =>
      [0, 7, 64].map((bit): [string, Forgery] => [
        `bit ${bit} of the ${part} flipped`,
        withRecord((record) => ({ ...record, [part]: flipped(record[part], bit) })),
      ]),
    ),
  ),
  ...Object.fromEntries(
    [0, 1, 4, 8, 12, 15].map((length): [string, Forgery] => [
      `a tag of ${length} bytes`,
      withRecord((record) => ({ ...record, tag: record.tag.slice(0, length) })),
    ]),
  ),
  "a bit of the wrapped data key flipped": withRecord((record) => ({
    ...record,
    wrappedDek: { ...record.wrappedDek, bytes: flipped(record.wrappedDek.bytes, 100) },
  })),
  "a KEK version that never was": withRecord((record) => ({
    ...record,
    wrappedDek: { ...record.wrappedDek, kekVersion: 2 },
  })),
  "another KEK's name": withRecord((record) => ({
    ...record,
    wrappedDek: { ...record.wrappedDek, kekId: "018f0000-0000-7000-8000-000000000000" },
  })),
  "another provider's name": withRecord((record) => ({ ...record, provider: "anthropic" })),
  "the whole record of another key": withRecord((_record, other) => other),
  "the sealed material of another key": withRecord((record, { ciphertext, iv, tag }) => ({
    ...record,
    ciphertext,
    iv,
    tag,
  })),
  "the data key of another key": withRecord((record, { wrappedDek }) => ({
    ...record,
    wrappedDek,
  })),
  "no record": (stored, own) => stored.remove(own),
  "a slot of zeros": (stored, own) => stored.writeSlot(own, Buffer.alloc(stored.slot(own).length)),
};

describe("a store of secrets that somebody edited", () => {
  it("gives out nothing that was touched, and everything that was not", async () => {
    await using directory = await temporaryDirectory();
    const chance = dice(SEED);
    const names = Object.keys(forgeries);
    const bitFlips = 40;
    const [one, two] = owners;
    if (!one || !two) throw new Error("there are two owners");

    const planted = new Map<string, Planted>();
    let older: { readonly of: SecretRef; readonly slot: Buffer };
    const stopped = async <T>(act: (stored: StoredSecrets) => T): Promise<T> => {
      using stored = new StoredSecrets(join(directory.path, "data"));
      return act(stored);
    };
    {
      await using keyledger = await startKeyledger(directory.path);
      const { grpc, keys } = keyledger;
      using keyring = grpcClient(KeyringService, grpc, { key: keys.operator_key });
      const all = [
        ...names,
        ...Array.from({ length: bitFlips }, (_, at) => `flip-${at}`),
        ...["swapped-1", "swapped-2", "traded-1", "traded-2", "rolled-back", "sound-1"],
      ];
      for (const [at, name] of all.entries())
        planted.set(name, await plant(keyring, at % 2 === 0 ? one : two, `m-${at}`));
      planted.set("sound-2", await plant(keyring, two, "m-sound"));
      await keyledger.end();
    }
    const refOf = (stored: StoredSecrets, name: string): SecretRef =>
      stored.find(planted.get(name)?.keyId ?? "");

    // An older version of a key, kept by somebody before it was rotated.
    older = await stopped((stored) => {
      const of = refOf(stored, "rolled-back");
      return { of, slot: stored.slot(of) };
    });
    {
      await using keyledger = await startKeyledger(directory.path);
      const { grpc, keys } = keyledger;
      using keyring = grpcClient(KeyringService, grpc, { key: keys.operator_key });
      const { owner, keyId } = planted.get("rolled-back") ?? { owner: one, keyId: "" };
      await keyring.updateKey({ owner, keyId, secret: Buffer.from("sk-the-newer-material") });
      await keyledger.end();
    }

    await stopped((stored) => {
      for (const [name, forge] of Object.entries(forgeries))
        forge(stored, refOf(stored, name), refOf(stored, "sound-1"));
      for (let at = 0; at < bitFlips; at++) {
        // Anywhere in what is used of the slot, without a new checksum.
        const reference = refOf(stored, `flip-${at}`);
        const slot = stored.slot(reference);
        const used = slot.findLastIndex((byte) => byte !== 0) + 1;
        stored.writeSlot(reference, flipped(slot, chance.below(used * 8)));
      }
      // Two owners' records, each in the place of the other: once the slots, once the records under a right name.
      stored.exchangeSlots(refOf(stored, "swapped-1"), refOf(stored, "swapped-2"));
      const [first, second] = [refOf(stored, "traded-1"), refOf(stored, "traded-2")];
      const [mine, yours] = [stored.record(first), stored.record(second)];
      stored.writeRecord(first, yours);
      stored.writeRecord(second, mine);
      const rolled = refOf(stored, "rolled-back");
      expect(rolled.secretVersion).not.toBe(older.of.secretVersion);
      const kept = StoredSecrets.decode(older.of, older.slot);
      stored.writeRecord(rolled, { ...stored.record(rolled), record: kept.record });
    });

    await using keyledger = await startKeyledger(directory.path);
    const { grpc, keys } = keyledger;
    using resolver = grpcClient(ResolveService, grpc, { key: keys.service_key });
    const answers: Record<string, string> = {};
    for (const [name, key] of planted) answers[name] = await resolve(resolver, key);
    const refused = Object.fromEntries(
      [...planted.keys()]
        .filter((name) => !name.startsWith("sound"))
        .map((name) => [name, "UNDECRYPTABLE"]),
    );
    const sound = Object.fromEntries(
      ["sound-1", "sound-2"].map((name) => [name, planted.get(name)?.material]),
    );
    expect(answers).toStrictEqual({ ...refused, ...sound });

    // Nobody got anything, everybody who asked is on record, and the operator is told.
    using admin = grpcClient(AdminService, grpc, { key: keys.operator_key });
    const auditor = await admin.issueApiKey({ role: Role.AUDITOR, label: "tamper test" });
    const accesses = async () =>
      (await readFeed(grpc, Buffer.from(auditor.text).toString(), Feed.ACCESS)).records;
    const keysOf = (records: readonly AuditRecord[], type: string, reason: RegExp) => {
      const data = records
        .filter((record) => record.type === type)
        .map((r) => JSON.parse(r.dataJson));
      return new Set(data.flatMap((access) => (reason.test(access.reason) ? access.keyId : [])));
    };
    // A refusal does not wait for its record.
    await expect
      .poll(async () => keysOf(await accesses(), "AccessRefused", /^undecryptable$/).size)
      .toBe(Object.keys(refused).length);
    const records = await accesses();
    expect(keysOf(records, "AccessGranted", /./).size).toBe(2);
    expect(brokenLinks(records)).toStrictEqual([]);
    const alarms = keyledger.output().match(/"event":"call-failed".*"reason":"UNDECRYPTABLE"/g);
    expect(alarms).toHaveLength(Object.keys(refused).length);
    for (const { material } of planted.values()) expect(keyledger.output()).not.toContain(material);

    // Storing such a key again heals it.
    using keyring = grpcClient(KeyringService, grpc, { key: keys.operator_key });
    const healed = planted.get("no record");
    if (!healed) throw new Error("there was such a key");
    const secret = Buffer.from("sk-stored-once-more-0123");
    await keyring.updateKey({ owner: healed.owner, keyId: healed.keyId, secret });
    expect(await resolve(resolver, healed)).toBe(secret.toString());
    console.log(
      `tamper: ${Object.keys(refused).length} forged or damaged records refused (seed ${SEED}), 2 sound ones released, 1 healed`,
    );
  }, 60_000);
});

/** The event log of a stopped process, under the hands of somebody with the rights of a database administrator. */
class StoredEvents implements Disposable {
  readonly #database: DatabaseSync;
  readonly #triggers: readonly Record<string, unknown>[];

  constructor(directory: string) {
    this.#database = new DatabaseSync(join(directory, "log.db"));
    this.#triggers = this.#database
      .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
      .all();
    for (const { name } of this.#triggers) this.#database.exec(`DROP TRIGGER "${String(name)}"`);
  }

  /** Leaves no trace of what stood in the way. */
  cover(): void {
    for (const { sql } of this.#triggers) this.#database.exec(String(sql));
  }

  /** Another text for the data of an event, with the checksum that belongs to it. */
  rewrite(position: number, change: (row: EventText) => EventText): void {
    const row = this.#row(position);
    const { data, metadata } = change({ data: String(row.data), metadata: String(row.metadata) });
    const id = uuidOf(row.event_id);
    const event = { id, type: String(row.type), data, metadata };
    const checksum = checksumOf(String(row.name), Number(row.revision), event);
    this.#database
      .prepare("UPDATE events SET data = ?, metadata = ?, checksum = ? WHERE position = ?")
      .run(data, metadata, checksum, position);
  }

  #row(position: number) {
    const row = this.#database
      .prepare(
        "SELECT e.*, s.name FROM events e JOIN streams s ON s.id = e.stream_id WHERE position = ?",
      )
      .get(position);
    if (!row) throw new Error("there is no such event");
    return row;
  }

  place(position: number): {
    readonly stream: string;
    readonly revision: number;
    readonly id: string;
    readonly type: string;
  } {
    const row = this.#row(position);
    return {
      stream: String(row.name),
      revision: Number(row.revision),
      id: uuidOf(row.event_id),
      type: String(row.type),
    };
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

interface EventText {
  readonly data: string;
  readonly metadata: string;
}

const uuidOf = (bytes: unknown): string =>
  Buffer.from(bytes as Uint8Array)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");

const positionNumber = (position: string): number => Number.parseInt(position.slice(-16), 16);

describe("an event log that somebody edited", () => {
  /** A stopped deployment with a short history, and its feed as an auditor read it. */
  async function history(directory: string) {
    await using keyledger = await startKeyledger(directory);
    const { grpc, keys } = keyledger;
    using keyring = grpcClient(KeyringService, grpc, { key: keys.team_key });
    for (const text of ["first", "second", "third"])
      await keyring.upsertKey({ provider: "openai", secret: Buffer.from(`sk-${text}-0123456789`) });
    await expect
      .poll(async () => (await feedOf(keyledger)).length, { timeout: 5_000 })
      .toBeGreaterThanOrEqual(5);
    const records = await feedOf(keyledger);
    expect(brokenLinks(records)).toStrictEqual([]);
    await keyledger.end();
    return { records, data: keyledger.dataDirectory };
  }

  const feedOf = async ({ grpc, keys }: KeyledgerProcess) =>
    (await readFeed(grpc, keys.team_key, Feed.CHANGES)).records;

  it("shows in the chain of the audit feed where it was edited, although every checksum is right", async () => {
    await using directory = await temporaryDirectory();
    const { records, data } = await history(directory.path);
    const target = records.find(({ type }) => type === "KeyRotated");
    if (!target) throw new Error("there was a rotation");
    const position = positionNumber(target.position);
    const place = `${target.stream}@${target.revision}`;
    {
      using events = new StoredEvents(data);
      events.rewrite(position, ({ data, metadata }) => ({
        data: data.replace(/"label":"[^"]*"/, '"label":"sk-...evil"'),
        metadata,
      }));
      await expect(startKeyledger(directory.path)).rejects.toThrow(
        `${join(data, "log.db")}: its tables, indexes or triggers were altered`,
      );
      events.cover();
    }
    {
      await using keyledger = await startKeyledger(directory.path);
      const now = await feedOf(keyledger);
      expect(now.find((record) => record.position === target.position)?.dataJson).toContain("evil");
      expect(brokenLinks(now)).toStrictEqual([`${place} was altered`]);
      await keyledger.end();
    }

    // With a hash of its own made anew the event is whole, and the next one no longer follows it.
    {
      using events = new StoredEvents(data);
      const { crypto } = nodeHost();
      events.rewrite(position, ({ data, metadata }) => {
        const { hash: _hash, prevHash, ...rest } = JSON.parse(metadata);
        const event = { ...events.place(position), data, metadata: rest };
        return { data, metadata: canonicalJson(chained(crypto, prevHash, event)) };
      });
      events.cover();
    }
    await using keyledger = await startKeyledger(directory.path);
    const next = `${target.stream}@${Number(target.revision) + 1}`;
    expect(brokenLinks(await feedOf(keyledger))).toStrictEqual([
      `${next} is not linked to the event before it`,
    ]);
    await keyledger.end();
    console.log(`tamper: an edited event found at ${place}, a rehashed one at ${next}`);
  });

  it("is not read where its bytes are not what was written", async () => {
    await using directory = await temporaryDirectory();
    const { records, data } = await history(directory.path);
    const file = join(data, "log.db");
    const bytes = readFileSync(file);
    const label = Buffer.from('"label":"sk-...6789"');
    const at = bytes.lastIndexOf(label);
    expect(at).toBeGreaterThan(0);
    bytes.write("evil", at + label.length - 5);
    writeFileSync(file, bytes);

    await using keyledger = await startKeyledger(directory.path);
    const reading = feedOf(keyledger).then(
      () => "read",
      (error: unknown) => failureOf(error).reason,
    );
    expect(await reading).toBe("CORRUPTED");
    expect(keyledger.output()).not.toContain("evil");
    expect(records.length).toBeGreaterThan(0);
    await keyledger.end();
  });
});
