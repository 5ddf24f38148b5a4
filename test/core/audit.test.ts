import {
  type AuditRecord,
  type AuditSink,
  createRelay,
  Fault,
  linkHash,
  type Position,
  StoreUnavailable,
} from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { hashOf } from "./support/chain.ts";
import {
  accepted,
  callOf,
  create,
  newStorage,
  type Process,
  patience,
  refusal,
  resolve,
  stampOf,
  startProcess,
  team,
  upsert,
} from "./support/deployment.ts";

const blue = { kind: "team", id: "blue" } as const;
const down = new StoreUnavailable("the sink is down", { retryable: true });

type Filter = Parameters<Process["ledger"]["audit"]["list"]>[1];

const list = async (
  process: Process,
  filter: Partial<Filter> = {},
  feed: "changes" | "access" = "changes",
) =>
  accepted(
    await process.ledger.audit.list(feed, { owner: null, pageSize: 100, pageToken: "", ...filter }),
  );

async function walk(process: Process, filter: Partial<Filter>) {
  const pages: (readonly AuditRecord[])[] = [];
  for (let pageToken = ""; ; ) {
    const page = await list(process, { ...filter, pageToken });
    pages.push(page.records);
    if (page.nextPageToken === "") return pages;
    pageToken = page.nextPageToken;
  }
}

/** A history that has something of everything. */
async function story(process: Process): Promise<void> {
  await upsert(process, "sk-one", { name: "Ann's key" });
  await upsert(process, "sk-two", { name: "Bob's key" });
  accepted(await process.ledger.setMode(callOf(process), "byok"));
  await upsert(process, "sk-blue", { owner: blue });
  await process.ledger.callerKeys.issue(
    { stamp: stampOf(process), expected: undefined, signal: patience },
    { role: "team-admin", owner: team, label: "ci", expiresAt: null, random: null },
  );
  accepted(await process.ledger.deleteKey(callOf(process), { soleKeyOf: "openai" }));
}

/** Checks a chain with nothing but what a record publishes. */
function expectVerifiable(process: Process, records: readonly AuditRecord[]): void {
  const last = new Map<string, AuditRecord>();
  for (const record of records) {
    const before = last.get(record.stream);
    expect(record.revision).toBe((before?.revision ?? -1) + 1);
    expect(record.prevHash).toBe(before?.hash ?? "0".repeat(64));
    expect(linkHash(process.host.crypto, { ...record, id: record.eventId })).toBe(record.hash);
    last.set(record.stream, record);
  }
}

describe("an audit record", () => {
  it("says what happened, where, when, by whom and on whose request", async () => {
    await using process = await startProcess();
    const stamp = {
      actor: "user.ann",
      actorType: "team-admin",
      requestId: "r-1",
      correlationId: "c-1",
      causationId: "e-0",
      traceparent: "00-a-b-01",
    } as const;
    await upsert(process, "sk-one", { stamp });
    const [stored] = process.storage.log.events;
    const [record] = (await list(process)).records;
    expect(record).toMatchObject({
      position: stored?.position,
      stream: "keyring-team.red",
      revision: 0,
      eventId: stored?.id,
      type: "KeyAdded",
      schemaVersion: 1,
      time: "2026-01-01T00:00:00.000Z",
      owner: team,
      ...stamp,
    });
  });

  it("withholds fingerprints, keyed hashes and the names people give", async () => {
    await using process = await startProcess();
    await story(process);
    const { records } = await list(process);
    const published = JSON.stringify(records);
    for (const { data, metadata } of process.storage.log.events) {
      const { fingerprint, mac, name } = JSON.parse(data);
      for (const secret of [fingerprint, mac, name, metadata.requestMac]) {
        if (typeof secret === "string") expect(published).not.toContain(secret);
      }
    }
    for (const word of ["fingerprint", "mac", "name", "Ann", "Bob"]) {
      for (const { data } of records) expect(data).not.toContain(`"${word}"`);
    }
    expect(published).not.toContain("Ann's key");
    const added = JSON.parse(records[0]?.data ?? "");
    expect(added).toMatchObject({ provider: "openai", label: "...-one", disabled: false });
  });

  it("carries the digests of what is stored, so that the redacted feed still verifies", async () => {
    await using process = await startProcess();
    await story(process);
    const { records } = await list(process);
    expect(new Set(records.map(({ stream }) => stream)).size).toBe(3);
    expectVerifiable(process, records);
    for (const [nth, event] of process.storage.log.events.entries()) {
      expect(records[nth]?.hash).toBe(hashOf(event, records[nth]?.prevHash ?? ""));
    }
  });

  it("of an access verifies likewise", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    await resolve(process);
    await resolve(process, { policy: "mode" });
    const { records } = await list(process, {}, "access");
    expect(records.map(({ type }) => type)).toStrictEqual(["AccessGranted", "AccessGranted"]);
    expect(records[0]).toMatchObject({ owner: team, actor: "caller.gateway" });
    expectVerifiable(process, records);
  });

  it("that was tampered with does not verify", async () => {
    await using process = await startProcess();
    await story(process);
    const { records } = await list(process);
    const [record] = records.slice(1, 2);
    if (!record) throw new Error("there are several records");
    for (const change of [
      { dataDigest: "0".repeat(64) },
      { metadataDigest: "0".repeat(64) },
      { revision: 7 },
      { stream: "keyring-team.blue" },
      { type: "KeyRotated" },
      { eventId: records[0]?.eventId ?? "" },
      { prevHash: "0".repeat(64) },
    ]) {
      const link = { ...record, ...change };
      expect(linkHash(process.host.crypto, { ...link, id: link.eventId })).not.toBe(record.hash);
    }
  });
});

describe("the audit list", () => {
  it.for([1, 2, 3, 100])("is the whole feed in pages of %d", async (pageSize) => {
    await using process = await startProcess();
    await story(process);
    const pages = await walk(process, { pageSize });
    for (const page of pages) expect(page.length).toBeLessThanOrEqual(pageSize);
    expect(pages.flat().map(({ position }) => position)).toStrictEqual(
      process.storage.log.events.map(({ position }) => position),
    );
  });

  it.for([1, 2, 100])("is about one owner where one is named, in pages of %d", async (pageSize) => {
    await using process = await startProcess();
    await story(process);
    const records = (await walk(process, { pageSize, owner: blue })).flat();
    expect(records.map(({ type }) => type)).toStrictEqual(["KeyAdded", "KeyProbed"]);
    const own = (await walk(process, { pageSize, owner: team })).flat();
    expect(own.map(({ type }) => type)).toContain("ApiKeyIssued");
    expect(own).toHaveLength(process.storage.log.events.length - 2);
  });

  it("looks at 10,000 records, then answers what it has, perhaps nothing, with a token", async () => {
    await using process = await startProcess({ isFollowing: false });
    const { log } = process.storage;
    const metadata = {
      $correlationId: "c",
      actor: "user.ann",
      actorType: "user",
      owner: "team.red",
      requestId: "r",
      schemaVersion: "1",
      time: "t",
      prevHash: "00",
      hash: "00",
    };
    const add = (owner: string, revision: number) =>
      log.add(
        {
          id: "00000000-0000-7000-8000-000000000000",
          type: "EntitlementSet",
          data: '{"byok":"on"}',
          metadata: { ...metadata, owner },
        },
        `keyring-${owner}`,
        revision,
      );
    for (let nth = 0; nth < 25_000; nth++) add("team.red", nth);
    const last = add("team.blue", 0);
    const first = await list(process, { owner: blue });
    expect(first).toStrictEqual({ records: [], nextPageToken: log.positionOf(10_000) });
    const pages = await walk(process, { owner: blue });
    expect(pages.map(({ length }) => length)).toStrictEqual([0, 0, 1]);
    expect(pages[2]?.[0]?.position).toBe(last.position);
    const reads = process.log.calls.filter((name) => name === "read").length;
    expect(reads).toBeLessThanOrEqual(20 + 20 + 20 + 12);
  });

  it.for([
    ["nonsense", "is no position of the feed changes"],
    ["an access position", "is no position of the feed changes"],
    ["one ahead", "lies ahead of the feed changes"],
  ] as const)("refuses %s as a token", async ([kind, description]) => {
    await using process = await startProcess();
    const { position } = accepted(await upsert(process, "sk-one"));
    const pageToken = {
      nonsense: "nonsense",
      "an access position": process.storage.accessLog.zero,
      "one ahead": position.replace(/.$/, "f"),
    }[kind];
    const { audit } = process.ledger;
    const filter = { owner: null, pageSize: 10, pageToken };
    expect(refusal(await audit.list("changes", filter))).toStrictEqual({
      reason: "invalid",
      violations: [{ field: "page_token", description }],
    });
    expect(await audit.checkStart("changes", pageToken)).toStrictEqual({
      reason: "invalid",
      violations: [{ field: "after", description }],
    });
    expect(await audit.checkStart("changes", "")).toBeUndefined();
    expect(await audit.checkStart("changes", position)).toBeUndefined();
  });
});

describe("following the audit feed", () => {
  it("catches up, tells so, then goes on live, with the owner's records only", async () => {
    await using process = await startProcess();
    await story(process);
    const stop = new AbortController();
    const seen: string[] = [];
    const following = (async () => {
      const filter = { owner: blue, after: "" };
      for await (const item of process.ledger.audit.follow("changes", filter, stop.signal)) {
        if (item.kind === "caught-up") seen.push("caught-up");
        else seen.push(...item.records.map(({ type }) => type));
      }
    })();
    await expect.poll(() => seen).toStrictEqual(["KeyAdded", "KeyProbed", "caught-up"]);
    await upsert(process, "sk-red");
    accepted(await process.ledger.setMode(callOf(process, { owner: blue }), "byok"));
    await expect.poll(() => seen).toContain("ModeSet");
    expect(seen.filter((kind) => kind !== "caught-up")).toStrictEqual([
      "KeyAdded",
      "KeyProbed",
      "ModeSet",
    ]);
    stop.abort();
    await following;
  });

  it("goes on behind the position it is given", async () => {
    await using process = await startProcess();
    await story(process);
    const [first] = process.storage.log.events;
    const stop = new AbortController();
    const filter = { owner: null, after: first?.position ?? "" };
    for await (const item of process.ledger.audit.follow("changes", filter, stop.signal)) {
      if (item.kind === "caught-up") break;
      expect(item.records.map(({ position }) => position)).toStrictEqual(
        process.storage.log.events.slice(1).map(({ position }) => position),
      );
    }
    stop.abort();
  });
});

/** A sink that keeps what it is given, and fails when it is told to. */
class MemorySink implements AuditSink {
  readonly records: AuditRecord[] = [];
  readonly faults: Error[] = [];
  held: Position | null = null;

  async resumeAfter(): Promise<Position | null> {
    return this.held;
  }

  async deliver(_feed: "changes" | "access", records: readonly AuditRecord[]): Promise<void> {
    const fault = this.faults.shift();
    if (fault) throw fault;
    this.records.push(...records);
    this.held = records.at(-1)?.position ?? this.held;
  }
}

describe("the relay", () => {
  const start = (process: Process, sink: AuditSink) => {
    const { host, storage } = process;
    const relay = createRelay({ feed: storage.log, sink, host });
    const stop = new AbortController();
    const running = relay.run(stop.signal);
    running.catch(() => {});
    return {
      relay,
      running,
      [Symbol.asyncDispose]: async () => {
        stop.abort();
        await running.catch(() => {});
      },
    };
  };
  const positions = (records: readonly { position: Position }[]) =>
    records.map(({ position }) => position);

  it("delivers everything in order, each once, then what comes later", async () => {
    await using process = await startProcess();
    await story(process);
    const sink = new MemorySink();
    await using following = start(process, sink);
    await expect.poll(() => following.relay.state().isCaughtUp).toBe(true);
    await upsert(process, "sk-late");
    const { events } = process.storage.log;
    await expect.poll(() => sink.records).toHaveLength(events.length);
    expect(positions(sink.records)).toStrictEqual(positions(events));
    expectVerifiable(process, sink.records);
    expect(following.relay.state()).toStrictEqual({
      position: events.at(-1)?.position,
      isCaughtUp: true,
      problem: null,
    });
  });

  it("goes on behind what the sink says it holds, after a restart", async () => {
    await using process = await startProcess();
    await story(process);
    const sink = new MemorySink();
    sink.held = process.storage.log.events[2]?.position ?? null;
    await using _ = start(process, sink);
    const rest = process.storage.log.events.slice(3);
    await expect.poll(() => positions(sink.records)).toStrictEqual(positions(rest));
  });

  it("asks the sink again after each fault, loses nothing, and says what is wrong", async () => {
    await using process = await startProcess();
    await story(process);
    const sink = new MemorySink();
    sink.faults.push(down, down, down);
    const problems: (string | null | undefined)[] = [];
    let following: ReturnType<typeof start> | undefined;
    sink.resumeAfter = async () => {
      problems.push(following?.relay.state().problem);
      expect(following?.relay.state().isCaughtUp).not.toBe(true);
      return sink.held;
    };
    following = start(process, sink);
    await expect.poll(() => following?.relay.state().isCaughtUp).toBe(true);
    expect(following.relay.state().problem).toBeNull();
    expect(problems.slice(1)).toStrictEqual(new Array(3).fill("the sink is down"));
    expect(positions(sink.records)).toStrictEqual(positions(process.storage.log.events));
    expect(process.time.elapsed()).toBe(50 + 100 + 200);
    await following[Symbol.asyncDispose]();
  });

  it("stops where the sink holds records of another deployment, or of a newer log", async () => {
    await using process = await startProcess();
    await story(process);
    const head = await process.storage.log.head();
    for (const held of [newStorage().log.zero, head.replace(/.$/, "f"), "nonsense"]) {
      const sink = new MemorySink();
      sink.held = held;
      await using following = start(process, sink);
      await expect(following.running).rejects.toBeInstanceOf(Fault);
      expect(following.relay.state().problem).toMatch(/another deployment or a newer log/);
      expect(sink.records).toStrictEqual([]);
    }
  });

  it("holds up nothing else while its sink is down", async () => {
    await using process = await startProcess();
    const sink = new MemorySink();
    sink.deliver = () => new Promise(() => {});
    const stop = new AbortController();
    void createRelay({ feed: process.storage.log, sink, host: process.host }).run(stop.signal);
    await upsert(process, "sk-one");
    accepted(await create(process, "sk-two"));
    stop.abort();
  });
});
