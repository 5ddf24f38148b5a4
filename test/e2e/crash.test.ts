import { randomInt } from "node:crypto";
import { AdminService, Feed, Mode, Role } from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { readFeed } from "../support/audit-feed.ts";
import {
  type Clients,
  type CrashKeys,
  clientsOf,
  Door,
  type Load,
  MARK,
  ownerFrom,
  PROVIDERS,
  resolveOnce,
  runFollower,
  runObserver,
  runResolver,
  runWriter,
} from "../support/crash-clients.ts";
import { type Dice, dice } from "../support/dice.ts";
import { failureOf, grpcClient } from "../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  launchKeyledger,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { LedgerOfAcks } from "../support/ledger-of-acks.ts";
import { patiently } from "../support/patiently.ts";
import { filesBelow, StoredSecrets } from "../support/stored-secrets.ts";

const KILLS = Number(process.env.KEYLEDGER_TEST_KILLS ?? 50);
const SEED = Number(process.env.KEYLEDGER_TEST_SEED ?? randomInt(2 ** 31));
const WRITERS = 8;
/** The longest life under load, in milliseconds. Short ones are as likely as long ones. */
const LIFE_MS = 900;

const SHARED = ["team.shared-1", "team.shared-2", "team.shared-3"] as const;
const OWN = Array.from({ length: WRITERS }, (_, at) => `team.own-${at}`);
const OWNERS = [...SHARED, ...OWN];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

describe(`a process that is killed ${KILLS} times under ${WRITERS} writers`, () => {
  it("loses nothing it acknowledged, undoes no deletion and leaves no half effect", {
    timeout: 30_000 + KILLS * 6_000,
  }, async () => {
    const chance = dice(SEED);
    const startedAtMs = performance.now();
    await using directory = await temporaryDirectory();
    const ledger = new LedgerOfAcks();
    const door = new Door();
    let isOver = false;
    const figures = { attempts: 0, unanswered: 0, unexpected: [] as string[] };
    const load: Load = { door, ledger, figures, isOver: () => isOver };

    let process = await startKeyledger(directory.path);
    // Where the test fails, nobody is left behind: not the process, and no client that asks it again.
    await using _end = {
      [Symbol.asyncDispose]: async () => {
        isOver = true;
        door.close();
        await process.end("SIGKILL");
      },
    };
    const keys = await crashKeys(process);
    const read = { after: "" };
    let committedUnanswered = 0;
    let slowestStartMs = 0;
    let killedStarts = 0;

    const working = [
      ...OWN.map((own, at) => runWriter(load, [own, ...SHARED], dice(SEED + 1 + at))),
      runResolver(load, OWNERS, dice(SEED + 100)),
      runResolver(load, OWNERS, dice(SEED + 101)),
      runObserver(load, OWNERS, dice(SEED + 102)),
    ];
    const following = runFollower(load);

    for (let kill = 0; kill < KILLS; kill++) {
      {
        using clients = clientsOf(process.grpc, keys);
        door.open(clients);
        await pause(chance.roll() * LIFE_MS);
        await process.end("SIGKILL");
        door.close();
      }
      if (chance.chance(0.15)) {
        await killWhileStarting(directory.path, chance);
        killedStarts++;
      }
      const startedAt = performance.now();
      process = await startKeyledger(directory.path);
      slowestStartMs = Math.max(slowestStartMs, performance.now() - startedAt);

      const open = [...ledger.writes.values()].filter(({ outcome }) => outcome.kind === "unknown");
      using clients = clientsOf(process.grpc, keys);
      const effectsOf = () => open.filter(({ requestId }) => ledger.hasEffect(requestId)).length;
      const before = effectsOf();
      await inspect(process, keys, clients, ledger, read);
      committedUnanswered += effectsOf() - before;
      expect(ledger.violations(), `after kill ${kill + 1} of seed ${SEED}`).toStrictEqual([]);
      expect(figures.unexpected, `after kill ${kill + 1} of seed ${SEED}`).toStrictEqual([]);
    }

    using clients = clientsOf(process.grpc, keys);
    door.open(clients);
    await pause(200);
    isOver = true;
    await Promise.all(working);
    const followed = await following;

    using admin = grpcClient(AdminService, process.grpc, { key: keys.operator });
    await expect
      .poll(async () => (await admin.getStatus({})).shredBacklog, { timeout: 20_000 })
      .toBe(0);
    await inspect(process, keys, clients, ledger, read);
    ledger.retakeChanges((await readFeed(process.grpc, keys.auditor, Feed.CHANGES)).records);
    ledger.takeAccess((await readFeed(process.grpc, keys.auditor, Feed.ACCESS)).records);
    expect(ledger.violations(), `seed ${SEED}`).toStrictEqual([]);
    expect(figures.unexpected, `seed ${SEED}`).toStrictEqual([]);
    expect(ledger.unrecordedReleases()).toStrictEqual([]);
    expect(ledger.missingEvidence()).toStrictEqual([]);
    expect(ledger.positions.slice(0, followed.length)).toStrictEqual(followed);
    expect(await process.end("SIGTERM")).toStrictEqual({ code: 0, signal: null });

    const { live, dead } = ledger.versions();
    const stored = storedVersions(process.dataDirectory);
    expect([...live].filter((version) => !stored.has(version))).toStrictEqual([]);
    expect([...dead].filter((version) => stored.has(version))).toStrictEqual([]);
    const shown = [...filesBelow(process.dataDirectory)].filter(([, bytes]) =>
      bytes.includes(MARK),
    );
    expect(shown.map(([name]) => name)).toStrictEqual([]);

    const outcomes = [...ledger.writes.values()].map(({ outcome }) => outcome.kind);
    const count = (kind: string) => outcomes.filter((outcome) => outcome === kind).length;
    expect(count("unknown")).toBe(0);
    expect(count("acknowledged")).toBeGreaterThan(KILLS);
    expect(figures.unanswered).toBeGreaterThan(0);
    const seconds = ((performance.now() - startedAtMs) / 1_000).toFixed(1);
    console.log(
      `crash: ${KILLS} kills under load and ${killedStarts} while starting in ${seconds} s (seed ${SEED}, ` +
        `KEYLEDGER_TEST_SEED repeats its choices); ${outcomes.length} writes, ${count("acknowledged")} acknowledged, ` +
        `${count("refused")} refused by rule; ${figures.unanswered} of ${figures.attempts} attempts got no answer, ` +
        `${committedUnanswered} writes were in the log before they were answered; ${ledger.releases.length} releases, all on record; ` +
        `${ledger.positions.length} events in ${ledger.streams} streams, ${dead.size} versions wiped, ${live.size} live, ` +
        `${stored.size - live.size} staged records left for the collector; slowest start ${slowestStartMs.toFixed(0)} ms`,
    );
  });
});

/** A caller for each part that the load plays. */
async function crashKeys({ grpc, keys }: KeyledgerProcess): Promise<CrashKeys> {
  using admin = grpcClient(AdminService, grpc, { key: keys.operator_key });
  const { text } = await admin.issueApiKey({ role: Role.AUDITOR, label: "crash test" });
  const auditor = Buffer.from(text).toString("utf8");
  return { operator: keys.operator_key, service: keys.service_key, auditor };
}

async function killWhileStarting(directory: string, chance: Dice): Promise<void> {
  const launched = launchKeyledger(directory, ["--probe=off"]);
  await pause(chance.roll() * 700);
  await launched.end("SIGKILL");
}

/** Nobody writes now: what the feed tells, what is listed and what can be resolved must be one. */
async function inspect(
  { grpc }: KeyledgerProcess,
  keys: CrashKeys,
  clients: Clients,
  ledger: LedgerOfAcks,
  read: { after: string },
): Promise<void> {
  const { records, next } = await readFeed(grpc, keys.auditor, Feed.CHANGES, read.after);
  read.after = next;
  ledger.takeChanges(records);
  for (const owner of OWNERS) await inspectOwner(clients, ledger, owner);
}

async function inspectOwner(clients: Clients, ledger: LedgerOfAcks, owner: string): Promise<void> {
  const { keys, mode } = ledger.keyring(owner);
  const shown = await clients.keyring.listKeys({ owner: ownerFrom(owner), limit: 500 });
  const listed = shown.keys.map(({ keyId, secretVersion, disabled }) => [
    keyId,
    { secretVersion, disabled },
  ]);
  const logged = [...keys].map(([keyId, { secretVersion, isDisabled }]) => [
    keyId,
    { secretVersion, disabled: isDisabled },
  ]);
  expect(Object.fromEntries(listed), owner).toStrictEqual(Object.fromEntries(logged));
  expect(shown.mode, owner).toBe(mode === "byok" ? Mode.BYOK : Mode.NEO);

  for (const provider of PROVIDERS) {
    const enabled = [...keys].filter(([, key]) => key.provider === provider && !key.isDisabled);
    const resolved: string[] = [];
    while (resolved.length < enabled.length) {
      const keyId = await patiently(() =>
        resolveOnce(clients, ledger, owner, provider, resolved),
      ).catch((error: unknown) => {
        throw new Error(`${owner} ${provider}: ${JSON.stringify(failureOf(error))}`);
      });
      if (keyId === undefined) break;
      resolved.push(keyId);
    }
    const expected = enabled.map(([keyId]) => keyId).toSorted();
    expect(resolved.toSorted(), `${owner} ${provider}`).toStrictEqual(expected);
  }
}

function storedVersions(dataDirectory: string): ReadonlySet<string> {
  using stored = new StoredSecrets(dataDirectory);
  return new Set(
    stored.references().map(({ keyId, secretVersion }) => `${keyId} ${secretVersion}`),
  );
}
