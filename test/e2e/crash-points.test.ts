import {
  type AuditRecord,
  Feed,
  KeyringService,
  Mode,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
} from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { brokenLinks, readFeed } from "../support/audit-feed.ts";
import { failing, grpcClient } from "../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { patiently } from "../support/patiently.ts";
import { KILL, type SourceEdit, withSourceEdits } from "../support/source-edits.ts";
import { copyOf, StoredSecrets } from "../support/stored-secrets.ts";

const OPENAI = { provider: "openai" };
const OLD = "sk-the-material-that-was-first";
const NEW = "sk-the-material-that-came-next";
const SKIP_PLATFORM = { policy: ResolvePolicy.OWN_KEYS_FIRST, skipKeyIds: ["platform"] };

/** What the tests ask of a process, whichever of its lives it is in. */
function clientsOf({ grpc, keys }: KeyledgerProcess) {
  const keyring = grpcClient(KeyringService, grpc, { key: keys.team_key });
  const resolver = grpcClient(ResolveService, grpc, { key: keys.service_key });
  return {
    upsert: (requestId: string, secret: string) =>
      keyring.upsertKey({ ...OPENAI, requestId, secret: Buffer.from(secret) }),
    remove: (requestId: string) =>
      keyring.deleteKey({
        requestId,
        target: { case: "soleKeyOfProvider", value: OPENAI.provider },
      }),
    setByok: () => keyring.setMode({ mode: Mode.BYOK }),
    mode: () => keyring.getMode({}),
    list: async () => (await keyring.listKeys({})).keys,
    async resolve() {
      const owner = { kind: OwnerKind.TEAM, id: "default" };
      const question = { ...OPENAI, ...SKIP_PLATFORM, owner };
      const { material } = await patiently(() => resolver.resolve(question));
      return Buffer.from(material).toString("utf8");
    },
    [Symbol.dispose]: () => {
      for (const client of [keyring, resolver]) client[Symbol.dispose]();
    },
  };
}

type Clients = ReturnType<typeof clientsOf>;

/** What happened to the team's keyring; the caller key of the team is another story. */
const changesOf = async ({ grpc, keys }: KeyledgerProcess): Promise<readonly AuditRecord[]> =>
  (await readFeed(grpc, keys.team_key, Feed.CHANGES)).records.filter(({ stream }) =>
    stream.startsWith("keyring-"),
  );
const accessesOf = async ({ grpc, keys }: KeyledgerProcess): Promise<readonly AuditRecord[]> =>
  (await readFeed(grpc, keys.team_key, Feed.ACCESS)).records;
const typesOf = (records: readonly AuditRecord[]) => records.map(({ type }) => type);

/** Runs a process that is built to die at one place, until it did. */
async function dieAt(
  directory: string,
  edit: Omit<SourceEdit, "replace"> & { readonly replace?: string },
  act: (clients: Clients) => Promise<unknown>,
): Promise<void> {
  const replace = edit.replace ?? `${edit.find}\n${KILL}`;
  const env = withSourceEdits({ ...edit, replace });
  await using keyledger = await startKeyledger(directory, ["--probe=off"], { env });
  using clients = clientsOf(keyledger);
  // Nobody answers: gRPC's UNAVAILABLE, without a reason of ours.
  expect(await failing(act(clients))).toMatchObject({ code: 14, reason: "" });
  expect(await keyledger.ended).toStrictEqual({ code: null, signal: "SIGKILL" });
}

/** A whole life of an honest process. */
async function live<T>(
  directory: string,
  act: (clients: Clients, keyledger: KeyledgerProcess) => Promise<T>,
  env: Readonly<Record<string, string>> = {},
): Promise<T> {
  await using keyledger = await startKeyledger(directory, ["--probe=off"], { env });
  using clients = clientsOf(keyledger);
  const result = await act(clients, keyledger);
  expect(brokenLinks(await changesOf(keyledger))).toStrictEqual([]);
  expect(await keyledger.end()).toStrictEqual({ code: 0, signal: null });
  return result;
}

/** Key and version of every record in the store of secrets. */
function stored(dataDirectory: string): readonly string[] {
  using copy = copyOf(dataDirectory);
  using secrets = new StoredSecrets(copy.path);
  return secrets.references().map(({ secretVersion }) => secretVersion);
}

const COMMAND = "packages/core/src/application/handle-command.ts";

/** Material is to be destroyed, whatever ended its version. */
const BEFORE_WIPE = {
  file: "packages/core/src/application/shred.ts",
  find: "if (refs.length === 0) return false;",
};

describe("a crash", () => {
  it("between sealing and appending leaves a record that nobody can resolve, until it is collected", async () => {
    await using directory = await temporaryDirectory();
    const afterPut = { file: COMMAND, find: "await request.stage?.put(events);" };
    await dieAt(directory.path, afterPut, ({ upsert }) => upsert("r-1", OLD));

    const first = await live(directory.path, async ({ list, resolve, upsert }, keyledger) => {
      expect(await list()).toStrictEqual([]);
      expect(await failing(resolve())).toMatchObject({ reason: "NO_KEY" });
      expect(stored(keyledger.dataDirectory)).toHaveLength(1);
      const { key } = await upsert("r-1", OLD);
      expect(await resolve()).toBe(OLD);
      expect(typesOf(await changesOf(keyledger))).toStrictEqual(["KeyAdded"]);
      return key?.secretVersion ?? "";
    });

    // What is called staged for 15 minutes is so for no time at all here, and nobody waits a minute to look.
    const file = "packages/core/src/application/collect.ts";
    const impatient = withSourceEdits(
      { file, find: "const STAGED_AGE_S = 15 * 60;", replace: "const STAGED_AGE_S = -1;" },
      { file, find: "const COLLECT_EVERY_MS = 60_000;", replace: "const COLLECT_EVERY_MS = 50;" },
    );
    await live(
      directory.path,
      async ({ resolve }, { dataDirectory }) => {
        await expect.poll(() => stored(dataDirectory), { timeout: 5_000 }).toStrictEqual([first]);
        expect(await resolve()).toBe(OLD);
      },
      impatient,
    );
  });

  it("between appending and answering has happened, once: the repeat gets the answer of the first", async () => {
    await using directory = await temporaryDirectory();
    const afterAppend = {
      file: COMMAND,
      find: "const appended = await appendSurely({ log, host }, at, stored, signal);",
    };
    await dieAt(directory.path, afterAppend, ({ upsert }) => upsert("r-1", OLD));

    await live(directory.path, async ({ list, resolve, upsert }, keyledger) => {
      const [key] = await list();
      expect(await resolve()).toBe(OLD);
      const repeat = await upsert("r-1", OLD);
      expect(repeat.key).toStrictEqual(key);
      expect(repeat.revision).toBe(0n);
      expect((await failing(upsert("r-1", NEW))).reason).toBe("IDEMPOTENCY_KEY_REUSED");
      const [added, ...more] = await changesOf(keyledger);
      expect(more).toStrictEqual([]);
      expect(added).toMatchObject({ type: "KeyAdded", position: repeat.position });
      expect(stored(keyledger.dataDirectory)).toStrictEqual([key?.secretVersion]);
    });
  });

  it("before the views show an event delays nobody: the next start shows it", async () => {
    await using directory = await temporaryDirectory();
    const find = "models.commit(changesOf(item.events, models), item.next);";
    await live(directory.path, ({ upsert }) => upsert("r-1", OLD));
    await dieAt(
      directory.path,
      { file: "packages/core/src/application/project.ts", find, replace: `${KILL}${find}` },
      ({ upsert }) => upsert("r-2", NEW),
    );
    await live(directory.path, async ({ list, resolve }) => {
      expect(await list()).toHaveLength(1);
      expect(await resolve()).toBe(NEW);
    });
  });

  it("between a deletion's append and its wipe is finished by the next start, and the mode fell back in the same append", async () => {
    await using directory = await temporaryDirectory();
    await live(directory.path, async ({ upsert, setByok, resolve }) => {
      await upsert("r-1", OLD);
      await setByok();
      expect(await resolve()).toBe(OLD);
    });
    await dieAt(directory.path, BEFORE_WIPE, ({ remove }) => remove("r-2"));

    await live(directory.path, async ({ mode, resolve, remove }, keyledger) => {
      expect((await failing(resolve())).reason).toBe("NO_KEY");
      expect(await mode()).toMatchObject({ mode: Mode.NEO, configuredKeys: 0 });
      await expect
        .poll(async () => typesOf(await changesOf(keyledger)), { timeout: 5_000 })
        .toStrictEqual(["KeyAdded", "ModeSet", "KeyDeleted", "ModeSet", "SecretShredded"]);
      expect(stored(keyledger.dataDirectory)).toStrictEqual([]);
      expect(await remove("r-2")).toMatchObject({ autoSwitched: true, remainingKeys: 0 });
      expect(typesOf(await changesOf(keyledger))).toHaveLength(5);
    });
  });

  it("between a wipe and its evidence leaves one piece of evidence all the same", async () => {
    await using directory = await temporaryDirectory();
    await live(directory.path, ({ upsert }) => upsert("r-1", OLD));
    const afterWipe = {
      file: "packages/core/src/application/reap.ts",
      find: "await secrets.shred({ owner: ownerName(owner), keyId, secretVersion });",
    };
    // The answer and the reaper's wipe race: the process dies in either case.
    const env = withSourceEdits({ ...afterWipe, replace: `${afterWipe.find}${KILL}` });
    await using dying = await startKeyledger(directory.path, ["--probe=off"], { env });
    using doomed = clientsOf(dying);
    await doomed.remove("r-2").catch(() => {});
    expect(await dying.ended).toStrictEqual({ code: null, signal: "SIGKILL" });
    expect(stored(dying.dataDirectory)).toStrictEqual([]);

    await live(directory.path, async ({ list }, keyledger) => {
      expect(await list()).toStrictEqual([]);
      await expect
        .poll(async () => typesOf(await changesOf(keyledger)), { timeout: 5_000 })
        .toStrictEqual(["KeyAdded", "KeyDeleted", "SecretShredded"]);
    });
  });

  it("between a rotation's append and the wipe of the old material leaves the new material alone", async () => {
    await using directory = await temporaryDirectory();
    await live(directory.path, ({ upsert }) => upsert("r-1", OLD));
    await dieAt(directory.path, BEFORE_WIPE, ({ upsert }) => upsert("r-2", NEW));

    await live(directory.path, async ({ list, resolve }, keyledger) => {
      expect(await resolve()).toBe(NEW);
      await expect
        .poll(async () => typesOf(await changesOf(keyledger)), { timeout: 5_000 })
        .toStrictEqual(["KeyAdded", "KeyRotated", "SecretShredded"]);
      const [key] = await list();
      expect(stored(keyledger.dataDirectory)).toStrictEqual([key?.secretVersion]);
    });
  });

  it("before the access record releases nothing and records nothing; after it, nothing and a record", async () => {
    await using directory = await temporaryDirectory();
    const file = "packages/core/src/application/resolve-key.ts";
    const before = "const leaseSeconds = leaseOf(selection, host);";
    const after = 'if (rejection || !("chosen" in selection)) {';
    await live(directory.path, ({ upsert }) => upsert("r-1", OLD));

    const beforeRecord = { file, find: before, replace: `${KILL}${before}` };
    await dieAt(directory.path, beforeRecord, ({ resolve }) => resolve());
    await live(directory.path, async (_clients, keyledger) => {
      expect(await accessesOf(keyledger)).toStrictEqual([]);
    });

    await dieAt(directory.path, { file, find: after, replace: `${KILL}${after}` }, ({ resolve }) =>
      resolve(),
    );
    await live(directory.path, async ({ resolve }, keyledger) => {
      expect(await resolve()).toBe(OLD);
      const records = await accessesOf(keyledger);
      expect(records.length).toBeGreaterThanOrEqual(2);
      expect(new Set(typesOf(records))).toStrictEqual(new Set(["AccessGranted"]));
      expect(brokenLinks(records)).toStrictEqual([]);
    });
  });
});

describe("a process that is edited where its source reads otherwise", () => {
  it("does not start, so that no crash test can pass without its crash", async () => {
    await using directory = await temporaryDirectory();
    const env = withSourceEdits({ file: COMMAND, find: "no such line", replace: "" });
    await expect(startKeyledger(directory.path, [], { env })).rejects.toThrow(
      "handle-command.ts does not hold exactly once: no such line",
    );
  });
});
