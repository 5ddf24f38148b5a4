import { describe, expect, it } from "vitest";
import {
  accepted,
  anyTime,
  callOf,
  create,
  type Process,
  refusal,
  startProcess,
  team,
  upsert,
} from "./support/deployment.ts";

const workspace = "00000000-0000-7000-8000-00000000aaaa";
const elsewhere = "00000000-0000-7000-8000-00000000bbbb";

async function withKeys(): Promise<Process> {
  const process = await startProcess();
  const keys = [
    ["primary", {}],
    ["second", {}],
    ["disabled", { disabled: true }],
    ["fallback", { fallback: true }],
    ["bound", { workspaceId: workspace }],
    ["mistral", { provider: "mistral" }],
  ] as const;
  for (const [name, wish] of keys) accepted(await create(process, `sk-${name}`, { name, ...wish }));
  return process;
}

type Filter = Parameters<Process["ledger"]["queries"]["listKeys"]>[1];

const list = async (process: Process, filter: Partial<Filter> = {}) =>
  accepted(
    await process.ledger.queries.listKeys(
      team,
      {
        providers: [],
        primaryOnly: false,
        workspaceId: undefined,
        offset: 0,
        limit: 100,
        ...filter,
      },
      anyTime,
    ),
  );

const names = ({ keys }: Awaited<ReturnType<typeof list>>) => keys.map(({ key }) => key.name);

describe("the list of keys", () => {
  it("is in order of provider, fallback and sort order, and counts everything", async () => {
    await using process = await withKeys();
    const answer = await list(process);
    expect(names(answer)).toStrictEqual([
      "mistral",
      "primary",
      "second",
      "disabled",
      "bound",
      "fallback",
    ]);
    expect(answer).toMatchObject({
      totalCount: 6,
      configuredKeys: 6,
      enabledKeys: 5,
      mode: "neo",
      effectiveMode: "neo",
    });
    expect(
      answer.keys.filter(({ isPrimary }) => isPrimary).map(({ key }) => key.name),
    ).toStrictEqual(["mistral", "primary"]);
  });

  it.for([
    [{ providers: ["mistral"] }, ["mistral"]],
    [{ providers: ["openai", "mistral"], primaryOnly: true }, ["mistral", "primary"]],
    [{ providers: ["anthropic"] }, []],
    [
      { workspaceId: workspace, providers: ["openai"] },
      ["primary", "second", "disabled", "bound", "fallback"],
    ],
    [
      { workspaceId: elsewhere, providers: ["openai"] },
      ["primary", "second", "disabled", "fallback"],
    ],
  ] as const)("can be narrowed by %j", async ([filter, expected]) => {
    await using process = await withKeys();
    const answer = await list(process, filter);
    expect(names(answer)).toStrictEqual(expected);
    expect(answer).toMatchObject({ totalCount: expected.length, configuredKeys: 6 });
  });

  it("comes in pages that together are the whole", async () => {
    await using process = await withKeys();
    const all = names(await list(process));
    for (const limit of [1, 2, 4, 6]) {
      const pages: (string | null)[] = [];
      for (let offset = 0; offset < 6; offset += limit) {
        const page = await list(process, { offset, limit });
        expect(page.totalCount).toBe(6);
        pages.push(...names(page));
      }
      expect(pages).toStrictEqual(all);
    }
    expect(names(await list(process, { offset: 6 }))).toStrictEqual([]);
  });

  it("of an owner without events is empty, at no revision", async () => {
    await using process = await startProcess();
    expect(await list(process)).toStrictEqual({
      mode: "neo",
      effectiveMode: "neo",
      configuredKeys: 0,
      enabledKeys: 0,
      keys: [],
      totalCount: 0,
      revision: null,
      position: process.storage.log.zero,
    });
  });
});

describe("the mode", () => {
  it("is shown with what takes effect behind the gate", async () => {
    await using process = await startProcess();
    const { ledger } = process;
    await upsert(process, "sk-one");
    accepted(await ledger.setMode(callOf(process), "byok"));
    const mode = async () => accepted(await ledger.queries.getMode(team, anyTime));
    expect(await mode()).toMatchObject({ mode: "byok", effectiveMode: "byok", revision: 2 });
    expect(ledger.isGateOpen(team)).toBe(true);
    accepted(await ledger.setEntitlement(callOf(process), "off"));
    expect(await mode()).toMatchObject({ mode: "byok", effectiveMode: "neo", configuredKeys: 1 });
    expect(ledger.isGateOpen(team)).toBe(false);
    accepted(await ledger.setEntitlement(callOf(process), "on"));
    expect(await mode()).toMatchObject({ mode: "byok", effectiveMode: "byok" });
  });
});

describe("one key", () => {
  it("is found by its id, at its owner only", async () => {
    await using process = await startProcess();
    const { key } = accepted(await upsert(process, "sk-one"));
    const { queries } = process.ledger;
    expect(accepted(await queries.getKey(team, key.keyId, anyTime)).key).toStrictEqual(key);
    const blue = { kind: "team", id: "blue" } as const;
    expect(refusal(await queries.getKey(blue, key.keyId, anyTime))).toStrictEqual({
      reason: "key-not-found",
    });
  });
});
