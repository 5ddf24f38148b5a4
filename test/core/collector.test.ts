import { Corrupted, type SecretRef, StoreUnavailable, type Uuid } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import {
  accepted,
  callOf,
  type Process,
  patience,
  refsOf,
  resolve,
  startProcess,
  team,
  textOf,
  upsert,
} from "./support/deployment.ts";
import { failAfter, failBefore } from "./support/scripted.ts";

const MINUTE = 60_000;
const down = new StoreUnavailable("down", { retryable: true });

/** A record that a crash left between sealing and appending. */
async function leaveStaged(process: Process, text = "sk-lost"): Promise<void> {
  process.log.next("append", failBefore(new Error("the process died")));
  await expect(upsert(process, text)).rejects.toThrow("the process died");
}

const collect = (process: Process): Promise<number> => process.ledger.collector.collect(patience);

describe("the collector", () => {
  it("drops a staged record once it is older than 15 minutes", async () => {
    await using process = await startProcess();
    await leaveStaged(process);
    process.time.advance(15 * MINUTE);
    expect(await collect(process)).toBe(0);
    expect(process.storage.secrets.records.size).toBe(1);
    process.time.advance(1);
    expect(await collect(process)).toBe(1);
    expect(process.storage.secrets.records.size).toBe(0);
  });

  it("never drops what a view names", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    await leaveStaged(process, "sk-two");
    process.time.advance(60 * MINUTE);
    expect(await collect(process)).toBe(1);
    expect(textOf(accepted(await resolve(process)).material)).toBe("sk-one");
  });

  it("never drops what the log names, though the views do not show it", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.time.advance(60 * MINUTE);
    const keyring = process.models.keyring.bind(process.models);
    process.models.keyring = () => undefined;
    expect(await collect(process)).toBe(0);
    process.models.keyring = keyring;
    expect(textOf(accepted(await resolve(process)).material)).toBe("sk-one");
  });

  it("looks at nothing while the views are not at the end of the log", async () => {
    await using process = await startProcess();
    await leaveStaged(process);
    process.time.advance(60 * MINUTE);
    await using blind = await startProcess({ storage: process.storage, isFollowing: false });
    expect(await collect(blind)).toBe(0);
    expect(blind.secrets.calls).toStrictEqual([]);
    expect(await collect(process)).toBe(1);
  });

  it("leaves the records of a stream that cannot be read, and goes on with the others", async () => {
    await using process = await startProcess();
    const blue = { kind: "team", id: "blue" } as const;
    await leaveStaged(process, "sk-red");
    process.log.next("append", failBefore(new Error("the process died")));
    await expect(upsert(process, "sk-blue", { owner: blue })).rejects.toThrow("died");
    process.time.advance(60 * MINUTE);
    process.log.always((method, proceed) =>
      method === "readStream" ? Promise.reject(new Corrupted("damaged")) : proceed(),
    );
    process.log.next("readStream", (proceed) => proceed());
    expect(await collect(process)).toBe(1);
    expect(process.storage.secrets.records.size).toBe(1);
  });

  it("never drops what the log came to name after an answer was lost", async () => {
    await using process = await startProcess();
    process.log.next("append", failAfter(new Error("the process died")));
    await expect(upsert(process, "sk-one")).rejects.toThrow("the process died");
    process.time.advance(60 * MINUTE);
    expect(await collect(process)).toBe(0);
  });

  it("drops what a deletion left, if the reaper has not come by", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.secrets.next("shred", failBefore(down));
    accepted(await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" }));
    process.time.advance(60 * MINUTE);
    expect(await collect(process)).toBe(1);
  });

  it("looks through stores of many pages", async () => {
    await using process = await startProcess();
    const { secrets } = process.storage;
    await upsert(process, "sk-kept");
    const [kept] = secrets.records.values();
    if (!kept) throw new Error("a record was stored");
    const uuid = (nth: number): Uuid => `00000000-0000-7000-8000-${String(nth).padStart(12, "0")}`;
    for (let nth = 0; nth < 1_250; nth++) {
      const ref: SecretRef = {
        owner: `user.u${nth % 7}`,
        keyId: uuid(nth),
        secretVersion: uuid(nth),
      };
      await secrets.put(ref, kept.record);
    }
    process.time.advance(60 * MINUTE);
    expect(await collect(process)).toBe(1_250);
    expect([...secrets.records.values()]).toStrictEqual([kept]);
    expect(refsOf(process.models.keyring(team))).toStrictEqual([kept.ref]);
  });

  it("stops in the middle when it is told to", async () => {
    await using process = await startProcess();
    await leaveStaged(process);
    process.time.advance(60 * MINUTE);
    expect(await process.ledger.collector.collect(AbortSignal.abort())).toBe(0);
  });

  it("comes by every minute, and survives faults", async () => {
    await using process = await startProcess();
    await leaveStaged(process);
    process.time.advance(60 * MINUTE);
    process.secrets.next("scan", failBefore(down), failBefore(down));
    const stop = new AbortController();
    const running = process.ledger.collector.run(stop.signal);
    await process.time.after(1.5 * MINUTE);
    expect(process.storage.secrets.records.size).toBe(1);
    await process.time.after(1 * MINUTE);
    expect(process.storage.secrets.records.size).toBe(0);
    stop.abort();
    await running;
    expect(process.time.pending()).toBe(0);
  });

  it("counts nothing as dropped that its store refused to destroy", async () => {
    await using process = await startProcess();
    await leaveStaged(process);
    process.time.advance(60 * MINUTE);
    process.secrets.next("shred", failBefore(down));
    await expect(collect(process)).rejects.toBe(down);
    expect(await collect(process)).toBe(1);
  });

  it("ends with a mistake of ours instead of hiding it", async () => {
    await using process = await startProcess();
    process.secrets.next("scan", failBefore(new TypeError("a bug")));
    await expect(process.ledger.collector.run(patience)).rejects.toThrow("a bug");
  });
});
