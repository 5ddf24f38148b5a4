import { type EventLog, keyringStream, type Owner } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { createKeyringLoader } from "../../packages/core/src/application/load-keyring.ts";
import { accepted, callOf, newStorage, startProcess, team, upsert } from "./support/deployment.ts";
import { failAfter, failBefore, scripted } from "./support/scripted.ts";

/** A log with some history, of which this process is the only writer, or not. */
async function withHistory({ isSoleWriter }: { isSoleWriter: boolean }) {
  const storage = newStorage();
  await using process = await startProcess({ storage });
  await upsert(process, "sk-one");
  await upsert(process, "sk-two");
  Object.assign(storage.log, { isSoleWriter });
  const log = scripted<EventLog>(storage.log);
  return { storage, log, loader: createKeyringLoader(log.port) };
}

const nobody: Owner = { kind: "user", id: "nobody" };

describe("a kept keyring", () => {
  it("is what the log holds", async () => {
    const { storage, loader } = await withHistory({ isSoleWriter: false });
    const keyring = await loader.load(team);
    expect(keyring.view).toMatchObject({ revision: 3, editRevision: 2 });
    expect(keyring.lastHash).toBe(storage.log.events.at(-1)?.metadata.hash);
    expect(await loader.load(team)).toStrictEqual(keyring);
    expect(await loader.read(team)).toStrictEqual(keyring);
  });

  it("is brought up to date where others write as well", async () => {
    const { storage, log, loader } = await withHistory({ isSoleWriter: false });
    await loader.load(team);
    await using other = await startProcess({ storage });
    accepted(await other.ledger.setMode(callOf(other), "byok"));
    expect((await loader.load(team)).view).toMatchObject({ mode: "byok", revision: 4 });
    expect(log.calls).toStrictEqual(["readStream", "readStream"]);
  });

  it("is taken as it stands where nobody else writes, also of a stream that is not there", async () => {
    const { log, loader } = await withHistory({ isSoleWriter: true });
    for (let times = 0; times < 5; times++) {
      await loader.load(team);
      await loader.load(nobody);
    }
    expect(log.calls).toStrictEqual(["readStream", "readStream"]);
  });

  it("is read again after it was forgotten, and whenever the log itself is asked for", async () => {
    const { log, loader } = await withHistory({ isSoleWriter: true });
    await loader.load(team);
    loader.forget(team);
    await loader.load(team);
    await loader.read(team);
    expect(log.calls).toHaveLength(3);
  });

  it("never gives way to an earlier state", async () => {
    const { loader } = await withHistory({ isSoleWriter: true });
    const now = await loader.load(team);
    const { keyring: then } = await loader.asOf(team, 0, 0);
    loader.keep(then);
    expect(await loader.load(team)).toBe(now);
  });

  it("is not what was read before an append failed", async () => {
    const { storage, log, loader } = await withHistory({ isSoleWriter: true });
    let goOn = (): void => {};
    log.next("readStream", async (proceed) => {
      const page = await proceed();
      await new Promise<void>((resolve) => {
        goOn = resolve;
      });
      return page;
    });
    const slow = loader.load(team);
    await expect.poll(() => log.calls).toHaveLength(1);
    await Promise.resolve();
    await using other = await startProcess({ storage });
    accepted(await other.ledger.setMode(callOf(other), "byok"));
    loader.forget(team);
    goOn();
    await slow;
    expect((await loader.load(team)).view.mode).toBe("byok");
  });

  it("can be had as it was, with what happened between", async () => {
    const { loader } = await withHistory({ isSoleWriter: false });
    const { before, keyring, events } = await loader.asOf(team, 2, 3);
    expect(before.view.revision).toBe(1);
    expect(keyring.view.revision).toBe(3);
    expect(events.map(({ type }) => type)).toStrictEqual(["KeyRotated", "KeyProbed"]);
    expect((await loader.asOf(team, 0, 1)).before.view.revision).toBeNull();
  });

  it("of thousands of owners makes room for others", async () => {
    const { log, loader } = await withHistory({ isSoleWriter: true });
    const owner = (nth: number): Owner => ({ kind: "user", id: `u${nth}` });
    for (let nth = 0; nth < 5_001; nth++) await loader.load(owner(nth));
    const before = log.calls.length;
    await loader.load(owner(5_000));
    expect(log.calls).toHaveLength(before);
    await loader.load(owner(0));
    expect(log.calls).toHaveLength(before + 1);
  });
});

describe("the only writer of a log", () => {
  it.for([
    ["may have been written", failAfter(new Error("the call broke"))],
    ["was not written", failBefore(new Error("the disk is full"))],
  ] as const)("reads again after an append that %s", async ([, step]) => {
    await using process = await startProcess();
    Object.assign(process.storage.log, { isSoleWriter: true });
    await upsert(process, "sk-one");
    process.log.next("append", step);
    await expect(process.ledger.setMode(callOf(process), "byok")).rejects.toThrow();
    accepted(await process.ledger.setMode(callOf(process), "byok"));
    const modes = process.storage.log
      .of(keyringStream(team))
      .filter(({ type }) => type === "ModeSet");
    expect(modes).toHaveLength(1);
  });
});
