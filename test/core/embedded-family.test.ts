import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createLedger, keyringStream, type LedgerPorts, type Owner } from "@keyledger/core";
import { openEmbedded, openReadModels } from "@keyledger/embedded";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { expectUnbrokenChain } from "./support/chain.ts";
import {
  accepted,
  anyTime,
  callOf,
  catalogue,
  create,
  patience,
  refsOf,
  refusal,
  resolve,
  team,
  textOf,
  upsert,
  valid,
} from "./support/deployment.ts";

const host = nodeHost();
const time = { clock: host.clock };

async function openReal(directory: string) {
  await using stack = new AsyncDisposableStack();
  const embedded = stack.use(await openEmbedded({ directory, host }));
  const models = stack.use(
    openReadModels({ file: join(directory, "views.db"), deploymentId: embedded.deploymentId }),
  );
  const ports: LedgerPorts = {
    ...embedded,
    models,
    catalogue,
    probe: { probe: async () => valid },
    host,
  };
  const ledger = createLedger(ports, {
    probePolicy: { isOn: true, onRejected: "reject", onIndeterminate: "store" },
    byokDefault: "on",
  });
  const stop = new AbortController();
  const running = Promise.all([
    ledger.projector.run(stop.signal),
    ledger.reaper.run(stop.signal),
    ledger.opener.run(stop.signal),
  ]);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  await ledger.projector.reached(await ports.log.head(), stop.signal, 10_000);
  const open = stack.move();
  return { ledger, time, ports, [Symbol.asyncDispose]: () => open.disposeAsync() };
}

function newDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "keyledger-core-"));
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

type Real = Awaited<ReturnType<typeof openReal>>;

const eventsOf = (real: Real, owner: Owner) =>
  real.ports.log.readStream(keyringStream(owner), { from: 0, limit: 10_000 });

async function expectWhole(real: Real, owner: Owner): Promise<void> {
  expectUnbrokenChain(await eventsOf(real, owner));
  await expect.poll(() => real.ports.models.pendingShredCount(), { timeout: 10_000 }).toBe(0);
  for (const ref of refsOf(real.ports.models.keyring(owner))) {
    expect(await real.ports.secrets.get(ref)).not.toBeNull();
  }
}

describe("on the embedded family", () => {
  it("a key lives its whole life, and the next start knows all of it", async () => {
    using place = newDirectory();
    {
      await using real = await openReal(place.directory);
      accepted(await upsert(real, "sk-one", { name: "prod" }));
      accepted(await real.ledger.setMode(callOf(real), "byok"));
      accepted(await upsert(real, "sk-two"));
      const answer = accepted(await resolve(real, { policy: "mode" }));
      expect(textOf(answer.material)).toBe("sk-two");
      await expectWhole(real, team);
    }
    await using real = await openReal(place.directory);
    const answer = accepted(await resolve(real, { policy: "mode" }));
    expect(textOf(answer.material)).toBe("sk-two");
    const deleted = await real.ledger.deleteKey(callOf(real), { soleKeyOf: "openai" });
    expect(accepted(deleted)).toMatchObject({ autoSwitched: true, wipePending: false });
    expect(refusal(await resolve(real, { skip: new Set(["platform"]) }))).toMatchObject({
      reason: "no-key",
    });
    await expectWhole(real, team);
    expect((await eventsOf(real, team)).map(({ type }) => type)).toStrictEqual([
      "KeyAdded",
      "KeyProbed",
      "ModeSet",
      "KeyRotated",
      "KeyProbed",
      "SecretShredded",
      "KeyDeleted",
      "ModeSet",
      "SecretShredded",
    ]);
    const { events } = await real.ports.accessLog.read({
      after: real.ports.accessLog.zero,
      limit: 100,
    });
    expect(events.map(({ type }) => type)).toStrictEqual([
      "AccessGranted",
      "AccessGranted",
      "AccessRefused",
    ]);
    expectUnbrokenChain(events);
  });

  it("64 writers on one owner all succeed or are refused by rule, and readers never see byok without a key", async () => {
    using place = newDirectory();
    await using real = await openReal(place.directory);
    const { ledger } = real;
    let isOver = false;
    let reads = 0;
    const violations: unknown[] = [];
    const reader = async () => {
      while (!isOver) {
        const mode = accepted(await ledger.queries.getMode(team, anyTime));
        const keys = accepted(
          await ledger.queries.listKeys(
            team,
            { providers: [], primaryOnly: false, workspaceId: undefined, offset: 0, limit: 500 },
            anyTime,
          ),
        );
        if (mode.mode === "byok" && mode.enabledKeys === 0) violations.push(mode);
        const enabled = keys.keys.filter(({ key }) => !key.disabled).length;
        if (keys.mode === "byok" && enabled === 0) violations.push(keys);
        reads += 2;
        if (reads % 64 === 0) await new Promise(setImmediate);
      }
    };
    const command = (nth: number): Promise<object> => {
      switch (nth % 4) {
        case 0:
          return upsert(real, `sk-${nth}`);
        case 1:
          return create(real, `sk-${nth}`, { provider: "mistral", disabled: nth % 8 === 1 });
        case 2:
          return ledger.setMode(callOf(real), "byok");
        default:
          return ledger.deleteKey(callOf(real), {
            soleKeyOf: nth % 8 === 3 ? "openai" : "mistral",
          });
      }
    };
    const refusals: Record<string, number> = {};
    const readers = [reader(), reader()];
    try {
      for (let round = 0; round < 15; round++) {
        const answers = await Promise.all(
          Array.from({ length: 64 }, (_, nth) => command(round * 64 + nth)),
        );
        for (const answer of answers) {
          if (!("rejected" in answer)) continue;
          const { reason } = refusal(answer) as { reason: string };
          refusals[reason] = (refusals[reason] ?? 0) + 1;
        }
        for (const { key } of accepted(
          await ledger.queries.listKeys(
            team,
            { providers: [], primaryOnly: false, workspaceId: undefined, offset: 0, limit: 500 },
            anyTime,
          ),
        ).keys) {
          accepted(await ledger.deleteKey(callOf(real), { keyId: key.keyId }));
        }
      }
    } finally {
      isOver = true;
      await Promise.all(readers);
    }
    expect(violations).toStrictEqual([]);
    expect(reads).toBeGreaterThan(1_000);
    for (const reason of Object.keys(refusals)) {
      expect(["no-keys-for-byok", "other-keys-exist", "key-not-found"]).toContain(reason);
    }
    await expectWhole(real, team);
  }, 60_000);

  it("the same request sent 50 times at once is done once", async () => {
    using place = newDirectory();
    await using real = await openReal(place.directory);
    const same = { stamp: { requestId: "double-click" } };
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => upsert(real, "sk-one", same)),
    );
    expect(new Set(answers.map((answer) => accepted(answer).key.keyId)).size).toBe(1);
    expect(await eventsOf(real, team)).toHaveLength(2);
    const { records } = await real.ports.secrets.scan({ cursor: "", limit: 10 });
    expect(records).toHaveLength(1);
    expect(await real.ledger.collector.collect(patience)).toBe(0);
  });
});
