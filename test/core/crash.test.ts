import { describe, expect, it } from "vitest";
import { expectUnbrokenChain } from "./support/chain.ts";
import {
  accepted,
  callOf,
  create,
  eventsOf,
  newStorage,
  type Process,
  refsOf,
  refusal,
  resolve,
  secretOf,
  startProcess,
  team,
  textOf,
  typesOf,
  upsert,
} from "./support/deployment.ts";

const same = { stamp: { requestId: "the-one" } };

interface Scene {
  readonly title: string;
  readonly before: (process: Process) => Promise<unknown>;
  readonly command: (process: Process) => Promise<object>;
  /** Types of the events that the command appends: all of them or none. */
  readonly appends: readonly string[];
  /** What resolves after the command, and what before it. */
  readonly after: string | null;
  readonly otherwise: string | null;
}

const scenes: readonly Scene[] = [
  {
    title: "the first upsert",
    before: async () => {},
    command: (process) => upsert(process, "sk-new", same),
    appends: ["KeyAdded", "KeyProbed"],
    after: "sk-new",
    otherwise: null,
  },
  {
    title: "an upsert that rotates",
    before: (process) => upsert(process, "sk-old"),
    command: (process) => upsert(process, "sk-new", { ...same, name: "n" }),
    appends: ["KeyRotated", "KeyUpdated", "KeyProbed"],
    after: "sk-new",
    otherwise: "sk-old",
  },
  {
    title: "an update with a new secret",
    before: (process) => upsert(process, "sk-old"),
    command: (process) =>
      process.ledger.keys.updateKey(callOf(process, same), {
        keyId: refsOf(process.models.keyring(team))[0]?.keyId ?? "",
        secret: secretOf("sk-new"),
        changes: {},
      }),
    appends: ["KeyRotated", "KeyProbed"],
    after: "sk-new",
    otherwise: "sk-old",
  },
  {
    title: "the creation of a second key",
    before: (process) => upsert(process, "sk-old"),
    command: (process) => create(process, "sk-second", {}, same),
    appends: ["KeyAdded", "KeyProbed"],
    after: "sk-old",
    otherwise: "sk-old",
  },
  {
    title: "the deletion of the last key in mode byok",
    before: async (process) => {
      await upsert(process, "sk-old");
      await process.ledger.setMode(callOf(process), "byok");
    },
    command: (process) => process.ledger.deleteKey(callOf(process, same), { soleKeyOf: "openai" }),
    appends: ["KeyDeleted", "ModeSet"],
    after: null,
    otherwise: "sk-old",
  },
];

/** Runs a command in a process that dies once it has made so many calls to its stores. */
async function dieAfter(calls: number, { before, command }: Scene) {
  const storage = newStorage();
  const process = await startProcess({ storage });
  await before(process);
  const historyBefore = typesOf(storage);
  let made = 0;
  let die = (): void => {};
  const death = new Promise<"dead">((resolve) => {
    die = () => resolve("dead");
  });
  // The last call is still done, but nobody hears of it; after it nothing is done.
  const step = async (_method: string, proceed: () => Promise<unknown>): Promise<unknown> => {
    if (made >= calls) return new Promise(() => {});
    made++;
    const result = await proceed();
    if (made < calls) return result;
    die();
    return new Promise(() => {});
  };
  for (const port of [process.log, process.secrets, process.kek]) port.always(step);
  if (calls === 0) die();
  const end = await Promise.race([command(process), death]);
  const isAcknowledged = end !== "dead";
  return { storage, historyBefore, isAcknowledged };
}

async function reapAndCollect(process: Process): Promise<void> {
  const stop = new AbortController();
  const reaping = process.ledger.reaper.run(stop.signal);
  await expect.poll(() => process.models.pendingShredCount()).toBe(0);
  process.time.advance(15 * 60_000 + 1);
  await process.ledger.collector.collect(stop.signal);
  stop.abort();
  await reaping;
}

describe.for(scenes)("a crash during $title", (scene) => {
  it("leaves all of it or nothing, and no key without its secret, wherever it strikes", async () => {
    const ends = new Set<string>();
    for (let calls = 0; ; calls++) {
      const { storage, historyBefore, isAcknowledged } = await dieAfter(calls, scene);
      await using restarted = await startProcess({ storage });

      const appended = typesOf(storage).slice(historyBefore.length);
      const isDone = appended.length > 0;
      ends.add(isDone ? "done" : "undone");
      expect(appended).toStrictEqual(isDone ? scene.appends : []);
      if (isAcknowledged) expect(isDone).toBe(true);
      expectUnbrokenChain(eventsOf(storage));

      const expected = isDone ? scene.after : scene.otherwise;
      const answer = await resolve(restarted, { skip: new Set(["platform"]) });
      if (expected === null) expect(refusal(answer)).toMatchObject({ reason: "no-key" });
      else expect(textOf(accepted(answer).material)).toBe(expected);
      for (const ref of refsOf(restarted.models.keyring(team))) {
        expect(storage.secrets.has(ref)).toBe(true);
      }

      // The client, which heard nothing, asks again; the background finishes the rest.
      accepted(await scene.command(restarted));
      await reapAndCollect(restarted);
      const [first, ...others] = typesOf(storage)
        .slice(historyBefore.length)
        .filter((type) => type !== "SecretShredded");
      expect([first, ...others]).toStrictEqual(scene.appends);
      const view = restarted.models.keyring(team);
      for (const ref of refsOf(view)) expect(storage.secrets.has(ref)).toBe(true);
      expect(storage.secrets.records.size).toBe(view?.keys.size);
      const shredded = eventsOf(storage)
        .filter(({ type }) => type === "SecretShredded")
        .map(({ data }) => JSON.parse(data).secretVersion);
      expect(new Set(shredded).size).toBe(shredded.length);
      expectUnbrokenChain(eventsOf(storage));

      if (isAcknowledged) {
        expect(calls).toBeGreaterThanOrEqual(3);
        break;
      }
    }
    expect([...ends].toSorted()).toStrictEqual(["done", "undone"]);
  });
});
