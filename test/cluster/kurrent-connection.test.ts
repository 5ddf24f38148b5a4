import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import { afterAll, describe, expect, it } from "vitest";
import { newAccess } from "../contract/access-log.contract.ts";
import { newAccessLogStore, newEventLogStore } from "../contract/cluster-kurrent.ts";
import { newEvent } from "../contract/event-log.contract.ts";
import { NODE_CERTIFICATE, NODE_KEY, TEST_AUTHORITY } from "../support/kurrent/certificates.ts";
import { startKurrentProcess } from "../support/kurrent/process.ts";
import { startKurrentStandIn } from "../support/kurrent/stand-in.ts";

const newStream = (): string => `keyring-user.${randomUUID()}`;

const directory = mkdtempSync(join(tmpdir(), "kurrent-connection-"));
afterAll(() => rmSync(directory, { recursive: true }));

describe("A connection to KurrentDB over TLS", () => {
  const caFile = join(directory, "ca.pem");
  writeFileSync(caFile, TEST_AUTHORITY);
  const tls = { key: NODE_KEY, cert: NODE_CERTIFICATE, caFile };

  it("carries everything under a password that has to be encoded", async () => {
    await using standIn = await startKurrentStandIn({ tls, users: { keeper: "p@ss/w:rd ü%" } });
    const engine = { connectionString: standIn.connectionString, insecure: false };
    await using log = await newEventLogStore(engine).open();
    const stream = newStream();
    await log.append(stream, "none", [newEvent()]);
    expect(await log.readStream(stream, { from: 0, limit: 10 })).toHaveLength(1);
    expect((await log.read({ after: log.zero, limit: 10 })).events).toHaveLength(1);
    await using access = await newAccessLogStore(engine).open();
    expect((await access.append(newAccess())).revision).toBe(0);
  });

  it.for([
    ["a wrong password", (text: string) => text.replace("changeit", "haddock")],
    ["no credentials", (text: string) => text.replace("admin:changeit@", "")],
  ] as const)("is refused for good with %s, without a word of it", async ([, change]) => {
    await using standIn = await startKurrentStandIn({ tls });
    const engine = { connectionString: change(standIn.connectionString), insecure: false };
    const error: unknown = await newEventLogStore(engine)
      .open()
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ constructor: StoreUnavailable, retryable: false });
    expect(String(error)).not.toContain("haddock");
  });

  it("does not begin with an authority that cannot be read", async () => {
    const connectionString = `kurrentdb://keeper:haddock@127.0.0.1:1?tlsCAFile=${encodeURIComponent(join(directory, "none.pem"))}`;
    const error: unknown = await newEventLogStore({ connectionString, insecure: false })
      .open()
      .catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RangeError);
    expect(String(error)).not.toMatch(/haddock|none\.pem/);
  });
});

describe("A connection to KurrentDB without TLS", () => {
  it("is not made unless it is asked for", async () => {
    await using standIn = await startKurrentStandIn();
    const { connectionString } = standIn;
    await expect(
      newEventLogStore({ connectionString, insecure: false }).open(),
    ).rejects.toBeInstanceOf(RangeError);
    await expect(
      newAccessLogStore({ connectionString, insecure: false }).open(),
    ).rejects.toBeInstanceOf(RangeError);
  });
});

describe("A connection to a KurrentDB cluster", () => {
  it.for([
    ["one node that leads", ([first]: readonly number[]) => `kurrentdb://127.0.0.1:${first}`],
    [
      "one that names the leader",
      ([, second]: readonly number[]) => `kurrentdb://127.0.0.1:${second}`,
    ],
    [
      "a list of nodes",
      (ports: readonly number[]) =>
        `kurrentdb://${ports.map((port) => `127.0.0.1:${port}`).join(",")}`,
    ],
    [
      "a name to discover them by",
      ([, second]: readonly number[]) => `kurrentdb+discover://127.0.0.1:${second}`,
    ],
  ] as const)("is made by %s", async ([, address]) => {
    await using standIn = await startKurrentStandIn({ nodes: 3 });
    const ports = standIn.nodes.map(({ port }) => port);
    const connectionString = `${address(ports)}?tls=false`;
    await using log = await newEventLogStore({ connectionString, insecure: true }).open();
    const stream = newStream();
    await log.append(stream, "none", [newEvent()]);
    expect((await log.read({ after: log.zero, limit: 10 })).events).toHaveLength(1);
  });
});

describe("A connection to a KurrentDB process", () => {
  it("goes on behind a kill with everything that was acknowledged", async () => {
    let engine = await startKurrentProcess({ file: join(directory, "log.db"), nodes: 3 });
    try {
      const address = { connectionString: engine.connectionString, insecure: true };
      await using log = await newEventLogStore(address).open();
      const abort = new AbortController();
      const followed: string[] = [];
      const following = (async () => {
        for await (const item of log.follow({ after: log.zero, signal: abort.signal })) {
          if (item.kind === "page") followed.push(...item.events.map(({ id }) => id));
        }
      })();
      const stream = newStream();
      const acknowledged: string[] = [];
      for (let round = 0; round < 3; round++) {
        const until = acknowledged.length + 30;
        const killAt = acknowledged.length + 10;
        while (acknowledged.length < until) {
          if (acknowledged.length === killAt && round < 2) {
            await engine.kill();
            engine = await engine.startAgain();
          }
          const event = newEvent();
          const expected = acknowledged.length === 0 ? "none" : acknowledged.length - 1;
          for (;;) {
            try {
              await log.append(stream, expected, [event]);
              break;
            } catch (error) {
              if (error instanceof OutcomeUnknown || error instanceof StoreUnavailable) continue;
              throw error;
            }
          }
          acknowledged.push(event.id);
        }
      }
      const stored = await log.readStream(stream, { from: 0, limit: 10_000 });
      expect(stored.map(({ id }) => id)).toStrictEqual(acknowledged);
      await expect.poll(() => followed, { timeout: 5_000 }).toStrictEqual(acknowledged);
      abort.abort();
      await following;
    } finally {
      await engine[Symbol.asyncDispose]();
    }
  });
});
