import { type Owner, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { expectUnbrokenChain } from "./support/chain.ts";
import {
  accepted,
  callOf,
  eventsOf,
  type Process,
  startProcess,
  typesOf,
  upsert,
} from "./support/deployment.ts";
import { failBefore } from "./support/scripted.ts";

const down = new StoreUnavailable("the store is down", { retryable: true });

async function reaping(process: Process) {
  const stop = new AbortController();
  const running = process.ledger.reaper.run(stop.signal);
  running.catch(() => {});
  return {
    running,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running.catch(() => {});
    },
  };
}

/** An owner that deleted a key whose material could not be destroyed at once. */
async function withBacklog(process: Process, owner: Owner): Promise<void> {
  await upsert(process, `sk-${owner.id}`, { owner, provider: "mistral" });
  process.secrets.next("shred", failBefore(down));
  accepted(await process.ledger.deleteKey(callOf(process, { owner }), { soleKeyOf: "mistral" }));
}

const owner = (id: string): Owner => ({ kind: "team", id });

describe("the reaper", () => {
  it("puts the evidence of a wipe on record, once, under its own name", async () => {
    await using process = await startProcess();
    await using _ = await reaping(process);
    const { key } = accepted(await upsert(process, "sk-one"));
    await upsert(process, "sk-two");
    await expect.poll(() => process.models.pendingShredCount()).toBe(0);
    await process.time.after(10_000);
    const evidence = eventsOf(process.storage).filter(({ type }) => type === "SecretShredded");
    expect(evidence).toMatchObject([
      { metadata: { actor: "system.reaper", actorType: "system", owner: "team.red" } },
    ]);
    expect(evidence[0]?.metadata).not.toHaveProperty("requestMac");
    expect(JSON.parse(evidence[0]?.data ?? "")).toStrictEqual({
      keyId: key.keyId,
      secretVersion: key.secretVersion,
      store: "memory",
      method: "forgotten",
    });
    expectUnbrokenChain(eventsOf(process.storage));
  });

  it("finishes what a crash left", async () => {
    await using process = await startProcess();
    await withBacklog(process, owner("red"));
    expect(process.storage.secrets.records.size).toBe(1);
    await using restarted = await startProcess({ storage: process.storage });
    await using _ = await reaping(restarted);
    await expect.poll(() => process.storage.secrets.records.size).toBe(0);
    await expect.poll(() => typesOf(process.storage)).toContain("SecretShredded");
  });

  it("records nothing before the material is really gone", async () => {
    await using process = await startProcess();
    await withBacklog(process, owner("red"));
    process.secrets.always((method, proceed) =>
      method === "shred" ? Promise.reject(down) : proceed(),
    );
    await using _ = await reaping(process);
    await process.time.after(5_500);
    expect(typesOf(process.storage)).not.toContain("SecretShredded");
    expect(process.secrets.calls.filter((name) => name === "shred").length).toBeGreaterThan(4);
    process.secrets.always(null);
    await process.time.after(1_500);
    expect(typesOf(process.storage)).toContain("SecretShredded");
  });

  it("does not let one owner's fault hold up the others", async () => {
    await using process = await startProcess();
    await withBacklog(process, owner("a"));
    await withBacklog(process, owner("b"));
    process.secrets.next("shred", failBefore(down));
    await using _ = await reaping(process);
    await process.time.after(500);
    expect(process.models.pendingShredCount()).toBe(1);
    await process.time.after(1_000);
    expect(process.models.pendingShredCount()).toBe(0);
  });

  it("works through a backlog of many owners without waiting", async () => {
    await using process = await startProcess();
    for (let nth = 0; nth < 250; nth++) await withBacklog(process, owner(`t${nth}`));
    expect(process.models.pendingShredCount()).toBe(250);
    await using _ = await reaping(process);
    await process.time.after(500);
    expect(process.models.pendingShredCount()).toBe(0);
    expect(process.storage.secrets.records.size).toBe(0);
  });

  it("does not spin where the stores are down and many owners wait", async () => {
    await using process = await startProcess();
    for (let nth = 0; nth < 120; nth++) await withBacklog(process, owner(`t${nth}`));
    let tries = 0;
    const stop = new AbortController();
    process.secrets.always((method, proceed) => {
      if (method !== "shred") return proceed();
      tries++;
      // A reaper that spins would never let time pass.
      if (tries > 10_000) stop.abort();
      return Promise.reject(down);
    });
    const running = process.ledger.reaper.run(stop.signal);
    await process.time.after(5_000);
    stop.abort();
    await running;
    expect(tries).toBeGreaterThan(120);
    expect(tries).toBeLessThan(2_000);
  });

  it("is woken by work, and hears what comes while it works", async () => {
    await using process = await startProcess();
    await using _ = await reaping(process);
    await process.time.after(10);
    const before = process.time.elapsed();
    await upsert(process, "sk-one");
    await upsert(process, "sk-two");
    await upsert(process, "sk-three");
    await expect
      .poll(() => typesOf(process.storage).filter((type) => type === "SecretShredded"))
      .toHaveLength(2);
    const [last] = eventsOf(process.storage).slice(-1);
    expect(Date.parse(last?.metadata.time ?? "") - Date.parse("2026-01-01")).toBeLessThan(
      before + 500,
    );
  });

  it("stops when it is told to, in the middle of its work too", async () => {
    await using process = await startProcess();
    await withBacklog(process, owner("a"));
    const stop = new AbortController();
    process.secrets.next("shred", async () => stop.abort());
    const before = process.time.elapsed();
    await process.ledger.reaper.run(stop.signal);
    expect(process.time.elapsed() - before).toBeLessThan(100);
    await process.ledger.reaper.run(stop.signal);
  });

  it("ends with a mistake of ours instead of hiding it", async () => {
    await using process = await startProcess();
    await withBacklog(process, owner("a"));
    process.secrets.next("shred", failBefore(new TypeError("a bug")));
    const stop = new AbortController();
    await expect(process.ledger.reaper.run(stop.signal)).rejects.toThrow("a bug");
  });
});
