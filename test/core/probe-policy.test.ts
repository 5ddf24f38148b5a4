import type { LedgerSettings, ProbeReport } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import {
  accepted,
  callOf,
  create,
  type Process,
  patience,
  refsOf,
  refusal,
  rejectedByProvider,
  secretOf,
  startProcess,
  team,
  typesOf,
  unclear,
  upsert,
  valid,
} from "./support/deployment.ts";

type Policy = LedgerSettings["probePolicy"];

const policies = {
  default: { isOn: true, onRejected: "reject", onIndeterminate: "store" },
  lenient: { isOn: true, onRejected: "store", onIndeterminate: "store" },
  strict: { isOn: true, onRejected: "reject", onIndeterminate: "reject" },
  off: { isOn: false, onRejected: "reject", onIndeterminate: "reject" },
} as const satisfies Record<string, Policy>;

const start = (policy: keyof typeof policies) =>
  startProcess({ settings: { probePolicy: policies[policy] } });

const outcomes: Record<string, "valid" | "rejected" | "indeterminate"> = {
  valid: "valid",
  "valid-limited": "valid",
  rejected: "rejected",
  blocked: "rejected",
  misconfigured: "rejected",
  "rate-limited": "indeterminate",
  unavailable: "indeterminate",
  unexpected: "indeterminate",
};

const reportOf = (outcome: string): ProbeReport => ({
  outcome: outcome as ProbeReport["outcome"],
  code: `${outcome.replace("-", "_")}_code`,
  message: `It was ${outcome}.`,
  retryable: false,
});

const ways = {
  upsert: (process: Process) => upsert(process, "sk-new"),
  create: (process: Process) => create(process, "sk-new"),
  update: (process: Process) =>
    process.ledger.keys.updateKey(callOf(process), {
      keyId: refsOf(process.models.keyring(team))[0]?.keyId ?? "",
      secret: secretOf("sk-new"),
      changes: {},
    }),
} as const;

const table = Object.keys(outcomes).flatMap((outcome) =>
  (["default", "lenient", "strict"] as const).flatMap((policy) =>
    (["upsert", "create", "update"] as const).map((way) => [outcome, policy, way] as const),
  ),
);

describe("an answer of the provider", () => {
  it.for(table)("%s, under the policy %s, on %s", async ([outcome, policy, way]) => {
    await using process = await start(policy);
    if (way === "update") await upsert(process, "sk-old");
    const before = typesOf(process.storage).length;
    process.probe.answer = reportOf(outcome);
    const answer = await ways[way](process);
    const verdict = outcomes[outcome];
    const { onRejected, onIndeterminate } = policies[policy];
    const isRefused =
      (verdict === "rejected" && onRejected === "reject") ||
      (verdict === "indeterminate" && onIndeterminate === "reject");
    const appended = typesOf(process.storage).slice(before);
    if (isRefused) {
      expect(refusal(answer)).toStrictEqual({
        reason: verdict === "rejected" ? "key-rejected" : "probe-indeterminate",
        message: `It was ${outcome}.`,
        probeCode: process.probe.answer.code,
        ...(verdict === "indeterminate" && { retryAfterMs: 5_000 }),
      });
      expect(appended).toStrictEqual([]);
      expect(process.storage.secrets.records.size).toBe(way === "update" ? 1 : 0);
    } else {
      expect(accepted(answer)).toMatchObject({
        key: {
          isValidated: verdict === "valid",
          lastProbe: { outcome: verdict, code: process.probe.answer.code },
        },
        probe: process.probe.answer,
      });
      expect(appended).toStrictEqual([way === "update" ? "KeyRotated" : "KeyAdded", "KeyProbed"]);
    }
  });

  it("says when to come back, where the provider said so", async () => {
    await using process = await start("strict");
    process.probe.answer = { ...unclear, retryAfterMs: 1_234 };
    expect(refusal(await upsert(process, "sk-new"))).toMatchObject({ retryAfterMs: 1_234 });
  });

  it("about the secret that is there: refused is kept, on record once, and answered", async () => {
    await using process = await start("default");
    await upsert(process, "sk-one");
    process.probe.answer = rejectedByProvider;
    for (let times = 0; times < 3; times++) {
      expect(refusal(await upsert(process, "sk-one", { name: "new" }))).toMatchObject({
        reason: "key-rejected",
      });
    }
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed", "KeyProbed"]);
    const [key] = process.models.keyring(team)?.keys.values() ?? [];
    expect(key).toMatchObject({ isValidated: false, name: null, health: "rejected" });
    process.probe.answer = valid;
    expect(accepted(await upsert(process, "sk-one")).key.isValidated).toBe(true);
  });

  it("about the secret that is there: nothing definite leaves it validated", async () => {
    await using process = await start("default");
    await upsert(process, "sk-one");
    process.probe.answer = unclear;
    expect(accepted(await upsert(process, "sk-one")).key).toMatchObject({
      isValidated: true,
      lastProbe: { outcome: "indeterminate" },
    });
  });

  it("stored under an earlier policy is repeated as it was, whatever the policy is now", async () => {
    await using lenient = await start("lenient");
    const same = { stamp: { requestId: "r-1" } };
    lenient.probe.answer = rejectedByProvider;
    const { key } = accepted(await upsert(lenient, "sk-one", same));
    await using strict = await startProcess({
      storage: lenient.storage,
      settings: { probePolicy: policies.strict },
    });
    expect(accepted(await upsert(strict, "sk-one", same)).key).toStrictEqual(key);
  });

  it("that tells when the key ends is noted, unless the credential says so itself", async () => {
    await using process = await start("default");
    const said = "2026-05-01T00:00:00.000Z";
    const own = "2026-04-01T00:00:00.000Z";
    process.probe.answer = { ...valid, expiresAt: said };
    expect(accepted(await upsert(process, "sk-one")).key.expiresAt).toBe(said);
    const text = `until=${own}/sk`;
    expect(accepted(await upsert(process, text, { provider: "anthropic" })).key.expiresAt).toBe(
      own,
    );
  });
});

describe("a provider that is not asked", () => {
  it("because probing is off leaves no event, and no policy applies", async () => {
    await using process = await start("off");
    const { key, probe } = accepted(await upsert(process, "sk-one"));
    expect(probe.outcome).toBe("unprobed");
    expect(key).toMatchObject({ isValidated: false, health: "unprobed", lastProbe: null });
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded"]);
    expect(process.probe.requests).toStrictEqual([]);
  });

  it("because it has no probe leaves no event, and no policy applies", async () => {
    await using process = await start("strict");
    const { key } = accepted(await upsert(process, "sk-one", { provider: "mistral" }));
    expect(key).toMatchObject({ isValidated: false, health: "unprobed" });
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded"]);
  });

  it("because no time is left counts as no definite answer", async () => {
    await using process = await start("default");
    const answer = accepted(await upsert(process, "sk-one", { remainingMs: 3_000 }));
    expect(process.probe.requests).toStrictEqual([]);
    expect(answer.probe).toMatchObject({ outcome: "unavailable", code: "no_time_left" });
    await using strict = await start("strict");
    expect(refusal(await upsert(strict, "sk-one", { remainingMs: 2_000 }))).toMatchObject({
      reason: "probe-indeterminate",
      probeCode: "no_time_left",
    });
  });

  it("because the form of the request is wrong already", async () => {
    await using process = await start("default");
    const wrong = [
      upsert(process, " \n"),
      upsert(process, "sk with blanks"),
      upsert(process, "x".repeat(16_385)),
      upsert(process, "sk-one", { provider: "nobody" }),
      upsert(process, "sk-one", { name: "a".repeat(256) }),
      upsert(process, "sk-one", { provider: "amazon-bedrock", location: "nowhere" }),
      upsert(process, "until=2025-01-01T00:00:00.000Z/sk"),
    ];
    for (const answer of await Promise.all(wrong)) refusal(answer);
    expect(process.probe.requests).toStrictEqual([]);
    expect(typesOf(process.storage)).toStrictEqual([]);
  });
});

describe("the budget of a probe", () => {
  it.for([
    [20_000, 10_000],
    [13_000, 10_000],
    [12_999, 9_999],
    [5_000, 2_000],
    [3_001, 1],
  ] as const)("with %d ms left is %d ms", async ([remainingMs, budgetMs]) => {
    await using process = await start("default");
    await upsert(process, "sk-one", { remainingMs });
    expect(process.probe.requests).toMatchObject([{ budgetMs }]);
  });
});

describe("asking without storing", () => {
  const ask = (
    process: Process,
    text: string,
    location: string | null = null,
    provider = "openai",
  ) =>
    process.ledger.keys.probeKey(
      { signal: patience, remainingMs: 20_000 },
      { provider, secret: secretOf(text), location },
    );

  it("answers what the provider said, whatever the policy, and leaves nothing", async () => {
    await using process = await start("strict");
    for (const report of [valid, rejectedByProvider, unclear]) {
      process.probe.answer = report;
      expect(accepted(await ask(process, " sk-one "))).toStrictEqual({ probe: report });
    }
    expect(process.probe.requests[0]).toMatchObject({ text: "sk-one" });
    expect(process.journal.filter((step) => step !== "follow")).toStrictEqual([]);
  });

  it("asks at the place that counts", async () => {
    await using process = await start("default");
    accepted(await ask(process, "sk-one", null, "amazon-bedrock"));
    accepted(await ask(process, "sk-one", "eu-west-1", "amazon-bedrock"));
    expect(process.probe.requests.map(({ location }) => location)).toStrictEqual([
      "us-east-1",
      "eu-west-1",
    ]);
  });

  it.for([
    ["nobody", "sk-one", null, "unknown-provider"],
    ["openai", "", null, "invalid"],
    ["openai", "sk one", null, "invalid"],
    ["amazon-bedrock", "sk-one", "nowhere", "invalid"],
    ["amazon-bedrock", "sk-one", "sk-ant-api03-abcdefghijklmnop", "invalid"],
    ["openai", "sk-one", "sk-ant-api03-abcdefghijklmnop", "invalid"],
  ] as const)("refuses %s with %j at %j", async ([provider, text, location, reason]) => {
    await using process = await start("default");
    expect(refusal(await ask(process, text, location, provider))).toMatchObject({ reason });
    expect(process.probe.requests).toStrictEqual([]);
  });
});

describe("the place of a key", () => {
  const bedrock = { provider: "amazon-bedrock" } as const;

  it("is the default at first, stays where nothing is said, and falls back where it is cleared", async () => {
    await using process = await start("default");
    const place = async (text: string, location: string | null | undefined) =>
      accepted(await upsert(process, text, { ...bedrock, location })).key.location;
    expect(await place("sk-one", undefined)).toBe("us-east-1");
    expect(await place("sk-one", "eu-west-1")).toBe("eu-west-1");
    expect(await place("sk-two", undefined)).toBe("eu-west-1");
    expect(await place("sk-two", undefined)).toBe("eu-west-1");
    expect(await place("sk-two", null)).toBe("us-east-1");
    expect(process.probe.requests.map(({ location }) => location)).toStrictEqual([
      "us-east-1",
      "eu-west-1",
      "eu-west-1",
      "eu-west-1",
      "us-east-1",
    ]);
  });

  it("is checked by itself where the credential stays", async () => {
    await using process = await start("default");
    const { keyId } = accepted(await upsert(process, "sk-one", bedrock)).key;
    const move = (location: string | null) =>
      process.ledger.keys.updateKey(callOf(process), {
        keyId,
        secret: null,
        changes: { location },
      });
    expect(accepted(await move("eu-west-1")).key.location).toBe("eu-west-1");
    expect(refusal(await move("nowhere"))).toMatchObject({ violations: [{ field: "location" }] });
    expect(accepted(await move(null)).key.location).toBe("us-east-1");
  });

  it("stays as it is where another change says nothing of it", async () => {
    await using process = await start("default");
    const { keyId } = accepted(
      await upsert(process, "sk-one", { ...bedrock, location: "eu-west-1" }),
    ).key;
    const changes = { name: "new" };
    const answer = process.ledger.keys.updateKey(callOf(process), { keyId, secret: null, changes });
    expect(accepted(await answer).key).toMatchObject({ name: "new", location: "eu-west-1" });
  });

  it("is part of what a request asks for", async () => {
    await using process = await start("default");
    const same = { ...bedrock, stamp: { requestId: "r-1" } };
    accepted(await upsert(process, "sk-one", { ...same, location: "eu-west-1" }));
    for (const location of ["us-east-1", null, undefined]) {
      expect(refusal(await upsert(process, "sk-one", { ...same, location }))).toStrictEqual({
        reason: "idempotency-key-reused",
      });
    }
  });

  it("that changed while the credential expired finds it expired", async () => {
    await using process = await start("default");
    const { keyId } = accepted(await upsert(process, "sk-one", bedrock)).key;
    process.probe.before = async () => {
      process.probe.before = async () => {};
      const changes = { location: "eu-west-1" };
      await process.ledger.keys.updateKey(callOf(process), { keyId, secret: null, changes });
      process.time.advance(60_000);
    };
    const late = upsert(process, "until=2026-01-01T00:00:30.000Z/sk", bedrock);
    expect(refusal(await late)).toMatchObject({ violations: [{ field: "secret" }] });
    expect(typesOf(process.storage).slice(2)).toStrictEqual(["KeyUpdated"]);
    expect(process.storage.secrets.records.size).toBe(1);
  });

  it("that changed while the provider was asked is not what it was asked about", async () => {
    await using process = await start("default");
    const { keyId } = accepted(await upsert(process, "sk-one", bedrock)).key;
    process.probe.before = async () => {
      process.probe.before = async () => {};
      accepted(
        await process.ledger.keys.updateKey(callOf(process), {
          keyId,
          secret: null,
          changes: { location: "eu-west-1" },
        }),
      );
    };
    const answer = accepted(await upsert(process, "sk-two", bedrock));
    expect(answer.key).toMatchObject({ location: "eu-west-1", lastProbe: null });
    expect(typesOf(process.storage).slice(2)).toStrictEqual(["KeyUpdated", "KeyRotated"]);
  });
});
