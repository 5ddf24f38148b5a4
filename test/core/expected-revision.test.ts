import { describe, expect, it } from "vitest";
import {
  accepted,
  anyTime,
  callOf,
  create,
  refusal,
  secretOf,
  startProcess,
  team,
  typesOf,
  unclear,
  upsert,
} from "./support/deployment.ts";
import { first } from "./support/scripted.ts";

const mismatch = { reason: "revision-mismatch" };

describe("an expected revision", () => {
  it("lets a write pass at the edit revision that every answer names", async () => {
    await using process = await startProcess();
    const { ledger } = process;
    const one = accepted(await upsert(process, "sk-one", { expected: "none" }));
    expect(one.revision).toBe(0);
    const two = accepted(await ledger.setMode(callOf(process, { expected: 0 }), "byok"));
    const read = accepted(await ledger.queries.getMode(team, anyTime));
    expect(read.revision).toBe(two.revision);
    const three = callOf(process, { expected: two.revision ?? "none" });
    accepted(await ledger.setMode(three, "neo"));
  });

  it("refuses a write at any other, and `none` once there is an event", async () => {
    await using process = await startProcess();
    const { ledger } = process;
    for (const expected of [0, 7]) {
      const call = callOf(process, { expected });
      expect(refusal(await ledger.setMode(call, "neo"))).toStrictEqual(mismatch);
    }
    await upsert(process, "sk-one");
    for (const expected of ["none", 1, 7] as const) {
      expect(refusal(await upsert(process, "sk-two", { expected }))).toStrictEqual(mismatch);
      expect(refusal(await create(process, "sk-two", {}, { expected }))).toStrictEqual(mismatch);
      const call = () => callOf(process, { expected });
      expect(refusal(await ledger.setMode(call(), "byok"))).toStrictEqual(mismatch);
      expect(refusal(await ledger.setEntitlement(call(), "off"))).toStrictEqual(mismatch);
      expect(refusal(await ledger.deleteKey(call(), { soleKeyOf: "openai" }))).toStrictEqual(
        mismatch,
      );
    }
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    expect(process.storage.secrets.records.size).toBe(1);
  });

  it("refuses even what would change nothing", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const call = callOf(process, { expected: 4 });
    expect(refusal(await process.ledger.setMode(call, "neo"))).toStrictEqual(mismatch);
  });

  it("is never failed by work in the background", async () => {
    await using process = await startProcess();
    const { ledger } = process;
    const stop = new AbortController();
    const reaping = ledger.reaper.run(stop.signal);
    await upsert(process, "sk-one");
    const { key, revision } = accepted(await upsert(process, "sk-two"));
    await expect.poll(() => typesOf(process.storage)).toContain("SecretShredded");
    process.probe.answer = unclear;
    await upsert(process, "sk-two");
    expect(typesOf(process.storage)).toStrictEqual([
      "KeyAdded",
      "KeyProbed",
      "KeyRotated",
      "KeyProbed",
      "SecretShredded",
      "KeyProbed",
    ]);
    const update = ledger.keys.updateKey(callOf(process, { expected: revision ?? "none" }), {
      keyId: key.keyId,
      secret: null,
      changes: { name: "new" },
    });
    expect(accepted(await update).revision).toBe(6);
    stop.abort();
    await reaping;
  });

  it("is not re-decided after a lost race", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    const { revision } = accepted(await upsert(process, "sk-one"));
    process.log.next(
      "append",
      first(() => other.ledger.setEntitlement(callOf(other), "on")),
    );
    const call = callOf(process, { expected: revision ?? "none" });
    expect(refusal(await process.ledger.setMode(call, "byok"))).toStrictEqual(mismatch);
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed", "EntitlementSet"]);
  });

  it("survives a race that only background work won", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    const { revision } = accepted(await upsert(process, "sk-one"));
    other.probe.answer = unclear;
    process.log.next(
      "append",
      first(() => upsert(other, "sk-one")),
    );
    const call = callOf(process, { expected: revision ?? "none" });
    accepted(await process.ledger.setMode(call, "byok"));
    expect(typesOf(process.storage).slice(2)).toStrictEqual(["KeyProbed", "ModeSet"]);
  });

  it("drops the material it staged when the race is lost for good", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    const { key, revision } = accepted(await upsert(process, "sk-one"));
    process.log.next(
      "append",
      first(() => other.ledger.setEntitlement(callOf(other), "on")),
    );
    const call = callOf(process, { expected: revision ?? "none" });
    const wish = { keyId: key.keyId, secret: secretOf("sk-two"), changes: {} };
    expect(refusal(await process.ledger.keys.updateKey(call, wish))).toStrictEqual(mismatch);
    expect(process.storage.secrets.records.size).toBe(1);
  });
});
