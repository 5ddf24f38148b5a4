import { ownerName, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import {
  accepted,
  callOf,
  eventsOf,
  refsOf,
  refusal,
  rejectedByProvider,
  resolve,
  secretOf,
  startProcess,
  team,
  textOf,
  typesOf,
  upsert,
} from "./support/deployment.ts";
import { failBefore, hang } from "./support/scripted.ts";

const down = new StoreUnavailable("the store is down", { retryable: true });
const steps = new Set(["wrap", "put", "append", "shred"]);

describe("a new secret", () => {
  it("is sealed, stored, and only then named by an event", async () => {
    await using process = await startProcess();
    expect(accepted(await upsert(process, "sk-one")).wipePending).toBe(false);
    expect(process.journal.filter((step) => steps.has(step))).toStrictEqual([
      "wrap",
      "put",
      "append",
    ]);
  });

  it("replaces the old one, which is destroyed behind the append", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const { secretVersion } = accepted(await upsert(process, "sk-two")).key;
    expect(process.journal.filter((step) => steps.has(step)).slice(3)).toStrictEqual([
      "wrap",
      "put",
      "append",
      "shred",
    ]);
    const [ref, ...others] = process.storage.secrets.records.values();
    expect(ref?.ref.secretVersion).toBe(secretVersion);
    expect(others).toStrictEqual([]);
  });

  it("is stored trimmed, and handed out as it was stored", async () => {
    await using process = await startProcess();
    await upsert(process, ' \t"sk-one" \r\n');
    expect(textOf(accepted(await resolve(process)).material)).toBe("sk-one");
    expect(process.probe.requests).toMatchObject([{ text: "sk-one" }]);
  });

  it("leaves no trace in the log but label and keyed fingerprint", async () => {
    await using process = await startProcess();
    const canary = "sk-canary-0123456789abcdefghij";
    await upsert(process, canary);
    const stored = JSON.stringify(eventsOf(process.storage));
    for (const encoding of ["utf8", "hex", "base64", "base64url"] as const) {
      const bytes = Buffer.from(canary);
      expect(stored).not.toContain(bytes.toString(encoding).slice(4, 20));
    }
    const { fingerprint, label } = JSON.parse(eventsOf(process.storage)[0]?.data ?? "");
    expect(label).toBe("...ghij");
    expect(fingerprint).toMatch(/^root:[A-Za-z0-9_-]{16}$/);
  });

  it("has another fingerprint at another owner", async () => {
    await using process = await startProcess();
    const blue = { kind: "team", id: "blue" } as const;
    const one = accepted(await upsert(process, "sk-one")).key.fingerprint;
    const other = accepted(await upsert(process, "sk-one", { owner: blue })).key.fingerprint;
    expect(other).not.toBe(one);
  });

  it.for(["wrap", "put"] as const)("is named by no event where its %s fails", async (step) => {
    await using process = await startProcess();
    if (step === "wrap") process.kek.next("wrap", failBefore(down));
    else process.secrets.next("put", failBefore(down));
    await expect(upsert(process, "sk-one")).rejects.toBe(down);
    expect(typesOf(process.storage)).toStrictEqual([]);
    accepted(await upsert(process, "sk-one"));
  });

  it("is neither sealed nor stored where the command is refused", async () => {
    await using process = await startProcess();
    process.probe.answer = rejectedByProvider;
    expect(refusal(await upsert(process, "sk-one"))).toMatchObject({ reason: "key-rejected" });
    expect(process.journal.filter((step) => steps.has(step))).toStrictEqual([]);
  });

  it("is neither sealed nor stored where it is there already", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    await upsert(process, "sk-one", { name: "new" });
    expect(process.journal.filter((step) => steps.has(step))).toStrictEqual([
      "wrap",
      "put",
      "append",
      "append",
    ]);
  });

  it("is bound to its place: at another key's or owner's it does not open", async () => {
    await using process = await startProcess();
    const blue = { kind: "team", id: "blue" } as const;
    await upsert(process, "sk-one");
    await upsert(process, "sk-two", { owner: blue });
    const { secrets } = process.storage;
    const [red] = refsOf(process.models.keyring(team));
    const [theirs] = refsOf(process.models.keyring(blue));
    if (!red || !theirs) throw new Error("both owners have a key");
    const held = await secrets.get(theirs);
    await secrets.shred(red);
    if (held) await secrets.put(red, held.record);
    expect(refusal(await resolve(process, { policy: "own-keys-first" }))).toMatchObject({
      reason: "undecryptable",
    });
  });
});

describe("a deletion", () => {
  it("is appended first, then the material is destroyed, then it is answered", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const answer = await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    expect(accepted(answer)).toMatchObject({
      provider: "openai",
      autoSwitched: false,
      remainingKeys: 0,
      wipePending: false,
      revision: 2,
    });
    expect(process.journal.filter((step) => steps.has(step)).slice(3)).toStrictEqual([
      "append",
      "shred",
    ]);
    expect(process.storage.secrets.records.size).toBe(0);
  });

  it("ends the resolving before the material is destroyed", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.secrets.next("shred", hang);
    const deletion = process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    await expect.poll(() => process.secrets.calls).toContain("shred");
    expect(process.storage.secrets.records.size).toBe(1);
    const skip = new Set(["platform"]);
    expect(refusal(await resolve(process, { skip }))).toMatchObject({ reason: "no-key" });
    await deletion;
  });

  it("is answered after 500 ms of a store that hangs, with the wipe pending", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.secrets.next("shred", hang);
    const before = process.time.elapsed();
    const answer = await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    expect(accepted(answer).wipePending).toBe(true);
    expect(process.time.elapsed() - before).toBe(500);
  });

  it("is answered at once where the store refuses, with the wipe pending", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.secrets.next("shred", failBefore(down));
    const before = process.time.elapsed();
    const answer = await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    expect(accepted(answer).wipePending).toBe(true);
    expect(process.time.elapsed() - before).toBeLessThan(500);
    expect(process.models.pendingShredCount()).toBe(1);
  });

  it("leaves no timer behind", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    await upsert(process, "sk-two");
    await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    expect(process.time.pending()).toBe(0);
  });

  it("is refused, and destroys nothing, where other keys stand beside it", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const { keyId } = accepted(
      await process.ledger.keys.createKey(callOf(process), {
        provider: "openai",
        secret: secretOf("sk-two"),
        workspaceId: null,
        name: null,
        location: null,
        fallback: true,
        disabled: false,
        allowedModels: null,
        allowedUsers: null,
        allowedCallerKeys: null,
        requiredForItsModels: false,
        byokOnly: false,
        declaredZdr: null,
        expiresAt: null,
      }),
    ).key;
    const sole = process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    expect(refusal(await sole)).toStrictEqual({ reason: "other-keys-exist" });
    expect(process.storage.secrets.records.size).toBe(2);
    const answer = await process.ledger.deleteKey(callOf(process), { keyId });
    expect(accepted(answer)).toMatchObject({ keyId, remainingKeys: 1 });
    expect(process.storage.secrets.has({ ...one(process), owner: ownerName(team) })).toBe(true);
  });

  it("switches to neo with the last enabled key, in one append", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    accepted(await process.ledger.setMode(callOf(process), "byok"));
    const answer = await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" });
    expect(accepted(answer)).toMatchObject({ autoSwitched: true, remainingKeys: 0 });
    expect(typesOf(process.storage).slice(-2)).toStrictEqual(["KeyDeleted", "ModeSet"]);
    expect(process.journal.filter((step) => step === "append")).toHaveLength(3);
  });
});

/** The one key that is left. */
function one(process: Awaited<ReturnType<typeof startProcess>>) {
  const [ref] = refsOf(process.models.keyring(team));
  if (!ref) throw new Error("no key is left");
  return ref;
}
