import {
  Cancelled,
  createLedger,
  EventIdReused,
  keyringStream,
  OutcomeUnknown,
  StoreUnavailable,
  WrongExpectedRevision,
} from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { expectUnbrokenChain } from "./support/chain.ts";
import {
  accepted,
  callOf,
  create,
  deadline,
  eventsOf,
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
import { failAfter, failBefore, first, hang } from "./support/scripted.ts";

const elsewhere = new WrongExpectedRevision("s", 0, 1);

/** Every key must have its record, whose material opens; every other record would be an orphan. */
async function expectEveryKeyToOpen(process: Process): Promise<void> {
  const view = process.models.keyring(team);
  for (const ref of refsOf(view)) expect(process.storage.secrets.has(ref)).toBe(true);
  expect(process.storage.secrets.records.size).toBe(view?.keys.size ?? 0);
}

describe("64 writers on one owner", () => {
  const commands = (process: Process, nth: number) => {
    const { ledger } = process;
    switch (nth % 4) {
      case 0:
        return upsert(process, `sk-upsert-${nth}`);
      case 1:
        return create(process, `sk-create-${nth}`);
      case 2:
        return ledger.setMode(callOf(process), nth % 8 === 2 ? "byok" : "neo");
      default:
        return ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    }
  };
  const allowed = ["no-keys-for-byok", "other-keys-exist", "key-not-found"];

  it.for([1, 4, 8])("in %d processes all succeed or are refused by rule", async (count) => {
    const one = await startProcess();
    const { storage } = one;
    const processes = [one];
    while (processes.length < count) processes.push(await startProcess({ storage }));
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, nth) => commands(processes[nth % count] ?? one, nth)),
    );
    const refusals = answers.filter((answer) => "rejected" in answer).map(refusal);
    for (const { reason } of refusals as { reason: string }[]) expect(allowed).toContain(reason);
    expect(refusals.length).toBeLessThan(40);

    expectUnbrokenChain(eventsOf(storage));
    const stop = new AbortController();
    const reaping = one.ledger.reaper.run(stop.signal);
    await expect.poll(() => one.models.pendingShredCount()).toBe(0);
    await expectEveryKeyToOpen(one);
    stop.abort();
    await reaping;
    for (const process of processes) await process[Symbol.asyncDispose]();
  });

  it("in one process lose no race at all", async () => {
    await using process = await startProcess();
    await Promise.all(Array.from({ length: 64 }, (_, nth) => create(process, `sk-${nth}`)));
    expect(process.log.calls.filter((name) => name === "append")).toHaveLength(64);
    expect(process.models.keyring(team)?.keys.size).toBe(64);
    const orders = [...(process.models.keyring(team)?.keys.values() ?? [])].map(
      ({ sortOrder }) => sortOrder,
    );
    expect(orders.toSorted((a, b) => a - b)).toStrictEqual([...Array(64).keys()]);
  });

  it("of other owners are not held up by one that hangs", async () => {
    await using process = await startProcess();
    process.log.next("append", hang);
    void upsert(process, "sk-one");
    await expect.poll(() => process.log.calls).toContain("append");
    const blue = { kind: "team", id: "blue" } as const;
    accepted(await upsert(process, "sk-two", { owner: blue }));
  });

  it("more than a thousand of whom wait are told to come later", async () => {
    await using process = await startProcess();
    process.log.next("append", hang);
    void process.ledger.setEntitlement(callOf(process), "on");
    await expect.poll(() => process.log.calls).toContain("append");
    for (let waiting = 1; waiting < 1_000; waiting++) {
      void process.ledger.setMode(callOf(process), "neo");
    }
    await expect(process.ledger.setMode(callOf(process), "neo")).rejects.toBeInstanceOf(
      StoreUnavailable,
    );
  });
});

describe("a lost race", () => {
  it("is decided again on what the winner left", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    await upsert(process, "sk-one");
    process.log.next(
      "append",
      first(() => other.ledger.deleteKey(callOf(other), { soleKeyOf: "openai" })),
    );
    expect(refusal(await process.ledger.setMode(callOf(process), "byok"))).toStrictEqual({
      reason: "no-keys-for-byok",
    });
  });

  it("keeps the staged record where the key is still the same", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    await upsert(process, "sk-one");
    process.log.next(
      "append",
      first(() => other.ledger.setEntitlement(callOf(other), "on")),
    );
    accepted(await upsert(process, "sk-two"));
    expect(process.secrets.calls.filter((name) => name === "put")).toHaveLength(2);
    expect(textOf(accepted(await resolve(process)).material)).toBe("sk-two");
  });

  it("drops the staged record and seals anew where another key was decided", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    process.log.next(
      "append",
      first(() => upsert(other, "sk-other")),
    );
    const answer = accepted(await upsert(process, "sk-mine"));
    expect(typesOf(process.storage)).toStrictEqual([
      "KeyAdded",
      "KeyProbed",
      "KeyRotated",
      "KeyProbed",
    ]);
    expect(process.secrets.calls.slice(0, 3)).toStrictEqual(["put", "shred", "put"]);
    expect(answer.wipePending).toBe(false);
    await expectEveryKeyToOpen(process);
    expect(textOf(accepted(await resolve(process)).material)).toBe("sk-mine");
  });

  it("drops the staged record where nothing is left to append", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    process.log.next(
      "append",
      first(() => upsert(other, "sk-same")),
    );
    accepted(await upsert(process, "sk-same"));
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    await expectEveryKeyToOpen(process);
  });

  it("against the very same request, made at another process, gives that one's answer", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    const same = { stamp: { requestId: "r-1" } };
    const answers: object[] = [];
    process.log.next(
      "append",
      first(async () => answers.push(await upsert(other, "sk-one", same))),
    );
    const mine = accepted(await upsert(process, "sk-one", same));
    expect(answers).toMatchObject([{ key: mine.key, revision: mine.revision }]);
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    await expectEveryKeyToOpen(process);
  });

  it("is tried until the deadline, then given up without leaving anything", async () => {
    await using process = await startProcess();
    process.log.always((method, proceed) =>
      method === "append" ? Promise.reject(elsewhere) : proceed(),
    );
    const signal = deadline(process, 5_000);
    expect(refusal(await upsert(process, "sk-one", { signal }))).toStrictEqual({
      reason: "contention",
    });
    expect(process.time.elapsed()).toBeGreaterThanOrEqual(5_000);
    expect(process.time.elapsed()).toBeLessThan(5_100);
    const attempts = process.log.calls.filter((name) => name === "append").length;
    expect(attempts).toBeGreaterThan(200);
    expect(process.secrets.calls.filter((name) => name === "put")).toHaveLength(1);
    expect(process.storage.secrets.records.size).toBe(0);
  });
});

describe("an append whose outcome is unknown", () => {
  const unknown = new OutcomeUnknown("the connection broke");

  it.for([
    ["before it was written", failBefore(unknown)],
    ["after it was written", failAfter(unknown)],
  ] as const)("%s is repeated with the same ids, at the same revision", async ([, step]) => {
    await using process = await startProcess();
    const attempts: unknown[] = [];
    const { port } = process.log;
    const append = port.append.bind(port);
    const spied = new Proxy(port, {
      get: (target, name) =>
        name === "append"
          ? (...input: Parameters<typeof append>) => {
              attempts.push(input.slice(0, 3));
              return append(...input);
            }
          : Reflect.get(target, name),
    });
    const ledger = createLedger(
      { ...process.ports, log: spied },
      {
        byokDefault: "on",
        probePolicy: { isOn: false, onRejected: "reject", onIndeterminate: "store" },
      },
    );
    const stop = new AbortController();
    void ledger.projector.run(stop.signal);
    process.log.next("append", step, failBefore(unknown));
    const wish = { provider: "openai", secret: secretOf("sk-one"), name: null, location: null };
    accepted(await ledger.keys.upsertKey(callOf(process), wish));
    expect(attempts).toHaveLength(3);
    expect(attempts[1]).toStrictEqual(attempts[0]);
    expect(attempts[2]).toStrictEqual(attempts[0]);
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded"]);
    expect(process.storage.secrets.records.size).toBe(1);
    stop.abort();
  });

  it("leaves the next append at the right place of the chain", async () => {
    await using process = await startProcess();
    process.log.next("append", failAfter(unknown));
    await upsert(process, "sk-one");
    await upsert(process, "sk-two");
    expectUnbrokenChain(eventsOf(process.storage));
    expect(typesOf(process.storage)).toStrictEqual([
      "KeyAdded",
      "KeyProbed",
      "KeyRotated",
      "KeyProbed",
    ]);
  });

  it("and stays so until the deadline is said to be unknown, and what it staged is kept", async () => {
    await using process = await startProcess();
    process.log.next("append", failAfter(unknown));
    process.log.always((method, proceed) =>
      method === "append" ? Promise.reject(unknown) : proceed(),
    );
    const signal = deadline(process, 1_000);
    const attempt = upsert(process, "sk-one", { signal });
    await expect(attempt).rejects.toBeInstanceOf(OutcomeUnknown);
    expect(process.time.elapsed()).toBeLessThan(1_100);
    process.log.always(null);
    await expect.poll(() => process.models.keyring(team)?.keys.size).toBe(1);
    await expectEveryKeyToOpen(process);
  });

  it("stays unknown where the next attempt finds the log out of reach", async () => {
    await using process = await startProcess();
    process.log.next("append", failAfter(unknown));
    process.log.always((method, proceed) =>
      method === "append"
        ? Promise.reject(new StoreUnavailable("disk full", { retryable: true }))
        : proceed(),
    );
    const attempt = upsert(process, "sk-one", { signal: deadline(process, 1_000) });
    await expect(attempt).rejects.toBeInstanceOf(OutcomeUnknown);
    process.log.always(null);
    await expectEveryKeyToOpen(process);
  });

  it("is known again once the log is back in reach", async () => {
    await using process = await startProcess();
    const down = failBefore(new StoreUnavailable("restarting", { retryable: true }));
    process.log.next("append", failAfter(unknown), down, down);
    accepted(await upsert(process, "sk-one", { signal: deadline(process, 1_000) }));
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
  });

  it("is not repeated where the log said at once that nothing was written", async () => {
    await using process = await startProcess();
    process.log.next("append", failBefore(new StoreUnavailable("disk full", { retryable: true })));
    await expect(upsert(process, "sk-one")).rejects.toBeInstanceOf(StoreUnavailable);
    expect(process.log.calls.filter((name) => name === "append")).toHaveLength(1);
  });

  it("never loses its material, though the log takes the repeat for a lost race", async () => {
    await using process = await startProcess();
    // What was written stands there, another event behind it, and the log does not compare ids.
    process.log.next("append", failAfter(unknown), failBefore(elsewhere));
    const answer = accepted(await upsert(process, "sk-one"));
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    expect(answer.key.isValidated).toBe(true);
    await expectEveryKeyToOpen(process);
  });
});

describe("an append that stands there already", () => {
  it("of another process is not taken for one's own", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    accepted(await upsert(process, "sk-one"));
    const same = { stamp: { requestId: "r-1" } };
    // Both find the mode at the same revision: same ids, another content.
    process.log.next(
      "append",
      first(() => other.ledger.setEntitlement(callOf(other, same), "on")),
    );
    expect(refusal(await process.ledger.setMode(callOf(process, same), "byok"))).toStrictEqual({
      reason: "idempotency-key-reused",
    });
    accepted(await process.ledger.setMode(callOf(process), "byok"));
    expectUnbrokenChain(eventsOf(process.storage));
  });

  it("of another process is told apart though the log is out of reach for a moment", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    const same = { stamp: { requestId: "r-1" } };
    process.log.next(
      "append",
      first(() => other.ledger.setEntitlement(callOf(other, same), "on")),
    );
    const down = failBefore(new StoreUnavailable("restarting", { retryable: true }));
    // The command reads the stream once before it appends.
    process.log.next("readStream", (proceed) => proceed(), down, down);
    const answer = accepted(await process.ledger.setEntitlement(callOf(process, same), "on"));
    expect(answer.byok).toBe("on");
    expect(typesOf(process.storage)).toStrictEqual(["EntitlementSet"]);
  });

  it("of another process's reaper breaks no chain", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    await upsert(process, "sk-one");
    await upsert(process, "sk-two");
    const stop = new AbortController();
    // Both reapers find the same work; one appends while the other is about to.
    const theirs: Promise<void>[] = [];
    process.log.next(
      "append",
      first(async () => {
        theirs.push(other.ledger.reaper.run(stop.signal));
        await expect.poll(() => other.models.pendingShredCount()).toBe(0);
      }),
    );
    const ours = process.ledger.reaper.run(stop.signal);
    await expect.poll(() => process.models.pendingShredCount()).toBe(0);
    await upsert(process, "sk-three");
    stop.abort();
    await Promise.all([ours, ...theirs]);
    expectUnbrokenChain(eventsOf(process.storage));
    const shredded = eventsOf(process.storage).filter(({ type }) => type === "SecretShredded");
    const versions = shredded.map(({ data }) => JSON.parse(data).secretVersion);
    expect(new Set(versions).size).toBe(versions.length);
  });
});

describe("a call that is over", () => {
  it("while it waits for its turn touches nothing", async () => {
    await using process = await startProcess();
    const abort = new AbortController();
    process.log.next(
      "append",
      first(async () => abort.abort()),
    );
    const turn = process.ledger.setEntitlement(callOf(process), "on");
    const late = process.ledger.deleteKey(callOf(process, { signal: abort.signal }), {
      soleKeyOf: "openai",
    });
    await expect(late).rejects.toBeInstanceOf(Cancelled);
    accepted(await turn);
    expect(process.log.calls).toStrictEqual(["follow", "readStream", "append"]);
  });

  it("while its secret is sealed appends nothing", async () => {
    await using process = await startProcess();
    const abort = new AbortController();
    process.kek.next(
      "wrap",
      first(async () => abort.abort()),
    );
    await expect(upsert(process, "sk-one", { signal: abort.signal })).rejects.toBeInstanceOf(
      Cancelled,
    );
    expect(process.log.calls).not.toContain("append");
    expect(typesOf(process.storage)).toStrictEqual([]);
  });
});

describe("an event id that stands elsewhere", () => {
  it("is told, not retried, and its staged record is left to the collector", async () => {
    await using process = await startProcess();
    process.log.next("append", failBefore(new EventIdReused(keyringStream(team))));
    await expect(upsert(process, "sk-one")).rejects.toBeInstanceOf(EventIdReused);
    expect(process.log.calls.filter((name) => name === "append")).toHaveLength(1);
  });
});

describe("an answer that appended nothing", () => {
  it("waits all the same until this process's readers see what it was decided on", async () => {
    await using process = await startProcess();
    await using late = await startProcess({ storage: process.storage });
    accepted(await upsert(process, "sk-one"));
    accepted(await process.ledger.setMode(callOf(process), "byok"));
    const answer = accepted(await late.ledger.setMode(callOf(late), "byok"));
    expect(late.models.checkpoint() ?? "").toBe(answer.position);
  });
});
