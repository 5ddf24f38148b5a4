import {
  copyFileSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { Corrupted, Fault, type RecordedEvent, StoreUnavailable } from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readDeploymentId } from "../../packages/embedded/src/deployment.ts";
import { openSqliteEventLog } from "../../packages/embedded/src/sqlite-event-log.ts";
import { host, newEventLogStore } from "./embedded-stores.ts";
import { newEvent } from "./event-log.contract.ts";

describe("The file of the SQLite event log", () => {
  it("holds all that was acknowledged, whenever the process dies", async () => {
    await using store = newEventLogStore();
    await using log = await store.open();
    const acknowledged: string[] = [];
    const writers = Array.from({ length: 8 }, async (_, nth) => {
      for (let round = 0; round < 20; round++) {
        const event = newEvent();
        await log.append(`keyring-user.${nth}`, "any", [event]);
        acknowledged.push(event.id);
      }
    });
    // What lies on the disk in the middle of it is what a killed process leaves: the files, without a clean close.
    await expect.poll(() => acknowledged.length, { interval: 1 }).toBeGreaterThan(40);
    const before = [...acknowledged];
    const copy = join(store.directory, "copy.db");
    copyFileSync(store.file, copy);
    copyFileSync(`${store.file}-wal`, `${copy}-wal`);
    await Promise.all(writers);
    await using left = await store.open(copy);
    const { events } = await left.read({ after: left.zero, limit: 10_000 });
    const found = new Set(events.map(({ id }) => id));
    expect(before.filter((id) => !found.has(id))).toStrictEqual([]);
    expect((await left.append("keyring-user.0", "exists", [newEvent()])).outcome).toBe("appended");
  });

  it.for([
    "UPDATE events SET data = '{}' WHERE position = 1",
    "DELETE FROM events WHERE position = 2",
    "INSERT OR REPLACE INTO events SELECT * FROM events WHERE position = 1",
    "REPLACE INTO events SELECT position, stream_id, 7, event_id, type, data, metadata, recorded_at, checksum FROM events",
    "UPDATE streams SET name = 'keyring-user.2'",
    "UPDATE streams SET revision = 0",
    "DELETE FROM streams",
    "UPDATE deployment SET id = 'another'",
    "DELETE FROM deployment",
  ])("refuses %s", async (sql) => {
    await using store = newEventLogStore();
    await using log = await store.open();
    await log.append("keyring-user.1", "none", [newEvent(), newEvent()]);
    const before = await log.read({ after: log.zero, limit: 10 });
    using other = new DatabaseSync(store.file);
    other.exec("PRAGMA recursive_triggers = ON; PRAGMA foreign_keys = OFF");
    expect(() => other.exec(sql)).toThrow(/append-only|only grow|deployment/);
    expect(await log.read({ after: log.zero, limit: 10 })).toStrictEqual(before);
  });

  it("tells which event was altered behind the triggers' back", async () => {
    await using store = newEventLogStore();
    await using log = await store.open();
    const { position } = await log.append("keyring-user.1", "none", [newEvent()]);
    await log.append("keyring-user.1", 0, [newEvent()]);
    using other = new DatabaseSync(store.file);
    other.exec(`PRAGMA recursive_triggers = OFF;
      INSERT OR REPLACE INTO events SELECT position, stream_id, revision, event_id, type,
        replace(data, 'byok', 'neo'), metadata, recorded_at, checksum FROM events WHERE position = 2`);
    const fault = { constructor: Corrupted, retryable: false };
    await expect(log.read({ after: position, limit: 10 })).rejects.toMatchObject({
      ...fault,
      message: `${store.file}: the event at position 2 is damaged`,
    });
    await expect(log.readStream("keyring-user.1", { from: 0, limit: 10 })).rejects.toMatchObject({
      ...fault,
      message: `${store.file}: the event of keyring-user.1 at revision 1 is damaged`,
    });
    expect((await log.read({ after: log.zero, limit: 1 })).events).toHaveLength(1);
  });

  it.for([
    ["the last event", "DELETE FROM events WHERE position = 3"],
    ["the record of positions given", "DELETE FROM sqlite_sequence"],
    ["a stream's last revision", "UPDATE streams SET revision = 1"],
    ["the deployment", "DELETE FROM deployment"],
  ] as const)("serves no log that has lost %s", async ([, sql]) => {
    await using store = newEventLogStore();
    {
      await using log = await store.open();
      await log.append("keyring-user.1", "none", [newEvent(), newEvent(), newEvent()]);
    }
    const triggers = withoutTriggers(store.file, sql);
    expect(triggers).toBe(6);
    const serve = async () => {
      await using log = await store.open();
      return log.readStream("keyring-user.1", { from: 0, limit: 10 });
    };
    const fault = await serve().catch((error: unknown) => error);
    expect(fault).toBeInstanceOf(Fault);
    expect(fault).toMatchObject({ message: expect.stringContaining(store.file), retryable: false });
  });

  it.for([2, 10])("skips no event that is missing in between, reading %d", async (limit) => {
    await using store = newEventLogStore();
    {
      await using log = await store.open();
      await log.append("keyring-user.1", "none", [newEvent(), newEvent(), newEvent()]);
    }
    withoutTriggers(store.file, "DELETE FROM events WHERE position = 2");
    await using log = await store.open();
    await expect(log.read({ after: log.zero, limit })).rejects.toBeInstanceOf(Corrupted);
    await expect(log.readStream("keyring-user.1", { from: 0, limit })).rejects.toBeInstanceOf(
      Corrupted,
    );
  });

  it("never serves anything but what was written, whichever byte is damaged", async () => {
    await using store = newEventLogStore();
    const streams = ["keyring-user.1", "keyring-team.2", "caller-3"];
    const contents = async (): Promise<readonly (readonly RecordedEvent[])[]> => {
      await using log = await store.open();
      const { events } = await log.read({ after: log.zero, limit: 10_000 });
      const each = streams.map((stream) => log.readStream(stream, { from: 0, limit: 10_000 }));
      return [events, ...(await Promise.all(each))];
    };
    {
      await using log = await store.open();
      for (let nth = 0; nth < 60; nth++) {
        await log.append(streams[nth % 3] ?? "", "any", [newEvent()]);
      }
    }
    const written = await contents();
    const bytes = readFileSync(store.file);
    const offset = fc.nat({ max: bytes.length - 1 });
    await fc.assert(
      fc.asyncProperty(offset, fc.integer({ min: 1, max: 255 }), async (at, mask) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = (damaged[at] ?? 0) ^ mask;
        writeFileSync(store.file, damaged);
        try {
          expect(await contents()).toStrictEqual(written);
        } catch (error) {
          if (!(error instanceof Fault)) throw error;
          expect(error.message).toContain(store.file);
        }
      }),
      { numRuns: 400 },
    );
  }, 60_000);

  it("stays with its deployment", async () => {
    await using store = newEventLogStore();
    expect(readDeploymentId(store.file)).toBe(undefined);
    expect(existsSync(store.file)).toBe(false);
    await (await store.open())[Symbol.asyncDispose]();
    expect(readDeploymentId(store.file)).toBe(store.deploymentId);
    expect(readdirSync(store.directory)).toStrictEqual(["log.db"]);
    const other = { file: store.file, deploymentId: host.random.uuid(), host };
    expect(() => openSqliteEventLog(other)).toThrow(
      expect.objectContaining({
        constructor: StoreUnavailable,
        message: `${store.file}: belongs to another deployment`,
      }),
    );
  });

  it("forgets all of a transaction that failed on the way, and tells it to all who took part", async () => {
    await using store = newEventLogStore();
    await using log = await store.open();
    await log.append("keyring-user.1", "none", [newEvent()]);
    using other = new DatabaseSync(store.file);
    other.exec(`CREATE TRIGGER refused BEFORE INSERT ON events WHEN NEW.type = 'Refused'
      BEGIN SELECT RAISE(ABORT, 'refused'); END`);
    const ends = await Promise.allSettled([
      log.append("keyring-user.1", 0, [newEvent()]),
      log.append("keyring-user.2", "none", [newEvent()]),
      log.append("keyring-user.3", "none", [newEvent(), newEvent({ type: "Refused" })]),
    ]);
    expect(
      ends.map((end) => end.status === "rejected" && end.reason instanceof Corrupted),
    ).toStrictEqual([true, true, true]);
    expect((await log.append("keyring-user.2", "none", [newEvent()])).revision).toBe(0);
    expect((await log.append("keyring-user.1", 0, [newEvent()])).revision).toBe(1);
    expect((await log.read({ after: log.zero, limit: 10 })).events).toHaveLength(3);
  });

  it("does not let a damaged stream fail its neighbours", async () => {
    await using store = newEventLogStore();
    {
      await using log = await store.open();
      await log.append("keyring-user.1", "none", [newEvent(), newEvent()]);
    }
    withoutTriggers(store.file, "UPDATE streams SET revision = 0");
    await using log = await store.open();
    const damaged = expect(log.append("keyring-user.1", 0, [newEvent()])).rejects.toMatchObject({
      constructor: Corrupted,
      message: `${store.file}: stream keyring-user.1 has lost its last events`,
    });
    expect((await log.append("keyring-user.2", "none", [newEvent()])).revision).toBe(0);
    await damaged;
  });

  it("is for nobody but its user", async () => {
    await using store = newEventLogStore();
    await using log = await store.open();
    await log.append("keyring-user.1", "none", [newEvent()]);
    for (const file of readdirSync(store.directory)) {
      expect(statSync(join(store.directory, file)).mode & 0o777).toBe(0o600);
    }
  });

  it("takes no append once it was removed", async () => {
    await using store = newEventLogStore();
    await using log = await store.open();
    await log.append("keyring-user.1", "none", [newEvent()]);
    rmSync(store.file);
    await expect(log.append("keyring-user.1", 0, [newEvent()])).rejects.toMatchObject({
      constructor: StoreUnavailable,
      retryable: false,
    });
    expect(existsSync(store.file)).toBe(false);
  });

  it("settles all appends before it is closed, then refuses them and ends followers", async () => {
    await using store = newEventLogStore();
    const log = await store.open();
    const appends = Array.from({ length: 20 }, (_, nth) =>
      log.append(`keyring-user.${nth}`, "none", [newEvent()]),
    );
    const following = (async () => {
      for await (const _ of log.follow({ after: log.zero, signal: new AbortController().signal }));
    })();
    const ended = expect(following).rejects.toBeInstanceOf(StoreUnavailable);
    await log[Symbol.asyncDispose]();
    expect((await Promise.all(appends)).length).toBe(20);
    await ended;
    await expect(log.append("keyring-user.1", "any", [newEvent()])).rejects.toBeInstanceOf(
      StoreUnavailable,
    );
  });
});

/** Does what the triggers forbid, as a tool or a fault of the disk could, and leaves them in place. */
function withoutTriggers(file: string, sql: string): number {
  using database = new DatabaseSync(file);
  const triggers = database
    .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
    .all();
  for (const { name } of triggers) database.exec(`DROP TRIGGER ${String(name)}`);
  database.exec(sql);
  for (const { sql: definition } of triggers) database.exec(String(definition));
  return triggers.length;
}
