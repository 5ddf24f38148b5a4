import { describe, expect, it } from "vitest";
import {
  accepted,
  callOf,
  create,
  eventsOf,
  refusal,
  rejectedByProvider,
  secretOf,
  startProcess,
  typesOf,
  upsert,
  valid,
} from "./support/deployment.ts";
import { failAfter, failBefore } from "./support/scripted.ts";

const reused = { reason: "idempotency-key-reused" };
const again = { stamp: { requestId: "r-1" } };

describe("a request that comes again under its id", () => {
  it("is answered as it was first, and appends nothing", async () => {
    await using process = await startProcess();
    const first = accepted(await upsert(process, "sk-one", { ...again, name: "prod" }));
    const second = accepted(await upsert(process, "sk-one", { ...again, name: "prod" }));
    expect(second).toStrictEqual({ ...first, probe: second.probe });
    expect(second.probe).toMatchObject({ outcome: "valid", code: "ok" });
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
  });

  it("is answered as it was first even after everything changed", async () => {
    await using process = await startProcess();
    const first = accepted(await upsert(process, "sk-one", { ...again, name: "prod" }));
    accepted(await upsert(process, "sk-two", { name: "other" }));
    accepted(await process.ledger.deleteKey(callOf(process), { keyId: first.key.keyId }));
    const second = accepted(await upsert(process, "sk-one", { ...again, name: "prod" }));
    expect(second).toStrictEqual({ ...first, probe: second.probe });
  });

  it("asks no provider again", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one", again);
    await upsert(process, "sk-one", again);
    expect(process.probe.requests).toHaveLength(1);
  });

  it("stores nothing again, and destroys nothing", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one", again);
    const before = [...process.storage.secrets.records.keys()];
    await upsert(process, "sk-one", again);
    expect([...process.storage.secrets.records.keys()]).toStrictEqual(before);
    expect(process.secrets.calls).toStrictEqual(["put"]);
  });

  it("is known after a restart", async () => {
    await using process = await startProcess();
    const first = accepted(await upsert(process, "sk-one", again));
    await using restarted = await startProcess({ storage: process.storage });
    const second = accepted(await upsert(restarted, "sk-one", again));
    expect(second.key).toStrictEqual(first.key);
    expect(second.position).toBe(first.position);
  });

  it("is known though its first answer was lost", async () => {
    await using process = await startProcess();
    process.log.next("append", failAfter(new Error("the process died")));
    await expect(upsert(process, "sk-one", again)).rejects.toThrow("the process died");
    await using restarted = await startProcess({ storage: process.storage });
    accepted(await upsert(restarted, "sk-one", again));
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    expect(process.storage.secrets.records.size).toBe(1);
  });

  it("is refused with another content", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one", { ...again, name: "prod" });
    for (const other of [
      () => upsert(process, "sk-two", { ...again, name: "prod" }),
      () => upsert(process, "sk-one", { ...again, name: "other" }),
      () => upsert(process, "sk-one", { ...again, name: null }),
      () => upsert(process, "sk-one", again),
      () => upsert(process, "sk-one", { ...again, name: "prod", location: null }),
      () => upsert(process, "sk-one", { ...again, name: "prod", provider: "mistral" }),
      () => upsert(process, "sk-one", { ...again, name: "prod", expected: 0 }),
      () => process.ledger.setMode(callOf(process, again), "byok"),
      () => process.ledger.deleteKey(callOf(process, again), { soleKeyOf: "openai" }),
    ]) {
      expect(refusal(await other())).toStrictEqual(reused);
    }
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    expect(process.storage.secrets.records.size).toBe(1);
  });

  it("is refused with another expected revision, whatever it was", async () => {
    await using process = await startProcess();
    const { ledger } = process;
    const { keyId } = accepted(await upsert(process, "sk-one")).key;
    const call = (requestId: string, expected?: number) =>
      callOf(process, { stamp: { requestId }, expected });
    const update = { keyId, secret: null, changes: { name: "new" } };
    const requests = [
      (expected?: number) => ledger.setMode(call("r-1", expected), "byok"),
      (expected?: number) => ledger.setEntitlement(call("r-2", expected), "on"),
      (expected?: number) => ledger.keys.updateKey(call("r-3", expected), update),
      (expected?: number) =>
        create(process, "sk-two", {}, { stamp: { requestId: "r-4" }, expected }),
      (expected?: number) => ledger.deleteKey(call("r-5", expected), { keyId }),
    ];
    for (const request of requests) {
      const first = accepted(await request());
      expect(refusal(await request(first.revision ?? 0))).toStrictEqual(reused);
      expect(refusal(await request(0))).toStrictEqual(reused);
      accepted(await request());
    }
  });

  it("is the same with other blanks and quotes around its secret", async () => {
    await using process = await startProcess();
    const first = accepted(await upsert(process, "sk-one", again));
    const second = accepted(await upsert(process, ' "sk-one"\n', again));
    expect(second.key).toStrictEqual(first.key);
  });

  it("is another request where another actor or owner made it", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one", again);
    accepted(await upsert(process, "sk-two", { stamp: { ...again.stamp, actor: "user.bob" } }));
    const blue = { kind: "team", id: "blue" } as const;
    accepted(await upsert(process, "sk-three", { ...again, owner: blue }));
    expect(typesOf(process.storage)).toStrictEqual([
      "KeyAdded",
      "KeyProbed",
      "KeyRotated",
      "KeyProbed",
    ]);
    expect(typesOf(process.storage, blue)).toStrictEqual(["KeyAdded", "KeyProbed"]);
  });

  it("is made anew where it was refused", async () => {
    await using process = await startProcess();
    expect(refusal(await process.ledger.setMode(callOf(process, again), "byok"))).toStrictEqual({
      reason: "no-keys-for-byok",
    });
    await upsert(process, "sk-one");
    expect(accepted(await process.ledger.setMode(callOf(process, again), "byok")).mode).toBe(
      "byok",
    );
  });

  it("is decided anew where it changed nothing", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    accepted(await process.ledger.setMode(callOf(process, again), "neo"));
    accepted(await process.ledger.setMode(callOf(process), "byok"));
    expect(accepted(await process.ledger.setMode(callOf(process, again), "neo")).mode).toBe("neo");
  });

  it("is made where it failed before it was appended", async () => {
    await using process = await startProcess();
    process.log.next("append", failBefore(new Error("disk full")));
    await expect(upsert(process, "sk-one", again)).rejects.toThrow("disk full");
    accepted(await upsert(process, "sk-one", again));
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
  });

  it("is known whatever it was: creating, updating, deleting, setting", async () => {
    await using process = await startProcess();
    const { ledger } = process;
    const call = (requestId: string) => callOf(process, { stamp: { requestId } });
    const make = () => create(process, "sk-one", { name: "a" }, { stamp: { requestId: "r-1" } });
    const { keyId } = accepted(await make()).key;
    const requests = [
      make,
      () => ledger.setMode(call("r-2"), "byok"),
      () => ledger.setEntitlement(call("r-3"), "on"),
      () => ledger.keys.updateKey(call("r-4"), { keyId, secret: null, changes: { name: "b" } }),
      () => ledger.keys.updateKey(call("r-5"), { keyId, secret: secretOf("sk-two"), changes: {} }),
      () => ledger.deleteKey(call("r-6"), { soleKeyOf: "openai" }),
    ];
    const answers = [];
    for (const request of requests) answers.push(accepted(await request()));
    const before = typesOf(process.storage);
    for (const [nth, request] of requests.entries()) {
      const repeat = accepted(await request());
      expect(repeat).toMatchObject({
        revision: answers[nth]?.revision,
        position: answers[nth]?.position,
      });
      if ("key" in repeat) expect(answers[nth]).toMatchObject({ key: repeat.key });
    }
    expect(typesOf(process.storage)).toStrictEqual(before);
    expect(accepted((await requests[5]?.()) ?? {})).toMatchObject({
      keyId,
      provider: "openai",
      autoSwitched: true,
      remainingKeys: 0,
    });
  });

  it("says what the provider said, though only the name was new", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const first = accepted(await upsert(process, "sk-one", { ...again, name: "new" }));
    const second = accepted(await upsert(process, "sk-one", { ...again, name: "new" }));
    expect(first.probe.outcome).toBe("valid");
    expect(second.probe).toMatchObject({ outcome: "valid", code: "ok" });
  });

  it("is refused again where all it left is the provider's refusal", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.probe.answer = rejectedByProvider;
    const first = refusal(await upsert(process, "sk-one", again));
    expect(first).toMatchObject({ reason: "key-rejected", probeCode: "invalid_api_key" });
    process.probe.answer = valid;
    expect(refusal(await upsert(process, "sk-one", again))).toStrictEqual(first);
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed", "KeyProbed"]);
  });

  it("is done once however often it comes at the same time", async () => {
    await using process = await startProcess();
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => upsert(process, "sk-one", again)),
    );
    const keys = new Set(answers.map((answer) => accepted(answer).key.keyId));
    expect(keys.size).toBe(1);
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    expect(process.storage.secrets.records.size).toBe(1);
  });

  it("is remembered behind 511 others, and forgotten behind 512", async () => {
    await using process = await startProcess();
    const { ledger } = process;
    await upsert(process, "sk-one", again);
    let isByok = false;
    const other = async () => {
      isByok = !isByok;
      accepted(await ledger.setMode(callOf(process), isByok ? "byok" : "neo"));
    };
    for (let count = 0; count < 511; count++) await other();
    expect(refusal(await upsert(process, "sk-two", again))).toStrictEqual(reused);
    await other();
    expect(accepted(await upsert(process, "sk-two", again)).key.isValidated).toBe(true);
    expect(eventsOf(process.storage).at(-2)?.type).toBe("KeyRotated");
  });
});

describe("the update of a key that is gone by now", () => {
  it.for([null, "sk-two"])("is answered as it was first, with the secret %s", async (text) => {
    await using process = await startProcess();
    const { keyId } = accepted(await upsert(process, "sk-one")).key;
    const request = () =>
      process.ledger.keys.updateKey(callOf(process, again), {
        keyId,
        secret: text === null ? null : secretOf(text),
        changes: { name: "new" },
      });
    const first = accepted(await request());
    accepted(await process.ledger.deleteKey(callOf(process), { keyId }));
    expect(accepted(await request()).key).toStrictEqual(first.key);
    expect(
      refusal(
        await process.ledger.keys.updateKey(callOf(process, again), {
          keyId,
          secret: text === null ? null : secretOf("sk-three"),
          changes: { name: text === null ? "newer" : "new" },
        }),
      ),
    ).toStrictEqual(reused);
  });

  it("is refused where it is new", async () => {
    await using process = await startProcess();
    const { keyId } = accepted(await upsert(process, "sk-one")).key;
    accepted(await process.ledger.deleteKey(callOf(process), { keyId }));
    for (const secret of [null, secretOf("sk-two")]) {
      const update = process.ledger.keys.updateKey(callOf(process), { keyId, secret, changes: {} });
      expect(refusal(await update)).toStrictEqual({ reason: "key-not-found" });
    }
  });
});
