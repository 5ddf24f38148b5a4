import { describe, expect, it } from "vitest";
import {
  accepted,
  callOf,
  create,
  type Process,
  refusal,
  secretOf,
  startProcess,
  typesOf,
  upsert,
} from "./support/deployment.ts";

type Changes = Parameters<Process["ledger"]["keys"]["updateKey"]>[1]["changes"];

const update = async (process: Process, changes: Changes) => {
  const { keyId } = accepted(await upsert(process, "sk-one")).key;
  return process.ledger.keys.updateKey(callOf(process), { keyId, secret: null, changes });
};

const canary = "sk-ant-api03-canarycanarycanary";
const values = (count: number) => Array.from({ length: count }, (_, nth) => `v${nth}`);

describe("what people set", () => {
  it.for<[string, Changes]>([
    ["a name of 255 characters", { name: "n".repeat(255) }],
    ["an allow-list of 100 values", { allowedModels: values(100) }],
    ["values of 255 characters", { allowedUsers: ["u".repeat(255)] }],
    ["keyed texts of callers", { allowedCallerKeys: ["a1".repeat(32)] }],
    ["the smallest sort order", { sortOrder: 0 }],
    ["the largest sort order", { sortOrder: 1_000_000 }],
  ])("may be %s", async ([, changes]) => {
    await using process = await startProcess();
    expect(accepted(await update(process, changes)).key).toMatchObject(changes);
  });

  it.for<[string, string, Changes]>([
    ["a name of 256 characters", "name", { name: "n".repeat(256) }],
    ["a name with a line end", "name", { name: "a\nb" }],
    ["a name with a control character of the second set", "name", { name: "a\u0085b" }],
    ["a name that holds a key", "name", { name: `prod ${canary}` }],
    ["a location that holds a key", "location", { location: canary }],
    ["a location of 256 characters", "location", { location: "l".repeat(256) }],
    ["an allow-list of 101 values", "allowed_models", { allowedModels: values(101) }],
    ["an empty value", "allowed_models[1]", { allowedModels: ["a", ""] }],
    ["a value of 256 characters", "allowed_users[0]", { allowedUsers: ["u".repeat(256)] }],
    ["a value with a NUL", "allowed_users[0]", { allowedUsers: ["a\u0000"] }],
    ["a raw key among callers", "allowed_caller_keys[0]", { allowedCallerKeys: [canary] }],
    ["a raw key among models", "allowed_models[0]", { allowedModels: [canary] }],
    ["a raw key among users", "allowed_users[1]", { allowedUsers: ["ann", canary] }],
    ["a sort order below 0", "sort_order", { sortOrder: -1 }],
    ["a sort order beyond 1,000,000", "sort_order", { sortOrder: 1_000_001 }],
    ["a sort order between two numbers", "sort_order", { sortOrder: 1.5 }],
    ["a sort order that is no number", "sort_order", { sortOrder: Number.NaN }],
  ])("may not be %s", async ([, field, changes]) => {
    await using process = await startProcess();
    const rejected = refusal(await update(process, changes));
    expect(rejected).toMatchObject({ reason: "invalid", violations: [{ field }] });
    expect(JSON.stringify(rejected)).not.toContain("canary");
    expect(typesOf(process.storage)).toStrictEqual(["KeyAdded", "KeyProbed"]);
  });

  it("is checked likewise when a key is created", async () => {
    await using process = await startProcess();
    for (const [field, wish] of [
      ["name", { name: canary }],
      ["allowed_caller_keys[0]", { allowedCallerKeys: [canary] }],
      ["workspace_id", { workspaceId: "not-a-uuid" }],
      ["workspace_id", { workspaceId: "0190F3A2-7C1E-7B3A-9F00-0123456789AB" }],
    ] as const) {
      expect(refusal(await create(process, "sk-one", wish))).toMatchObject({
        violations: [{ field }],
      });
    }
    expect(typesOf(process.storage)).toStrictEqual([]);
  });

  it("is told of with every problem at once", async () => {
    await using process = await startProcess();
    const rejected = refusal(
      await update(process, { name: "a\n", allowedModels: [""], sortOrder: -1 }),
    );
    expect(rejected).toMatchObject({
      violations: [{ field: "name" }, { field: "allowed_models[0]" }, { field: "sort_order" }],
    });
  });
});

describe("a secret", () => {
  it("may have 16,384 bytes, counted without outer blanks", async () => {
    await using process = await startProcess();
    accepted(await upsert(process, `  ${"x".repeat(16_384)}\n`));
    expect(refusal(await upsert(process, "x".repeat(16_385)))).toStrictEqual({
      reason: "invalid",
      violations: [{ field: "secret", description: "is 16385 bytes, the most is 16384" }],
    });
  });

  it.for(["", "  ", '""', "' '"])("may not be empty, as %j is", async (text) => {
    await using process = await startProcess();
    expect(refusal(await upsert(process, text))).toStrictEqual({
      reason: "invalid",
      violations: [{ field: "secret", description: "is empty" }],
    });
  });

  it("is held to the same bounds where it replaces another", async () => {
    await using process = await startProcess();
    const { keyId } = accepted(await upsert(process, "sk-one")).key;
    for (const text of ["", " ", "x".repeat(16_385)]) {
      const wish = { keyId, secret: secretOf(text), changes: {} };
      expect(refusal(await process.ledger.keys.updateKey(callOf(process), wish))).toMatchObject({
        violations: [{ field: "secret" }],
      });
    }
  });

  it("may not have expired, not even this very instant", async () => {
    await using process = await startProcess();
    const until = (instant: string) => upsert(process, `until=${instant}/sk`);
    expect(refusal(await until("2026-01-01T00:00:00.000Z"))).toStrictEqual({
      reason: "invalid",
      violations: [{ field: "secret", description: "has expired already" }],
    });
    accepted(await until("2026-01-01T00:00:00.001Z"));
  });

  it("says whether its key is the primary", async () => {
    await using process = await startProcess();
    expect(accepted(await upsert(process, "sk-one")).isPrimary).toBe(true);
    expect(accepted(await create(process, "sk-two")).isPrimary).toBe(false);
    expect(accepted(await upsert(process, "sk-three")).isPrimary).toBe(true);
  });

  it("needs a provider that is known", async () => {
    await using process = await startProcess();
    for (const provider of ["", "OpenAI", "__proto__"]) {
      expect(refusal(await upsert(process, "sk-one", { provider }))).toStrictEqual({
        reason: "unknown-provider",
      });
      expect(refusal(await create(process, "sk-one", { provider }))).toStrictEqual({
        reason: "unknown-provider",
      });
    }
  });
});
