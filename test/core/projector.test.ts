import {
  Corrupted,
  type FollowerState,
  keyringStream,
  NotCaughtUp,
  OutcomeUnknown,
  StoreUnavailable,
} from "@keyledger/core";
import { describe, expect, it } from "vitest";
import {
  accepted,
  anyTime,
  callOf,
  deadline,
  newStorage,
  type Process,
  patience,
  refusal,
  startProcess,
  team,
  upsert,
} from "./support/deployment.ts";

const down = new StoreUnavailable("the log is down", { retryable: true });

/** A process whose projector the test starts itself. */
async function still(storage = newStorage()) {
  const process = await startProcess({ storage, isFollowing: false });
  const stop = new AbortController();
  return {
    process,
    projector: process.ledger.projector,
    run: () => process.ledger.projector.run(stop.signal),
    stop: () => stop.abort(),
  };
}

/** The log fails this often before it can be followed. */
function failing(process: Process, times: number, fault: Error = down): number[] {
  const tries: number[] = [];
  const { log } = process.storage;
  const follow = log.follow.bind(log);
  log.follow = (options) => {
    tries.push(process.time.elapsed());
    if (tries.length > times) return follow(options);
    // biome-ignore lint/correctness/useYield: it fails before there is anything to yield
    return (async function* () {
      throw fault;
    })();
  };
  return tries;
}

/** An event that no release of Keyledger can read. */
function addPoison({ log }: Process["storage"]): string {
  const metadata = { actor: "a", requestId: "r", time: "t", hash: "h" };
  const id = "00000000-0000-7000-8000-000000000bad";
  const event = { id, type: "ModeSet", data: '{"mode":"both"}', metadata };
  const stream = keyringStream(team);
  return log.add(event, stream, log.of(stream).length).position;
}

describe("the projector", () => {
  it("brings the views to the end of the log, and says when it is there", async () => {
    const { storage } = await startProcess();
    const writer = await startProcess({ storage });
    await upsert(writer, "sk-one");
    const { process, projector, run, stop } = await still(storage);
    const states: [FollowerState, number][] = [];
    projector.onProgress((state, events) => states.push([state, events]));
    expect(projector.state()).toStrictEqual({
      position: storage.log.zero,
      isCaughtUp: false,
      problem: null,
    });
    const running = run();
    await expect.poll(() => projector.state().isCaughtUp).toBe(true);
    const position = await storage.log.head();
    expect(states).toStrictEqual([
      [{ position, isCaughtUp: false, problem: null }, 2],
      [{ position, isCaughtUp: true, problem: null }, 2],
    ]);
    expect(process.models.keyring(team)).toStrictEqual(writer.models.keyring(team));
    stop();
    await running;
  });

  it("retries a fault that a retry can cure, with pauses that double up to 5 s", async () => {
    const { process, projector, run, stop } = await still();
    const tries = failing(process, 10);
    const running = run();
    await expect.poll(() => projector.state().isCaughtUp).toBe(true);
    const pauses = tries.slice(1).map((at, nth) => at - (tries[nth] ?? 0));
    expect(pauses).toStrictEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
    expect(projector.state().problem).toBeNull();
    stop();
    await running;
  });

  it("says why it stands still", async () => {
    const { process, projector, run, stop } = await still();
    failing(process, 3);
    const running = run();
    await expect.poll(() => projector.state().problem).toBe("the log is down");
    expect(projector.state().isCaughtUp).toBe(false);
    stop();
    await running;
  });

  it("goes on from where it stood, not from the start", async () => {
    const { process, projector, run, stop } = await still();
    const writer = await startProcess({ storage: process.storage });
    await upsert(writer, "sk-one");
    const commits: string[] = [];
    const commit = process.models.commit.bind(process.models);
    let isFull = true;
    process.models.commit = (changes, checkpoint) => {
      if (commits.length === 1 && isFull) {
        isFull = false;
        throw new StoreUnavailable("the disk is full", { retryable: true });
      }
      commits.push(checkpoint);
      commit(changes, checkpoint);
    };
    const running = run();
    await expect.poll(() => commits).toHaveLength(1);
    await upsert(writer, "sk-two");
    await expect.poll(() => projector.state().position).toBe(await process.storage.log.head());
    expect(process.models.keyring(team)).toStrictEqual(writer.models.keyring(team));
    expect(commits.toSorted()).toStrictEqual(commits);
    stop();
    await running;
  });

  it("stops at an event it cannot read, and shows everything before it", async () => {
    const { process, projector, run } = await still();
    const writer = await startProcess({ storage: process.storage });
    const { position } = accepted(await upsert(writer, "sk-one"));
    await writer[Symbol.asyncDispose]();
    const running = run();
    await expect.poll(() => projector.state().isCaughtUp).toBe(true);
    const poison = addPoison(process.storage);
    await expect(running).rejects.toBeInstanceOf(Corrupted);
    expect(projector.state()).toMatchObject({ position, isCaughtUp: false });
    expect(projector.state().problem).toMatch(/ModeSet/);
    await expect(projector.reached(poison, patience, 100)).rejects.toMatchObject({
      lag: expect.stringMatching(/ModeSet/),
    });
    expect(process.models.keyring(team)?.keys.size).toBe(1);
  });

  it.for([
    ["an access record", { type: "AccessGranted", stream: "keyring-team.red" }],
    ["an event in a stream without an owner", { type: "ModeSet", stream: "keyring-nobody" }],
    ["an event in a stream of another kind", { type: "ModeSet", stream: "ledgers-team.red" }],
  ] as const)("takes %s for one it cannot read", async ([, { type, stream }]) => {
    const { process, run } = await still();
    const data = {
      AccessGranted: {
        owner: "team.red",
        provider: "p",
        model: null,
        userId: null,
        callerKey: null,
        workspaceId: null,
        purpose: "p",
        service: "s",
        source: null,
        keyId: null,
        secretVersion: null,
        reason: "r",
        revisionSeen: null,
        leaseSeconds: null,
      },
      ModeSet: { mode: "neo", because: "requested" },
    }[type];
    const metadata = { actor: "a", requestId: "r", time: "t", hash: "h" };
    const id = "00000000-0000-7000-8000-000000000bad";
    process.storage.log.add({ id, type, data: JSON.stringify(data), metadata }, stream, 0);
    await expect(run()).rejects.toBeInstanceOf(Corrupted);
  });

  it("ends with a mistake of ours instead of hiding it", async () => {
    const { process, projector, run } = await still();
    failing(process, 1, new TypeError("a bug"));
    await expect(run()).rejects.toThrow("a bug");
    expect(projector.state().problem).toBe("it met an unexpected fault");
  });

  it("ends without an error when it is told to, also while it waits to retry", async () => {
    const { process, run, stop } = await still();
    failing(process, 100);
    const running = run();
    await process.time.after(20_000);
    stop();
    await running;
    expect(process.time.pending()).toBe(0);
  });
});

describe("waiting for a position", () => {
  it("ends at once where the views are there, and as soon as they are", async () => {
    const { process, projector, run, stop } = await still();
    const writer = await startProcess({ storage: process.storage });
    const { position } = accepted(await upsert(writer, "sk-one"));
    await projector.reached(process.storage.log.zero, patience, 0);
    const waiting = Promise.all([1, 2, 3].map(() => projector.reached(position, patience, 60_000)));
    const running = run();
    await waiting;
    expect(projector.state().position >= position).toBe(true);
    expect(process.time.pending()).toBe(0);
    stop();
    await running;
  });

  it("ends with NotCaughtUp when its time is over, or its caller goes away", async () => {
    const { process, projector } = await still();
    const writer = await startProcess({ storage: process.storage });
    const { position } = accepted(await upsert(writer, "sk-one"));
    await expect(projector.reached(position, patience, 2_000)).rejects.toBeInstanceOf(NotCaughtUp);
    expect(process.time.elapsed()).toBe(2_000);
    const signal = deadline(process, 300);
    await expect(projector.reached(position, signal, 2_000)).rejects.toBeInstanceOf(NotCaughtUp);
    expect(process.time.elapsed()).toBe(2_300);
    const gone = AbortSignal.abort();
    await expect(projector.reached(position, gone, 2_000)).rejects.toBeInstanceOf(NotCaughtUp);
    expect(process.time.elapsed()).toBe(2_300);
    expect(process.time.pending()).toBe(0);
  });
});

describe("a read with a position to reach", () => {
  it("waits for it", async () => {
    const { process, run, stop } = await still();
    const writer = await startProcess({ storage: process.storage });
    const { position, key } = accepted(await upsert(writer, "sk-one"));
    const call = { minPosition: position, signal: patience };
    const answer = process.ledger.queries.getKey(team, key.keyId, call);
    const running = run();
    expect(accepted(await answer)).toMatchObject({ isPrimary: true, revision: 0, position });
    stop();
    await running;
  });

  it("gives up after 2 s", async () => {
    const { process } = await still();
    const writer = await startProcess({ storage: process.storage });
    const { position } = accepted(await upsert(writer, "sk-one"));
    const call = { minPosition: position, signal: patience };
    await expect(process.ledger.queries.getMode(team, call)).rejects.toBeInstanceOf(NotCaughtUp);
    expect(process.time.elapsed()).toBe(2_000);
  });

  it.for([
    ["nonsense", "is no position of this log"],
    ["another deployment's", "is no position of this log"],
    ["one ahead of the log", "lies ahead of this log"],
  ] as const)("refuses %s", async ([kind, description]) => {
    await using process = await startProcess();
    const { position } = accepted(await upsert(process, "sk-one"));
    const minPosition = {
      nonsense: "nonsense",
      "another deployment's": newStorage().log.zero,
      "one ahead of the log": position.replace(/.$/, "f"),
    }[kind];
    const call = { minPosition, signal: patience };
    const { queries } = process.ledger;
    const filter = {
      providers: [],
      primaryOnly: false,
      workspaceId: undefined,
      offset: 0,
      limit: 9,
    };
    const keys = { owner: null, includeEnded: true, pageSize: 9, pageToken: "" };
    for (const answer of [
      queries.getMode(team, call),
      queries.getKey(team, "x", call),
      queries.listKeys(team, filter, call),
      queries.listCallerKeys(keys, call),
    ]) {
      expect(refusal(await answer)).toStrictEqual({
        reason: "invalid",
        violations: [{ field: "min_position", description }],
      });
    }
  });
});

describe("an acknowledgement", () => {
  it("comes only when this process's readers see what was written", async () => {
    await using process = await startProcess();
    for (let nth = 0; nth < 50; nth++) {
      const { position, key } = accepted(await upsert(process, `sk-${nth}`));
      const read = accepted(await process.ledger.queries.getKey(team, key.keyId, anyTime));
      expect(read).toMatchObject({ key: { secretVersion: key.secretVersion }, position });
      expect(process.models.checkpoint()).toBe(position);
    }
  });

  it("leaves the outcome open, where the views stand still for 2 s", async () => {
    const { process } = await still();
    const call = { stamp: { requestId: "r-1" } };
    await expect(upsert(process, "sk-one", call)).rejects.toBeInstanceOf(OutcomeUnknown);
    await using restarted = await startProcess({ storage: process.storage });
    expect(accepted(await upsert(restarted, "sk-one", call)).key.label).toBe("...-one");
  });

  it("that appended nothing, or repeats an earlier one, is only behind in time then", async () => {
    const { process } = await still();
    await using writer = await startProcess({ storage: process.storage });
    const call = { stamp: { requestId: "r-1" } };
    await upsert(writer, "sk-one", call);
    await expect(upsert(process, "sk-one", call)).rejects.toBeInstanceOf(NotCaughtUp);
    const noOp = process.ledger.setMode(callOf(process), "neo");
    await expect(noOp).rejects.toBeInstanceOf(NotCaughtUp);
  });

  it("is not waited for in vain: what a deletion gave up is destroyed all the same", async () => {
    const { process } = await still();
    await using writer = await startProcess({ storage: process.storage });
    await upsert(writer, "sk-one");
    const deletion = process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    await expect(deletion).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect.poll(() => process.storage.secrets.records.size).toBe(0);
  });

  it("of an owner without events waits for nothing", async () => {
    const { process } = await still();
    accepted(await process.ledger.setMode(callOf(process), "neo"));
  });
});
