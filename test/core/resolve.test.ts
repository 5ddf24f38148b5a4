import { AuditUnavailable, Cancelled, Corrupted, StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { expectUnbrokenChain } from "./support/chain.ts";
import {
  accepted,
  callOf,
  create,
  type Process,
  refusal,
  resolve,
  stampOf,
  startProcess,
  team,
  textOf,
  upsert,
} from "./support/deployment.ts";
import { failAfter, failBefore, first, hang } from "./support/scripted.ts";

const down = new StoreUnavailable("down", { retryable: true });
const withoutPlatform = { skip: new Set(["platform"]) };

const records = ({ storage }: Process) =>
  storage.accessLog.events.map(({ type, data }) => ({ type, ...JSON.parse(data) }));

describe("a resolve", () => {
  it("answers the material, and who comes next", async () => {
    await using process = await startProcess();
    const own = accepted(await upsert(process, "sk-own")).key;
    const fallback = accepted(await create(process, "sk-fallback", { fallback: true })).key;
    const answer = accepted(await resolve(process));
    expect(textOf(answer.material)).toBe("sk-own");
    expect(answer).toMatchObject({
      source: "byok",
      key: { keyId: own.keyId },
      reason: "FIRST_CANDIDATE",
      leaseSeconds: 60,
      platformFallbackAllowed: true,
      revision: 2,
    });
    expect(answer.alternatives).toMatchObject([
      { source: "neo" },
      { source: "byok", key: { keyId: fallback.keyId } },
    ]);
    expect(process.secrets.calls.filter((name) => name === "get")).toHaveLength(1);
  });

  it("answers the platform without material, and opens nothing", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-own");
    const answer = accepted(await resolve(process, { policy: "mode" }));
    expect(answer).toMatchObject({ source: "neo", material: null, key: null, reason: "MODE_NEO" });
    expect(process.secrets.calls).not.toContain("get");
  });

  it("answers an owner without a single event", async () => {
    await using process = await startProcess();
    const answer = accepted(await resolve(process));
    expect(answer).toMatchObject({ source: "neo", revision: null });
    expect(answer.position).toBe(process.storage.log.zero);
  });

  it("answers the platform where the gate is off, by setting or by entitlement", async () => {
    await using off = await startProcess({ settings: { byokDefault: "off" } });
    await upsert(off, "sk-own");
    expect(accepted(await resolve(off))).toMatchObject({ source: "neo", reason: "GATE_OFF" });
    accepted(await off.ledger.setEntitlement(callOf(off), "on"));
    expect(accepted(await resolve(off)).source).toBe("byok");
    accepted(await off.ledger.setEntitlement(callOf(off), "off"));
    expect(accepted(await resolve(off))).toMatchObject({ source: "neo", reason: "GATE_OFF" });
  });

  it("goes on to the key that was not tried yet", async () => {
    await using process = await startProcess();
    const one = accepted(await upsert(process, "sk-one")).key;
    await create(process, "sk-two");
    const skip = new Set([one.keyId, "platform"]);
    const answer = accepted(await resolve(process, { skip }));
    expect(textOf(answer.material)).toBe("sk-two");
    expect(answer.reason).toBe("NEXT_CANDIDATE");
  });

  it("ends its lease with the key", async () => {
    await using process = await startProcess();
    const inSeconds = (seconds: number) =>
      new Date(Date.parse(process.time.clock.now()) + seconds * 1_000).toISOString();
    await create(process, "sk-one", { expiresAt: inSeconds(90.5) });
    expect(accepted(await resolve(process)).leaseSeconds).toBe(60);
    process.time.advance(60_000);
    expect(accepted(await resolve(process)).leaseSeconds).toBe(30);
    process.time.advance(30_000);
    expect(accepted(await resolve(process)).leaseSeconds).toBe(0);
  });

  it("hands out no lease that ended before it began", async () => {
    await using process = await startProcess();
    const expiresAt = "2026-01-01T00:00:02.000Z";
    await create(process, "sk-one", { expiresAt });
    process.secrets.next(
      "get",
      first(async () => process.time.advance(5_000)),
    );
    expect(accepted(await resolve(process)).leaseSeconds).toBe(0);
  });

  it("looks again where a rotation came between the view and the store", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-old");
    process.secrets.next(
      "get",
      first(() => upsert(process, "sk-new")),
    );
    expect(textOf(accepted(await resolve(process)).material)).toBe("sk-new");
    expect(records(process)).toHaveLength(1);
  });

  it("finds nothing where a deletion came between the view and the store", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-old");
    process.secrets.next(
      "get",
      first(() => process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" })),
    );
    expect(refusal(await resolve(process, withoutPlatform))).toMatchObject({ reason: "no-key" });
  });
});

describe("a record that does not open", () => {
  it.for([
    ["is gone", async (process: Process) => process.storage.secrets.records.clear()],
    [
      "was altered",
      async (process: Process) => {
        for (const held of process.storage.secrets.records.values()) {
          held.record = { ...held.record, ciphertext: new Uint8Array(5) };
        }
      },
    ],
    [
      "is of another provider",
      async (process: Process) => {
        for (const held of process.storage.secrets.records.values()) {
          held.record = { ...held.record, provider: "mistral" };
        }
      },
    ],
    [
      "is found to be damaged by its store",
      async (process: Process) => {
        const damaged = failBefore(new Corrupted("the record is damaged"));
        process.secrets.next("get", damaged, damaged);
      },
    ],
    [
      "has lost the key that wraps it",
      async (process: Process) => {
        process.kek.next(
          "unwrap",
          async () => [null],
          async () => [null],
        );
      },
    ],
  ] as const)("because it %s is refused, and on record", async ([, damage]) => {
    await using process = await startProcess();
    const { keyId, secretVersion } = accepted(await upsert(process, "sk-one")).key;
    await damage(process);
    expect(refusal(await resolve(process))).toStrictEqual({
      reason: "undecryptable",
      platformFallbackAllowed: true,
    });
    expect(records(process)).toMatchObject([
      { type: "AccessRefused", reason: "undecryptable", source: null, keyId, secretVersion },
    ]);
  });

  it("because its store is out of reach is a fault", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.secrets.next("get", failBefore(down));
    await expect(resolve(process)).rejects.toBe(down);
  });
});

describe("the access record", () => {
  it("says who got what, why, and what was seen", async () => {
    await using process = await startProcess();
    const { keyId, secretVersion } = accepted(
      await create(process, "sk-one", { allowedModels: ["m"], allowedUsers: ["u"] }),
    ).key;
    accepted(await resolve(process, { model: "m", userId: "u", callerKey: "c", purpose: "p" }));
    expect(records(process)).toStrictEqual([
      {
        type: "AccessGranted",
        owner: "team.red",
        provider: "openai",
        model: "m",
        userId: "u",
        callerKey: "c",
        workspaceId: null,
        purpose: "p",
        service: "caller.gateway",
        source: "byok",
        keyId,
        secretVersion,
        reason: "FIRST_CANDIDATE",
        revisionSeen: 0,
        leaseSeconds: 60,
      },
    ]);
    const [{ metadata } = { metadata: {} }] = process.storage.accessLog.events;
    expect(metadata).toMatchObject({ actor: "caller.gateway", owner: "team.red" });
    expect(metadata).not.toHaveProperty("requestMac");
    expectUnbrokenChain(process.storage.accessLog.events);
  });

  it("is left by refusals and by the platform as well", async () => {
    await using process = await startProcess();
    await resolve(process, { policy: "mode" });
    await resolve(process, withoutPlatform);
    expect(records(process)).toMatchObject([
      { type: "AccessGranted", source: "neo", reason: "MODE_NEO", keyId: null, leaseSeconds: 60 },
      { type: "AccessRefused", source: null, reason: "no-key", keyId: null, leaseSeconds: null },
    ]);
  });

  it("is durable before the material leaves", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    let write = (): void => {};
    const written = new Promise<void>((resolve) => {
      write = resolve;
    });
    process.accessLog.next(
      "append",
      first(() => written),
    );
    let isReleased = false;
    const answer = resolve(process).then((resolved) => {
      isReleased = true;
      return resolved;
    });
    await expect.poll(() => process.accessLog.calls).toContain("append");
    await Promise.resolve();
    expect(isReleased).toBe(false);
    write();
    accepted(await answer);
    expect(records(process)).toHaveLength(1);
  });

  it.for([
    ["refuses", failBefore(down)],
    ["may or may not have written", failAfter(down)],
    ["fails for a reason of its own", failBefore(new TypeError("a bug"))],
    ["hangs", hang],
  ] as const)("that the log %s releases nothing and wipes the material", async ([, step]) => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const { opened } = process;
    process.accessLog.next("append", step);
    const before = process.time.elapsed();
    await expect(resolve(process)).rejects.toBeInstanceOf(AuditUnavailable);
    expect(process.time.elapsed() - before).toBeLessThanOrEqual(250);
    expect(opened.length).toBeGreaterThanOrEqual(1);
    for (const material of opened) expect(material.every((byte) => byte === 0)).toBe(true);
  });

  it("counts as failed after 250 ms, not before", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.accessLog.next(
      "append",
      first(() => process.time.after(240)),
      first(() => process.time.after(251)),
    );
    expect(textOf(accepted(await resolve(process)).material)).toBe("sk-one");
    await expect(resolve(process)).rejects.toBeInstanceOf(AuditUnavailable);
  });

  it("that comes too late fails unheard", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    process.accessLog.next("append", async () => {
      await process.time.after(400);
      throw down;
    });
    await expect(resolve(process)).rejects.toBeInstanceOf(AuditUnavailable);
    await process.time.after(1_000);
  });

  it("of a refusal may fail: what releases nothing stays a refusal", async () => {
    await using process = await startProcess();
    process.accessLog.next("append", failBefore(down), hang);
    for (let nth = 0; nth < 2; nth++) {
      expect(refusal(await resolve(process, withoutPlatform))).toMatchObject({ reason: "no-key" });
    }
  });

  it("must be there for the platform too", async () => {
    await using process = await startProcess();
    process.accessLog.next("append", failBefore(down));
    await expect(resolve(process)).rejects.toBeInstanceOf(AuditUnavailable);
  });

  it("leaves no timer behind", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    accepted(await resolve(process));
    expect(process.time.pending()).toBe(0);
  });
});

describe("a call that is refused before anybody looks for a key", () => {
  it("is on record, with nothing of what it asked for", async () => {
    await using process = await startProcess();
    const stamp = stampOf(process, { actor: "caller.gateway", actorType: "service" });
    await process.ledger.recordRefusal(team, "rate-limited", stamp);
    await process.ledger.recordRefusal(null, "owner-required", stamp);
    const nothing = {
      type: "AccessRefused",
      provider: "",
      model: null,
      userId: null,
      callerKey: null,
      workspaceId: null,
      purpose: "",
      service: "caller.gateway",
      source: null,
      keyId: null,
      secretVersion: null,
      revisionSeen: null,
      leaseSeconds: null,
    };
    expect(records(process)).toStrictEqual([
      { ...nothing, owner: "team.red", reason: "rate-limited" },
      { ...nothing, owner: null, reason: "owner-required" },
    ]);
    const [first, second] = process.storage.accessLog.events;
    expect(first?.metadata.owner).toBe("team.red");
    expect(second?.metadata).not.toHaveProperty("owner");
    expectUnbrokenChain(process.storage.accessLog.events);
  });

  it("stays refused where it cannot be recorded", async () => {
    await using process = await startProcess();
    process.accessLog.next("append", failBefore(down), hang);
    await process.ledger.recordRefusal(team, "rate-limited", stampOf(process));
    await process.ledger.recordRefusal(team, "rate-limited", stampOf(process));
    expect(process.time.elapsed()).toBe(250);
    expect(records(process)).toStrictEqual([]);
  });
});

describe("a resolve whose caller went away", () => {
  it("releases nothing and wipes the material", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const { opened } = process;
    await expect(resolve(process, {}, AbortSignal.abort())).rejects.toBeInstanceOf(Cancelled);
    expect(opened).toHaveLength(1);
    expect(opened[0]?.every((byte) => byte === 0)).toBe(true);
    expect(records(process)).toHaveLength(0);
  });
});

describe("deleted", () => {
  it("means that no resolve after the answer finds the key, in 200 rounds with readers all along", async () => {
    await using process = await startProcess();
    let deletedAt = 0;
    let started = 0;
    let isOver = false;
    const wrong: string[] = [];
    const reader = async () => {
      while (!isOver) {
        started++;
        const mine = started;
        const answer = await resolve(process, withoutPlatform);
        if ("rejected" in answer) continue;
        // Whatever was served to a question asked after a deletion was made after that deletion.
        if (mine > deletedAt && Number(textOf(answer.material).slice(3)) <= gone) {
          wrong.push(textOf(answer.material));
        }
        answer.material?.[Symbol.dispose]();
      }
    };
    let gone = -1;
    const readers = Array.from({ length: 4 }, reader);
    try {
      for (let round = 0; round < 200; round++) {
        await upsert(process, `sk-${round}`, { provider: "openai" });
        accepted(await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" }));
        gone = round;
        deletedAt = started;
      }
    } finally {
      isOver = true;
      await Promise.all(readers);
    }
    expect(wrong).toStrictEqual([]);
    expect(started).toBeGreaterThan(200);
  });
});
