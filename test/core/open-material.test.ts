import { type Kek, ownerName, type SecretRef, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import {
  accepted,
  callOf,
  create,
  type Process,
  refusal,
  resolve,
  startProcess,
  team,
  textOf,
  upsert,
} from "./support/deployment.ts";
import { failBefore, first } from "./support/scripted.ts";

const down = new StoreUnavailable("down", { retryable: true });
const MINUTE = 60_000;

/** Every data key that is unwrapped from now on. */
function unwrappedKeys({ storage }: Process): Uint8Array[] {
  const seen: Uint8Array[] = [];
  const { kek } = storage;
  const unwrap = kek.unwrap.bind(kek);
  const spying: Kek["unwrap"] = async (items) => {
    const deks = await unwrap(items);
    seen.push(...deks.filter((dek) => dek !== null));
    return deks;
  };
  Object.assign(kek, { unwrap: spying });
  return seen;
}

const isWiped = (bytes: Uint8Array): boolean => bytes.every((byte) => byte === 0);
const count = ({ calls }: { calls: readonly string[] }, name: string): number =>
  calls.filter((call) => call === name).length;

async function withKey(text = "sk-one") {
  const process = await startProcess();
  const { keyId, secretVersion } = accepted(await upsert(process, text)).key;
  const ref: SecretRef = { owner: ownerName(team), keyId, secretVersion };
  return { process, ref, open: () => process.ledger.opener.open(ref, "openai") };
}

/** Sweeps from now on. */
function sweeping(process: Process) {
  const stop = new AbortController();
  const running = process.ledger.opener.run(stop.signal);
  return async () => {
    stop.abort();
    await running;
  };
}

describe("opened material", () => {
  it("is opened anew for each caller, who wipes it without touching the others'", async () => {
    const { open } = await withKey();
    const [one, two] = [await open(), await open()];
    one?.[Symbol.dispose]();
    expect(textOf(two)).toBe("sk-one");
    expect(textOf(await open())).toBe("sk-one");
  });

  it("costs the store and the keeper of keys one call a minute", async () => {
    const { process, open } = await withKey();
    for (let times = 0; times < 100; times++) await open();
    process.time.advance(53_000);
    await open();
    expect([count(process.secrets, "get"), count(process.kek, "unwrap")]).toStrictEqual([1, 1]);
    process.time.advance(14_000);
    await open();
    expect([count(process.secrets, "get"), count(process.kek, "unwrap")]).toStrictEqual([2, 2]);
  });

  it("costs one call for many callers at once", async () => {
    const { process, open } = await withKey();
    const opened = await Promise.all(Array.from({ length: 64 }, open));
    expect(opened.map(textOf)).toStrictEqual(new Array(64).fill("sk-one"));
    expect([count(process.secrets, "get"), count(process.kek, "unwrap")]).toStrictEqual([1, 1]);
  });

  it("is what its place and provider say, or nothing", async () => {
    const { process, ref } = await withKey();
    const { opener } = process.ledger;
    expect(await opener.open(ref, "mistral")).toBeNull();
    expect(textOf(await opener.open(ref, "openai"))).toBe("sk-one");
    expect(await opener.open(ref, "mistral")).toBeNull();
    const elsewhere = { ...ref, keyId: process.host.random.uuid() };
    expect(await opener.open(elsewhere, "openai")).toBeNull();
  });

  it("is tried again after a fault, and after it was not there", async () => {
    const { process, open } = await withKey();
    process.secrets.next("get", failBefore(down), async () => null);
    await expect(open()).rejects.toBe(down);
    expect(await open()).toBeNull();
    expect(textOf(await open())).toBe("sk-one");
  });

  it("fails for all who wait for it, and for nobody after them", async () => {
    const { process, open } = await withKey();
    process.kek.next("unwrap", failBefore(down));
    const ends = await Promise.allSettled(Array.from({ length: 8 }, open));
    expect(new Set(ends.map(({ status }) => status))).toStrictEqual(new Set(["rejected"]));
    expect(textOf(await open())).toBe("sk-one");
  });
});

describe("a data key", () => {
  it("is wiped when its minute is over", async () => {
    const { process, open } = await withKey();
    const keys = unwrappedKeys(process);
    const stop = sweeping(process);
    await open();
    await process.time.after(50_000);
    expect(keys.map(isWiped)).toStrictEqual([false]);
    await process.time.after(20_000);
    expect(keys.map(isWiped)).toStrictEqual([true]);
    await stop();
  });

  it("is wiped when the process stops", async () => {
    const { process, open } = await withKey();
    const keys = unwrappedKeys(process);
    const stop = sweeping(process);
    await open();
    await stop();
    expect(keys.map(isWiped)).toStrictEqual([true]);
    expect(process.time.pending()).toBe(0);
  });

  it("is wiped when its version is destroyed, by a deletion or by a rotation", async () => {
    const { process } = await withKey();
    const keys = unwrappedKeys(process);
    accepted(await resolve(process));
    accepted(await upsert(process, "sk-two"));
    expect(keys.map(isWiped)).toStrictEqual([true]);
    accepted(await resolve(process));
    accepted(await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" }));
    expect(keys.map(isWiped)).toStrictEqual([true, true]);
  });

  it("is wiped though somebody fetched it while its version was being destroyed", async () => {
    const { process, open } = await withKey();
    const keys = unwrappedKeys(process);
    process.secrets.next(
      "shred",
      first(() => open()),
    );
    accepted(await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" }));
    expect(keys).toHaveLength(1);
    expect(keys.map(isWiped)).toStrictEqual([true]);
    expect(await open()).toBeNull();
  });

  it("is wiped with its first use where its version was destroyed while it was fetched", async () => {
    const { process, open } = await withKey();
    const keys = unwrappedKeys(process);
    process.kek.next("unwrap", async (proceed) => {
      const deks = await proceed();
      accepted(await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" }));
      return deks;
    });
    await open();
    expect(keys.map(isWiped)).toStrictEqual([true]);
    expect(await open()).toBeNull();
  });

  it("is wiped when another one is fetched in its place", async () => {
    const { process, open } = await withKey();
    const keys = unwrappedKeys(process);
    await open();
    process.time.advance(2 * MINUTE);
    await open();
    expect(keys.map(isWiped)).toStrictEqual([true, false]);
  });

  it("of no use any more is never used: a deleted key does not open from memory", async () => {
    const { process } = await withKey();
    accepted(await resolve(process));
    accepted(await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" }));
    const skip = new Set(["platform"]);
    expect(refusal(await resolve(process, { skip }))).toMatchObject({ reason: "no-key" });
    accepted(await create(process, "sk-new"));
    expect(textOf(accepted(await resolve(process, { skip })).material)).toBe("sk-new");
  });
});
