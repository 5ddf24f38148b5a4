import { randomUUID } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  ANY,
  BACKWARDS,
  END,
  eventTypeFilter,
  excludeSystemEvents,
  jsonEvent,
  KurrentDBClient,
  NO_STREAM,
  START,
  STREAM_EXISTS,
  streamNameFilter,
} from "@kurrent/kurrentdb-client";
import { afterAll, describe, expect, it } from "vitest";
import { NODE_CERTIFICATE, NODE_KEY, TEST_AUTHORITY } from "../support/kurrent/certificates.ts";
import type { Negotiation } from "../support/kurrent/cluster-service.ts";
import { startKurrentProcess } from "../support/kurrent/process.ts";
import { type StandInOptions, startKurrentStandIn } from "../support/kurrent/stand-in.ts";

const newEvent = (id: string = randomUUID(), type = "Happened") =>
  jsonEvent({ id, type, data: { nth: 1 }, metadata: { actor: "user.1" } });

const newEvents = (count: number) => Array.from({ length: count }, () => newEvent());

// The bridge sleeps for the interval before it connects for the first time.
const clientOf = (connectionString: string) =>
  KurrentDBClient.connectionString(`${connectionString}&discoveryInterval=20`);

async function started(options: StandInOptions = {}) {
  const standIn = await startKurrentStandIn(options);
  const client = clientOf(standIn.connectionString);
  return {
    ...standIn,
    client,
    async [Symbol.asyncDispose]() {
      await client.dispose();
      await standIn[Symbol.asyncDispose]();
    },
  };
}

type Resolved = {
  readonly event?: {
    readonly revision: bigint;
    readonly id: string;
    readonly streamId: string;
    readonly type: string;
  };
};

async function collect(events: AsyncIterable<Resolved>) {
  const all: NonNullable<Resolved["event"]>[] = [];
  for await (const { event } of events) if (event) all.push(event);
  return all;
}

const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id);
const revisionsOf = (events: readonly { readonly revision: bigint }[]) =>
  events.map(({ revision }) => Number(revision));

/** Receives in the background; what came so far can be looked at. */
function receiving(subscription: ReturnType<KurrentDBClient["subscribeToAll"]>) {
  const received: string[] = [];
  const signs: string[] = [];
  subscription.on("data", ({ event }) => event && received.push(event.id));
  subscription.on("confirmation", () => signs.push("confirmation"));
  subscription.on("caughtUp", () => signs.push(`caught up after ${received.length}`));
  subscription.on("error", (error) => signs.push((error as { type?: string }).type ?? "error"));
  return { received, signs };
}

describe.each<Negotiation>(["batch-append", "append", "none"])(
  "The official client on a stand-in that negotiates %s",
  (negotiation) => {
    it("appends to no stream and at a revision", async () => {
      await using standIn = await started({ negotiation });
      const first = await standIn.client.appendToStream("a-1", newEvents(2), {
        streamState: NO_STREAM,
      });
      expect(first).toMatchObject({ success: true, nextExpectedRevision: 1n });
      const second = await standIn.client.appendToStream("a-1", newEvent(), { streamState: 1n });
      expect(second.nextExpectedRevision).toBe(2n);
      expect(second.position?.commit).toBeGreaterThan(first.position?.commit ?? 0n);
    });

    it.each([
      ["no stream where there is one", NO_STREAM, 2n],
      ["a revision before the last", 0n, 2n],
      ["a revision beyond the last", 7n, 2n],
    ] as const)(
      "tells the actual and the expected state in a conflict: %s",
      async (_, streamState, actual) => {
        await using standIn = await started({ negotiation });
        await standIn.client.appendToStream("a-1", newEvents(3));
        await expect(
          standIn.client.appendToStream("a-1", newEvents(1), { streamState }),
        ).rejects.toMatchObject({
          type: "wrong-expected-version",
          actualState: actual,
          expectedState: streamState,
        });
      },
    );

    it.each([
      ["a revision", 0n],
      ["a stream", STREAM_EXISTS],
    ] as const)("refuses to expect %s where there is none", async (_, streamState) => {
      await using standIn = await started({ negotiation });
      await expect(
        standIn.client.appendToStream("a-1", newEvents(1), { streamState }),
      ).rejects.toMatchObject({ type: "wrong-expected-version", actualState: NO_STREAM });
    });

    it("writes all events of an append or none", async () => {
      await using standIn = await started({ negotiation });
      await standIn.client.appendToStream("a-1", newEvents(1));
      const attempt = standIn.client.appendToStream("a-1", newEvents(5), { streamState: 3n });
      await expect(attempt).rejects.toMatchObject({ type: "wrong-expected-version" });
      await standIn.client.appendToStream("a-1", newEvents(5), { streamState: 0n });
      expect(revisionsOf(await collect(standIn.client.readStream("a-1")))).toStrictEqual([
        0, 1, 2, 3, 4, 5,
      ]);
    });

    it("reads a stream both ways", async () => {
      await using standIn = await started({ negotiation });
      const events = newEvents(600);
      await standIn.client.appendToStream("a-1", events);
      const read = async (...options: Parameters<KurrentDBClient["readStream"]>[1][]) =>
        revisionsOf(await collect(standIn.client.readStream("a-1", options[0])));
      expect(idsOf(await collect(standIn.client.readStream("a-1")))).toStrictEqual(idsOf(events));
      expect(await read({ fromRevision: 597n })).toStrictEqual([597, 598, 599]);
      expect(await read({ fromRevision: 3n, maxCount: 2 })).toStrictEqual([3, 4]);
      expect(await read({ direction: BACKWARDS, fromRevision: END, maxCount: 2 })).toStrictEqual([
        599, 598,
      ]);
      expect(await read({ direction: BACKWARDS, fromRevision: 1n })).toStrictEqual([1, 0]);
      expect(await read({ fromRevision: 600n })).toStrictEqual([]);
    });

    it("says that a stream is missing", async () => {
      await using standIn = await started({ negotiation });
      await expect(collect(standIn.client.readStream("a-1"))).rejects.toMatchObject({
        type: "stream-not-found",
      });
    });

    it("reads all streams, also backwards and filtered", async () => {
      await using standIn = await started({ negotiation });
      const { client } = standIn;
      const mine = newEvents(5);
      for (const [nth, event] of mine.entries()) {
        await client.appendToStream(`keyring-${nth}`, event);
        await client.appendToStream("other-1", newEvent());
      }
      const filter = streamNameFilter({ prefixes: ["keyring-", "caller-"] });
      const forwards = await collect(client.readAll({ filter }));
      expect(idsOf(forwards)).toStrictEqual(idsOf(mine));
      const last = await collect(
        client.readAll({ filter, direction: BACKWARDS, fromPosition: END, maxCount: 2 }),
      );
      expect(idsOf(last)).toStrictEqual(idsOf(mine).toReversed().slice(0, 2));
      const all = await collect(client.readAll());
      expect(all.some(({ streamId }) => streamId.startsWith("$"))).toBe(true);
      const types = await collect(client.readAll({ filter: excludeSystemEvents() }));
      expect(types).toHaveLength(10);
      const byRegex = streamNameFilter({ regex: "^other-\\d$" });
      expect(await collect(client.readAll({ filter: byRegex }))).toHaveLength(5);
    });

    it("reads on from a position inclusively, and what lies before it backwards", async () => {
      await using standIn = await started({ negotiation });
      const { client } = standIn;
      const events = newEvents(3);
      const positions = [];
      for (const event of events) {
        positions.push((await client.appendToStream("a-1", event)).position);
      }
      const fromPosition = positions[1] ?? { commit: 0n, prepare: 0n };
      const filter = streamNameFilter({ prefixes: ["a-"] });
      const forwards = await collect(client.readAll({ fromPosition, filter }));
      expect(idsOf(forwards)).toStrictEqual(idsOf(events).slice(1));
      const backwards = await collect(
        client.readAll({ fromPosition, filter, direction: BACKWARDS }),
      );
      expect(idsOf(backwards)).toStrictEqual(idsOf(events).slice(0, 1));
    });

    it("subscribes to all streams behind a position, catches up and goes on live", async () => {
      await using standIn = await started({ negotiation });
      const { client } = standIn;
      const [before, ...events] = newEvents(4);
      const start = await client.appendToStream("keyring-1", before ?? newEvent());
      for (const event of events) await client.appendToStream("keyring-1", event);
      const { received, signs } = receiving(
        client.subscribeToAll({
          fromPosition: start.position ?? START,
          filter: streamNameFilter({ prefixes: ["keyring-"] }),
        }),
      );
      await expect.poll(() => signs).toStrictEqual(["confirmation", "caught up after 3"]);
      const later = newEvents(3);
      for (const event of later) {
        await client.appendToStream("other-1", newEvent());
        await client.appendToStream("keyring-2", event);
      }
      await expect.poll(() => received).toStrictEqual(idsOf([...events, ...later]));
    });

    it("sends checkpoints while nothing matches", async () => {
      await using standIn = await started({ negotiation });
      const { client } = standIn;
      const checkpoints: bigint[] = [];
      const subscription = client.subscribeToAll({
        fromPosition: END,
        filter: streamNameFilter({
          prefixes: ["keyring-"],
          checkpointInterval: 2,
          checkpointReached: (_, { commit }) => void checkpoints.push(commit),
        }),
      });
      const { signs } = receiving(subscription);
      await expect.poll(() => signs).toContain("caught up after 0");
      const already = checkpoints.length;
      const last = await client.appendToStream("other-1", newEvents(64 * 3));
      await expect.poll(() => checkpoints.length - already).toBe(3);
      expect(checkpoints.at(-1)).toBe(last.position?.commit);
    });

    it("subscribes to a stream that is not there yet", async () => {
      await using standIn = await started({ negotiation });
      const { client } = standIn;
      const subscription = client.subscribeToStream("a-1", { fromRevision: START });
      const { received, signs } = receiving(subscription as never);
      await expect.poll(() => signs).toContain("caught up after 0");
      const events = newEvents(2);
      await client.appendToStream("a-1", events);
      await expect.poll(() => received).toStrictEqual(idsOf(events));
    });

    it("tombstones a stream for ever", async () => {
      await using standIn = await started({ negotiation });
      const { client } = standIn;
      await client.appendToStream("a-1", newEvents(2));
      await client.tombstoneStream("a-1");
      await expect(client.appendToStream("a-1", newEvents(1))).rejects.toMatchObject({
        type: "stream-deleted",
      });
      await expect(collect(client.readStream("a-1"))).rejects.toMatchObject({
        type: "stream-deleted",
      });
      await expect(client.tombstoneStream("a-1")).rejects.toMatchObject({ type: "stream-deleted" });
      const filter = streamNameFilter({ prefixes: ["a-"] });
      expect((await collect(client.readAll({ filter }))).at(-1)?.type).toBe("$streamDeleted");
    });

    it("carries a thousand appends and reads", async () => {
      await using standIn = await started({ negotiation });
      const { client } = standIn;
      for (let nth = 0; nth < 1_000; nth++) await client.appendToStream("a-1", newEvent());
      expect(await collect(client.readStream("a-1"))).toHaveLength(1_000);
    });
  },
);

describe("An event id that is sent again", () => {
  const a = newEvent();
  const b = newEvent();
  const c = newEvent();
  const fresh = newEvent();

  /** What each row finds: a-1 holds a, b and c at 0, 1 and 2. */
  it.each([
    ["none, all ids there", NO_STREAM, [a, b], "idempotent at 1"],
    ["none, only the first there", NO_STREAM, [a, fresh], "refused"],
    ["none, other ids there", NO_STREAM, [fresh], "refused"],
    ["a revision before the last, all ids there", 0n, [b, c], "idempotent at 2"],
    ["a revision before the last, ids elsewhere", 0n, [c], "refused"],
    ["a revision before the last, reaching beyond the end", 1n, [c, fresh], "refused"],
    ["the last revision: the ids are not examined", 2n, [a], "appended at 3"],
    ["a revision beyond the last", 3n, [a], "refused"],
    ["any, all known", ANY, [a, b], "idempotent at 1"],
    ["any, the first unknown: it is appended", ANY, [fresh, a], "appended at 4"],
    ["any, known then unknown", ANY, [a, fresh], "refused"],
    ["exists, all known", STREAM_EXISTS, [c], "idempotent at 2"],
  ] as const)("expecting %s", async (_, streamState, events, outcome) => {
    await using standIn = await started();
    const { client } = standIn;
    const first = await client.appendToStream("a-1", [a, b, c], { streamState: NO_STREAM });
    const attempt = client.appendToStream("a-1", [...events], { streamState });
    if (outcome === "refused") {
      await expect(attempt).rejects.toMatchObject({
        type: "wrong-expected-version",
        actualState: 2n,
      });
      return;
    }
    const { nextExpectedRevision, position } = await attempt;
    expect(`${outcome.split(" ")[0]} at ${nextExpectedRevision}`).toBe(outcome);
    const isOld = (position?.commit ?? 0n) <= (first.position?.commit ?? 0n);
    expect(isOld).toBe(outcome.startsWith("idempotent"));
  });

  it("is forgotten by a server that starts again, where nobody says what to expect", async () => {
    await using standIn = await started();
    const { client, control } = standIn;
    await client.appendToStream("a-1", [a]);
    await control.restart();
    const again = () => client.appendToStream("a-1", [a], { streamState: ANY });
    const { nextExpectedRevision } = await again().catch(again);
    expect(nextExpectedRevision).toBe(1n);
    expect(await client.appendToStream("a-1", [a], { streamState: NO_STREAM })).toMatchObject({
      nextExpectedRevision: 0n,
    });
  });

  it("stands in another stream as if it were new", async () => {
    await using standIn = await started();
    const { client } = standIn;
    await client.appendToStream("a-1", [a], { streamState: NO_STREAM });
    await client.appendToStream("a-2", [a], { streamState: NO_STREAM });
    expect(await collect(client.readStream("a-2"))).toHaveLength(1);
  });
});

describe("A stream of the stand-in", () => {
  it("reads as missing once it is deleted, and goes on with its revisions", async () => {
    await using standIn = await started();
    const { client } = standIn;
    await client.appendToStream("a-1", newEvents(3));
    await client.deleteStream("a-1", { expectedRevision: 2n });
    await expect(collect(client.readStream("a-1"))).rejects.toMatchObject({
      type: "stream-not-found",
    });
    await expect(
      client.appendToStream("a-1", newEvents(1), { streamState: STREAM_EXISTS }),
    ).rejects.toMatchObject({ type: "stream-deleted" });
    const again = await client.appendToStream("a-1", newEvents(1), { streamState: NO_STREAM });
    expect(again.nextExpectedRevision).toBe(3n);
    expect(revisionsOf(await collect(client.readStream("a-1")))).toStrictEqual([3]);
    const filter = streamNameFilter({ prefixes: ["a-"] });
    expect(await collect(client.readAll({ filter }))).toHaveLength(4);
  });

  it("refuses to be deleted at another revision", async () => {
    await using standIn = await started();
    await standIn.client.appendToStream("a-1", newEvents(3));
    await expect(
      standIn.client.deleteStream("a-1", { expectedRevision: 1n }),
    ).rejects.toMatchObject({ type: "wrong-expected-version" });
  });

  it.each([
    ["$maxCount", { maxCount: 2 }, [8, 9]],
    ["$tb", { truncateBefore: 7 }, [7, 8, 9]],
    ["both", { maxCount: 5, truncateBefore: 7 }, [7, 8, 9]],
  ] as const)("shows only what %s leaves", async (_, metadata, left) => {
    await using standIn = await started();
    const { client } = standIn;
    await client.setStreamMetadata("a-1", metadata);
    await client.appendToStream("a-1", newEvents(10));
    expect(revisionsOf(await collect(client.readStream("a-1")))).toStrictEqual(left);
    const backwards = client.readStream("a-1", { direction: BACKWARDS, fromRevision: END });
    expect(revisionsOf(await collect(backwards))).toStrictEqual([...left].toReversed());
    expect((await client.getStreamMetadata("a-1")).metadata).toStrictEqual(metadata);
  });

  it("loses what is older than $maxAge, even its last event, and keeps counting", async () => {
    let nowMs = Date.now();
    await using standIn = await started({ now: () => nowMs, negotiation: "append" });
    const { client } = standIn;
    await client.setStreamMetadata("a-1", { maxAge: 60 });
    await client.appendToStream("a-1", newEvents(2));
    nowMs += 61_000;
    expect(await collect(client.readStream("a-1"))).toStrictEqual([]);
    const next = await client.appendToStream("a-1", newEvents(1), { streamState: 1n });
    expect(next.nextExpectedRevision).toBe(2n);
    expect(revisionsOf(await collect(client.readStream("a-1")))).toStrictEqual([2]);
    const filter = streamNameFilter({ prefixes: ["a-"] });
    expect(await collect(client.readAll({ filter }))).toHaveLength(3);
  });

  it("takes metadata and type filters on all streams", async () => {
    await using standIn = await started();
    const { client } = standIn;
    await client.appendToStream("a-1", [newEvent(randomUUID(), "A"), newEvent(randomUUID(), "B")]);
    const filter = eventTypeFilter({ prefixes: ["B"] });
    expect(revisionsOf(await collect(client.readAll({ filter })))).toStrictEqual([1]);
  });
});

describe("The limits of the stand-in", () => {
  it.each(["batch-append", "append"] as const)(
    "refuse what is too large over %s",
    async (negotiation) => {
      const limits = { appendBytesMax: 2_000, eventBytesMax: 1_500 };
      await using standIn = await started({ negotiation, limits });
      const event = (bytes: number) => jsonEvent({ type: "T", data: { text: "x".repeat(bytes) } });
      const attempt = (sizes: number[]) => standIn.client.appendToStream("a-1", sizes.map(event));
      await expect(attempt([1_000, 1_200])).rejects.toMatchObject({
        type: "maximum-append-size-exceeded",
      });
      await expect(attempt([1_600])).rejects.toBeInstanceOf(Error);
      expect((await attempt([1_000])).nextExpectedRevision).toBe(0n);
    },
  );

  it("carries an append that comes in several requests", async () => {
    await using standIn = await started();
    const events = Array.from({ length: 40 }, () =>
      jsonEvent({ type: "T", data: { text: "x".repeat(1_000) } }),
    );
    const appended = await standIn.client.appendToStream("a-1", events, { batchAppendSize: 5_000 });
    expect(appended.nextExpectedRevision).toBe(39n);
    expect(await collect(standIn.client.readStream("a-1"))).toHaveLength(40);
  });
});

describe("The stand-in with TLS", () => {
  const directory = mkdtempSync(join(tmpdir(), "kurrent-tls-"));
  const caFile = join(directory, "ca.pem");
  const otherCaFile = join(directory, "other.pem");
  writeFileSync(caFile, TEST_AUTHORITY);
  writeFileSync(otherCaFile, NODE_CERTIFICATE);
  const tls = { key: NODE_KEY, cert: NODE_CERTIFICATE, caFile };
  afterAll(() => rmSync(directory, { recursive: true }));

  it.each<Negotiation>(["batch-append", "append"])(
    "takes the right user over %s, also through the bridge",
    async (negotiation) => {
      await using standIn = await started({ tls, negotiation });
      await standIn.client.appendToStream("a-1", newEvents(2));
      expect(await collect(standIn.client.readStream("a-1"))).toHaveLength(2);
      expect(await collect(standIn.client.readAll({ maxCount: 3 }))).toHaveLength(3);
    },
  );

  it("shows that the bridge takes credentials from the connection string without decoding them", async () => {
    await using standIn = await started({ tls, users: { keeper: "p@ss/word" } });
    await standIn.client.appendToStream("a-1", newEvents(2));
    await expect(collect(standIn.client.readStream("a-1"))).rejects.toMatchObject({
      type: "access-denied",
    });
    const credentials = { username: "keeper", password: "p@ss/word" };
    expect(await collect(standIn.client.readStream("a-1", { credentials }))).toHaveLength(2);
  });

  it.each([
    ["a wrong password", (url: string) => url.replace("admin:changeit", "admin:wrong")],
    ["no credentials", (url: string) => url.replace("admin:changeit@", "")],
  ] as const)("refuses %s on either path", async (_, change) => {
    await using standIn = await startKurrentStandIn({ tls });
    const client = clientOf(change(standIn.connectionString));
    await expect(client.appendToStream("a-1", newEvents(1))).rejects.toMatchObject({
      type: "access-denied",
    });
    await expect(collect(client.readStream("a-1"))).rejects.toBeInstanceOf(Error);
    await client.dispose();
  });

  it("is not believed by a client with another authority", async () => {
    await using standIn = await startKurrentStandIn({ tls: { ...tls, caFile: otherCaFile } });
    const client = clientOf(standIn.connectionString);
    await expect(client.appendToStream("a-1", newEvents(1))).rejects.toMatchObject({ code: 14 });
    await client.dispose();
  });
});

describe("A cluster of stand-ins", () => {
  it("is found by its gossip, and its leader does the work", async () => {
    await using standIn = await started({ nodes: 3 });
    await standIn.client.appendToStream("a-1", newEvents(1), { requiresLeader: true });
    expect(await collect(standIn.client.readStream("a-1", { requiresLeader: true }))).toHaveLength(
      1,
    );
    expect(await standIn.control.reached("gossip")).toBeGreaterThan(0);
  });

  it("sends whoever needs the leader to it", async () => {
    await using standIn = await started({ nodes: 3 });
    const { client, control } = standIn;
    const options = { requiresLeader: true };
    await client.appendToStream("a-1", newEvents(1), options);
    await control.electLeader(1);
    await control.dropSubscriptions();
    const follower = clientOf(`kurrentdb://127.0.0.1:${standIn.nodes[2]?.port}?tls=false`);
    await expect(follower.appendToStream("a-1", newEvents(1), options)).rejects.toMatchObject({
      type: "not-leader",
      leader: { address: "127.0.0.1", port: standIn.nodes[1]?.port },
    });
    expect((await follower.appendToStream("a-1", newEvents(1), options)).success).toBe(true);
    await follower.dispose();
  });

  it("lets followers pass on what does not need the leader", async () => {
    await using standIn = await started({ nodes: 3 });
    const follower = clientOf(`kurrentdb://127.0.0.1:${standIn.nodes[2]?.port}?tls=false`);
    expect((await follower.appendToStream("a-1", newEvents(1))).success).toBe(true);
    await follower.dispose();
  });

  it("elects another leader when it loses one, and appends go on", async () => {
    await using standIn = await started({ nodes: 3, electionMs: 50 });
    const { client, control } = standIn;
    await client.appendToStream("a-1", newEvents(1));
    const killed = await control.killLeader();
    expect(await control.leader()).toBe(-1);
    const attempt = () => client.appendToStream("a-1", newEvents(1)).then(({ success }) => success);
    await expect.poll(() => attempt().catch(() => false), { timeout: 5_000 }).toBe(true);
    expect(await control.leader()).not.toBe(killed);
    await control.start(killed);
    await control.electLeader(killed);
    await expect.poll(() => attempt().catch(() => false), { timeout: 5_000 }).toBe(true);
  });
});

describe("A fault of the stand-in", () => {
  it("hangs an append, which then is not there", async () => {
    await using standIn = await started();
    await standIn.client.appendToStream("a-2", newEvents(1));
    await standIn.control.fault({ on: "append", effect: "hang", times: 1 });
    const hung = standIn.client.appendToStream("a-1", newEvents(1));
    const answered = await Promise.race([
      hung.then(() => true),
      standIn.client.appendToStream("a-2", newEvents(1)).then(() => false),
    ]);
    expect(answered).toBe(false);
    expect(standIn.store.readStream("a-1", "start", "forwards", 1).kind).toBe("missing");
    hung.catch(() => {});
  });

  it.each([
    ["ack-lost", "pending"],
    ["ack-cut", "unavailable"],
  ] as const)("%s: the append is there, and its caller does not know", async (effect, end) => {
    await using standIn = await started();
    await standIn.control.fault({ on: "append", effect, times: 1 });
    let outcome = "pending";
    const lost = standIn.client.appendToStream("a-1", newEvents(1), { streamState: NO_STREAM });
    lost.then(
      () => {
        outcome = "done";
      },
      (error: { type?: string }) => {
        outcome = error.type ?? "error";
      },
    );
    await expect
      .poll(() => standIn.store.readStream("a-1", "start", "forwards", 9).kind)
      .toBe("events");
    if (end !== "pending") await expect.poll(() => outcome).toBe(end);
    else expect(outcome).toBe("pending");
  });

  it.each(["batch-append", "append"] as const)(
    "refuses with the status asked for over %s",
    async (negotiation) => {
      await using standIn = await started({ negotiation });
      for (const [effect, type] of [
        ["unavailable", "unavailable"],
        ["cancelled", "cancelled"],
        ["unknown", "unknown"],
        ["internal", "unavailable"],
        ["not-leader", "not-leader"],
      ] as const) {
        await standIn.control.fault({ on: "append", effect, times: 1 });
        const attempt = standIn.client.appendToStream("a-1", newEvents(1));
        await expect(attempt).rejects.toSatisfy(
          (error: { type?: string; code?: number }) =>
            error.type === type || (negotiation === "append" && error.code !== undefined),
        );
      }
      expect((await standIn.client.appendToStream("a-1", newEvents(1))).success).toBe(true);
    },
  );

  it("mutes subscriptions, and only those that are open", async () => {
    await using standIn = await started();
    const { client, control } = standIn;
    const muted = receiving(client.subscribeToAll({ fromPosition: END }));
    await expect.poll(() => muted.signs).toContain("caught up after 0");
    expect(await control.muteSubscriptions()).toBe(1);
    const heard = receiving(client.subscribeToAll({ fromPosition: END }));
    await expect.poll(() => heard.signs).toContain("caught up after 0");
    await client.appendToStream("a-1", newEvents(1));
    await expect.poll(() => heard.received).toHaveLength(1);
    expect(muted.received).toHaveLength(0);
  });

  it("ends subscriptions, once and without a word more", async () => {
    await using standIn = await started();
    const { client, control } = standIn;
    const subscription = receiving(client.subscribeToAll({ fromPosition: END }));
    await expect.poll(() => subscription.signs).toContain("caught up after 0");
    await control.restart();
    await expect.poll(() => subscription.signs.at(-1)).toMatch(/cancelled|unavailable/);
    await expect.poll(() => control.openSubscriptions()).toBe(0);
  });
});

describe("The stand-in as a process", () => {
  it("has everything that was acknowledged when it is killed and started again", async () => {
    const directory = mkdtempSync(join(tmpdir(), "kurrent-process-"));
    const file = join(directory, "log.db");
    const ids: string[] = [];
    {
      await using first = await startKurrentProcess({ file });
      const client = clientOf(first.connectionString);
      for (let nth = 0; nth < 200; nth++) {
        const event = newEvent();
        await client.appendToStream("a-1", event);
        ids.push(event.id);
      }
      await first.kill();
      await using second = await first.startAgain();
      expect(second.connectionString).toBe(first.connectionString);
      const again = () => client.appendToStream("a-1", newEvents(1), { streamState: 199n });
      await expect
        .poll(
          () =>
            again().then(
              () => true,
              () => false,
            ),
          { timeout: 5_000 },
        )
        .toBe(true);
      const reader = clientOf(second.connectionString);
      expect(idsOf(await collect(reader.readStream("a-1"))).slice(0, 200)).toStrictEqual(ids);
      await second.control.writeStatistics();
      expect(await second.control.leader()).toBe(0);
      await client.dispose();
      await reader.dispose();
    }
    rmSync(directory, { recursive: true });
  });
});
