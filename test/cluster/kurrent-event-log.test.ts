import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import {
  type Appended,
  Corrupted,
  EventIdReused,
  type EventLog,
  type Feed,
  type Followed,
  type NewEvent,
  OutcomeUnknown,
  type RecordedEvent,
  StoreUnavailable,
  WrongExpectedRevision,
} from "@keyledger/core";
import { describe, expect, it } from "vitest";
import type { KurrentIncident } from "../../packages/cluster/src/kurrent-client.ts";
import { readKurrentDeploymentId } from "../../packages/cluster/src/kurrent-deployment.ts";
import type { KurrentEventLogOptions } from "../../packages/cluster/src/kurrent-event-log.ts";
import { host, newEventLogStore } from "../contract/cluster-kurrent.ts";
import { newEvent } from "../contract/event-log.contract.ts";
import { type StandInOptions, startKurrentStandIn } from "../support/kurrent/stand-in.ts";

/** Appends whose acknowledgement is lost: 200 in every run, more where somebody has the time. */
const LOST_ACKS = Number(process.env.KEYLEDGER_TEST_LOST_ACKS ?? 200);

const newStream = (): string => `keyring-user.${randomUUID()}`;
const idsOf = (events: readonly { readonly id: string }[]) => events.map(({ id }) => id);

/** A log on an engine of its own, which can be made to misbehave. */
async function opened(
  standInOptions: StandInOptions = {},
  settings: Partial<KurrentEventLogOptions> = {},
) {
  const standIn = await startKurrentStandIn(standInOptions);
  const incidents: KurrentIncident[] = [];
  const engine = { connectionString: standIn.connectionString, insecure: true };
  const store = newEventLogStore(engine, {
    observe: (incident) => void incidents.push(incident),
    ...settings,
  });
  const log = await store.open();
  return {
    log,
    store,
    standIn,
    control: standIn.control,
    incidents,
    /** What really stands in a stream. */
    stored: (stream: string) => {
      const read = standIn.store.readStream(
        `${store.namespace}.${stream}`,
        "start",
        "forwards",
        1e6,
      );
      return read.kind === "events" ? read.events : [];
    },
    async [Symbol.asyncDispose]() {
      await log[Symbol.asyncDispose]();
      await standIn[Symbol.asyncDispose]();
    },
  };
}

/** What the core does: the very same append again, while it is not known what became of it. */
async function appendSurely(
  log: EventLog,
  stream: string,
  expected: "none" | number,
  events: readonly NewEvent[],
): Promise<Appended> {
  for (;;) {
    try {
      return await log.append(stream, expected, events);
    } catch (error) {
      if (!(error instanceof OutcomeUnknown || error instanceof StoreUnavailable)) throw error;
      await pause(20);
    }
  }
}

/** Follows in the background. */
function following(log: Feed, after = log.zero) {
  const abort = new AbortController();
  const events: RecordedEvent[] = [];
  const kinds: Followed["kind"][] = [];
  const ended = (async () => {
    for await (const item of log.follow({ after, signal: abort.signal })) {
      kinds.push(item.kind);
      if (item.kind === "page") events.push(...item.events);
    }
  })();
  ended.catch(() => {});
  return {
    events,
    ended,
    caughtUp: () => expect.poll(() => kinds.at(-1), { timeout: 10_000 }).toBe("caught-up"),
    stop: async () => {
      abort.abort();
      await ended;
    },
  };
}

const elapsed = async (work: () => PromiseLike<unknown>): Promise<number> => {
  const startedMs = performance.now();
  await work();
  return performance.now() - startedMs;
};

describe("An append to KurrentDB whose outcome is not known", () => {
  it("is given up after its deadline when it hangs, and is there once when it is repeated", async () => {
    await using on = await opened({}, { appendDeadlineMs: 300 });
    const { log, control, incidents } = on;
    const stream = newStream();
    const events = [newEvent(), newEvent()];
    await control.fault({ on: "append", effect: "hang", times: 1 });
    const first = log.append(stream, "none", events);
    const tookMs = await elapsed(() => expect(first).rejects.toBeInstanceOf(OutcomeUnknown));
    expect(tookMs).toBeLessThan(1_300);
    expect(on.stored(stream)).toHaveLength(0);
    expect((await log.append(stream, "none", events)).outcome).toBe("appended");
    expect(idsOf(on.stored(stream))).toStrictEqual(idsOf(events));
    expect(incidents).toContainEqual({
      kind: "client-renewed",
      part: "appends",
      because: "an append was not answered in time",
    });
  });

  it("uses three seconds for its deadline unless told otherwise", async () => {
    await using on = await opened();
    await on.control.fault({ on: "append", effect: "hang", times: 1 });
    const attempt = on.log.append(newStream(), "none", [newEvent()]);
    const tookMs = await elapsed(() => expect(attempt).rejects.toBeInstanceOf(OutcomeUnknown));
    expect(tookMs).toBeGreaterThan(2_900);
    expect(tookMs).toBeLessThan(4_000);
  });

  it(`stands there exactly once after each of ${LOST_ACKS} lost acknowledgements`, async () => {
    await using on = await opened({}, { appendDeadlineMs: 100 });
    const { log, control } = on;
    const lanes = 8;
    const streams = Array.from({ length: lanes }, newStream);
    const sent: NewEvent[][] = streams.map(() => []);
    let lost = 0;
    const write = async (lane: number): Promise<void> => {
      const stream = streams[lane] ?? "";
      for (let revision = -1; lost < LOST_ACKS; revision++) {
        const effect = lost++ % 2 === 0 ? "ack-cut" : "ack-lost";
        await control.fault({ on: "append", effect, times: 1 });
        const event = newEvent();
        const expected = revision < 0 ? "none" : revision;
        expect((await appendSurely(log, stream, expected, [event])).revision).toBe(revision + 1);
        sent[lane]?.push(event);
      }
    };
    await Promise.all(streams.map((_, lane) => write(lane)));
    for (const [lane, stream] of streams.entries()) {
      expect(idsOf(on.stored(stream))).toStrictEqual(idsOf(sent[lane] ?? []));
      expect(await log.readStream(stream, { from: 0, limit: 10_000 })).toMatchObject(
        sent[lane] ?? [],
      );
    }
    const { events } = await log.read({ after: log.zero, limit: 10_000 });
    expect(events).toHaveLength(LOST_ACKS);
  }, 300_000);

  it.for(["unavailable", "cancelled", "unknown", "internal", "timeout"] as const)(
    "is unknown when the engine answers %s, and is there once when it is repeated",
    async (effect) => {
      await using on = await opened();
      const stream = newStream();
      const events = [newEvent()];
      await on.control.fault({ on: "append", effect, times: 1 });
      await expect(on.log.append(stream, "none", events)).rejects.toBeInstanceOf(OutcomeUnknown);
      expect((await on.log.append(stream, "none", events)).revision).toBe(0);
      expect(on.stored(stream)).toHaveLength(1);
    },
  );

  it("is unknown when it was cancelled after it was sent", async () => {
    await using on = await opened();
    const stream = newStream();
    const abort = new AbortController();
    await on.control.fault({ on: "append", effect: "delay", delayMs: 200, times: 1 });
    const attempt = on.log.append(stream, "none", [newEvent()], { signal: abort.signal });
    setImmediate(() => abort.abort());
    await expect(attempt).rejects.toBeInstanceOf(OutcomeUnknown);
    await expect.poll(() => on.stored(stream).length).toBe(1);
  });

  it("is unknown when it was acknowledged but cannot be read back", async () => {
    await using on = await opened();
    const stream = newStream();
    const events = [newEvent()];
    await on.control.muteSubscriptions();
    await on.control.fault({ on: "read", effect: "unavailable" });
    await expect(on.log.append(stream, "none", events)).rejects.toBeInstanceOf(OutcomeUnknown);
    await on.control.clearFaults();
    expect(await on.log.append(stream, "none", events)).toMatchObject({ revision: 0 });
    expect(on.stored(stream)).toHaveLength(1);
  });

  it("comes late, behind its own repetition, and still stands there once", async () => {
    await using on = await opened({}, { appendDeadlineMs: 100 });
    const stream = newStream();
    const events = [newEvent()];
    await on.control.fault({ on: "append", effect: "delay", delayMs: 400, times: 1 });
    await expect(on.log.append(stream, "none", events)).rejects.toBeInstanceOf(OutcomeUnknown);
    const { outcome } = await on.log.append(stream, "none", events);
    expect(outcome).toBe("appended");
    await pause(500);
    expect(on.stored(stream)).toHaveLength(1);
  });
});

describe("An append to KurrentDB that is refused", () => {
  it("writes nothing for the second of two who create the same stream", async () => {
    await using on = await opened();
    const stream = newStream();
    await on.log.append(stream, "none", [newEvent()]);
    await expect(on.log.append(stream, "none", [newEvent()])).rejects.toMatchObject({
      constructor: WrongExpectedRevision,
      actual: 0,
    });
    expect(on.stored(stream)).toHaveLength(1);
  });

  it("is settled before the log is closed", async () => {
    await using on = await opened();
    await on.control.fault({ on: "append", effect: "delay", delayMs: 200, times: 3 });
    const appends = [1, 2, 3].map(() => on.log.append(newStream(), "none", [newEvent()]));
    await on.log[Symbol.asyncDispose]();
    expect((await Promise.all(appends)).map(({ outcome }) => outcome)).toStrictEqual([
      "appended",
      "appended",
      "appended",
    ]);
  });

  it("goes to the leader when it is told of one", async () => {
    await using on = await opened();
    await on.control.fault({ on: "append", effect: "not-leader", times: 2 });
    const stream = newStream();
    expect((await on.log.append(stream, "none", [newEvent()])).outcome).toBe("appended");
    expect(on.stored(stream)).toHaveLength(1);
  });

  it("is unavailable, and says so at once, when nobody listens: the client gives a raw error then", async () => {
    await using on = await opened();
    await on.control.kill(0);
    const attempt = async () => {
      const append = on.log.append(newStream(), "none", [newEvent()]);
      await expect(append).rejects.toMatchObject({
        constructor: StoreUnavailable,
        retryable: true,
      });
    };
    // The first one may be on its way when the connection breaks.
    await on.log.append(newStream(), "none", [newEvent()]).catch(() => {});
    expect(await elapsed(attempt)).toBeLessThan(2_000);
    await on.control.start(0);
    const stream = newStream();
    await appendSurely(on.log, stream, "none", [newEvent()]);
    expect(on.stored(stream)).toHaveLength(1);
  });

  it("is a bug when one of its ids stands in its place already", async () => {
    await using on = await opened();
    const stream = newStream();
    const [first, second] = [newEvent(), newEvent()];
    await on.log.append(stream, "none", [first, second]);
    const attempt = on.log.append(stream, "none", [first, newEvent()]);
    await expect(attempt).rejects.toBeInstanceOf(EventIdReused);
    await expect(on.log.append(stream, "none", [second, second])).rejects.toBeInstanceOf(
      EventIdReused,
    );
  });

  it.for([
    ["spaces", '{"mode": "byok"}'],
    ["names that are whole numbers", '{"b":1,"2":1}'],
    ["a number that JSON writes otherwise", "1.0"],
    ["no JSON", "mode"],
  ])(
    "is a mistake of its caller with data that would not come back as it is: %s",
    async ([, data]) => {
      await using on = await opened();
      const attempt = on.log.append(newStream(), "none", [newEvent({ data: data ?? "" })]);
      await expect(attempt).rejects.toBeInstanceOf(RangeError);
    },
  );
});

describe("The same request, sent to two processes", () => {
  it("is appended by one; the other finds it there, though its own content differs", async () => {
    await using on = await opened();
    await using other = await on.store.open();
    for (let round = 0; round < 20; round++) {
      const stream = newStream();
      const ids = [randomUUID(), randomUUID()];
      const make = (by: string) =>
        ids.map((id) => newEvent({ id, data: `{"by":"${by}"}`, metadata: { by } }));
      const ends = await Promise.all([
        on.log.append(stream, "none", make("one")),
        other.append(stream, "none", make("two")),
      ]);
      const stored = on.stored(stream);
      expect(idsOf(stored)).toStrictEqual(ids);
      const winner = Buffer.from(stored[0]?.data ?? [])
        .toString()
        .includes("one")
        ? 0
        : 1;
      expect(ends[winner]?.outcome).toBe("appended");
      expect(ends[1 - winner]?.outcome).toBe("already");
    }
  });
});

describe("Following KurrentDB", () => {
  it("goes on behind a restart without a gap or a duplicate", async () => {
    await using on = await opened();
    const { log, control } = on;
    const follower = following(log);
    await follower.caughtUp();
    const stream = newStream();
    let isDone = false;
    const writer = (async () => {
      for (let revision = -1; !isDone; revision++) {
        await appendSurely(log, stream, revision < 0 ? "none" : revision, [newEvent()]);
        await pause(5);
      }
    })();
    for (let round = 0; round < 3; round++) {
      const before = follower.events.length;
      await control.restart(100);
      await expect
        .poll(() => follower.events.length, { timeout: 5_000 })
        .toBeGreaterThan(before + 10);
    }
    isDone = true;
    await writer;
    const stored = on.stored(stream);
    await expect.poll(() => follower.events.length, { timeout: 5_000 }).toBe(stored.length);
    expect(idsOf(follower.events)).toStrictEqual(idsOf(stored));
    await follower.stop();
  });

  it("goes on when its subscription is ended by the engine", async () => {
    await using on = await opened();
    const follower = following(on.log);
    await follower.caughtUp();
    await on.control.dropSubscriptions();
    const stream = newStream();
    await on.log.append(stream, "none", [newEvent(), newEvent()]);
    await expect.poll(() => follower.events.length, { timeout: 5_000 }).toBe(2);
    expect(
      on.incidents.some(({ kind, part }) => kind === "resubscribed" && part === "changes"),
    ).toBe(true);
    await follower.stop();
  });

  it("notices within five seconds that its subscription says nothing any more", async () => {
    await using on = await opened();
    const follower = following(on.log);
    await follower.caughtUp();
    expect(await on.control.muteSubscriptions()).toBeGreaterThan(0);
    const stream = newStream();
    const tookMs = await elapsed(async () => {
      await on.log.append(stream, "none", [newEvent()]);
      await expect.poll(() => follower.events.length, { timeout: 10_000, interval: 20 }).toBe(1);
    });
    expect(tookMs).toBeLessThan(5_000);
    expect(on.incidents).toContainEqual({
      kind: "resubscribed",
      part: "changes",
      because: "it was silent",
    });
    await follower.stop();
  });

  it("notices it also when somebody else wrote what it did not hear of", async () => {
    await using on = await opened();
    await using other = await on.store.open();
    const follower = following(on.log);
    await follower.caughtUp();
    await on.control.muteSubscriptions();
    const tookMs = await elapsed(async () => {
      await other.append(newStream(), "none", [newEvent()]);
      await expect.poll(() => follower.events.length, { timeout: 10_000, interval: 20 }).toBe(1);
    });
    expect(tookMs).toBeLessThan(5_000);
    await follower.stop();
  });

  it("leaves a subscription alone that has nothing to say", async () => {
    await using on = await opened();
    const follower = following(on.log);
    await follower.caughtUp();
    await pause(4_500);
    expect(on.incidents).toStrictEqual([]);
    await follower.stop();
  });

  it("gives up a subscription that is never confirmed, and takes another", async () => {
    await using on = await opened();
    await expect.poll(() => on.control.openSubscriptions()).toBe(1);
    await on.control.fault({ on: "subscribe", effect: "hang", times: 1 });
    await on.log.append(newStream(), "none", [newEvent()]);
    const follower = following(on.log);
    await expect.poll(() => follower.events.length, { timeout: 6_000 }).toBe(1);
    expect(on.incidents.map(({ because }) => because)).toContain("it was silent");
    await follower.stop();
  });

  it("passes over what is not of its feed", async () => {
    await using on = await opened();
    const { log, standIn, store } = on;
    const event = newEvent();
    await log.append(newStream(), "none", [event]);
    const foreign = (nth: number) => ({
      id: randomUUID(),
      type: "Other",
      contentType: "application/json",
      metadata: Buffer.from("{}"),
      data: Buffer.from(`${nth}`),
    });
    for (let nth = 0; nth < 3_000; nth++) {
      standIn.store.append(`${store.namespace}.access-1`, "any", [foreign(nth)]);
    }
    await on.control.writeStatistics();
    const follower = following(log);
    await follower.caughtUp();
    const last = newEvent();
    await log.append(newStream(), "none", [last]);
    await expect.poll(() => idsOf(follower.events)).toStrictEqual([event.id, last.id]);
    expect(await log.head()).toBe(follower.events.at(-1)?.position);
    await follower.stop();
  });

  it("stands still at an event that is none of ours, and so does reading", async () => {
    await using on = await opened();
    const { log, standIn, store } = on;
    await log.append(newStream(), "none", [newEvent()]);
    standIn.store.append(`${store.namespace}.keyring-user.poison`, "any", [
      {
        id: randomUUID(),
        type: "ModeSet",
        contentType: "application/json",
        metadata: Buffer.from('{"count":1}'),
        data: Buffer.from("{}"),
      },
    ]);
    const follower = following(log);
    await expect(follower.ended).rejects.toBeInstanceOf(Corrupted);
    await expect(log.read({ after: log.zero, limit: 10 })).rejects.toBeInstanceOf(Corrupted);
    const read = log.readStream("keyring-user.poison", { from: 0, limit: 10 });
    await expect(read).rejects.toBeInstanceOf(Corrupted);
  });

  it("ends with a fault when the log is closed", async () => {
    await using on = await opened();
    const follower = following(on.log);
    await follower.caughtUp();
    await on.log[Symbol.asyncDispose]();
    await expect(follower.ended).rejects.toMatchObject({
      constructor: StoreUnavailable,
      retryable: false,
    });
    await expect(on.log.head()).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(on.log.append(newStream(), "none", [newEvent()])).rejects.toBeInstanceOf(
      StoreUnavailable,
    );
  });
});

describe("A KurrentDB cluster that loses its leader", () => {
  it("is read, written and followed again within five seconds", async () => {
    await using on = await opened({ nodes: 3, electionMs: 500 });
    const { log, control, incidents } = on;
    const stream = newStream();
    await log.append(stream, "none", [newEvent()]);
    await log.read({ after: log.zero, limit: 10 });
    const follower = following(log);
    await follower.caughtUp();
    await control.killLeader();
    const again = async <T>(work: () => Promise<T>): Promise<void> => {
      const until = performance.now() + 10_000;
      for (;;) {
        try {
          await work();
          return;
        } catch (error) {
          if (performance.now() > until) throw error;
        }
      }
    };
    const event = newEvent();
    const [readMs, streamMs, appendMs, followMs] = await Promise.all([
      elapsed(() => again(() => log.read({ after: log.zero, limit: 10 }))),
      elapsed(() => again(() => log.readStream(stream, { from: 0, limit: 10 }))),
      elapsed(() => again(() => appendSurely(log, stream, 0, [event]))),
      elapsed(() =>
        expect.poll(() => follower.events.length, { timeout: 10_000, interval: 20 }).toBe(2),
      ),
    ]);
    console.log(
      `leader lost: reads back after ${readMs.toFixed(0)} and ${streamMs.toFixed(0)} ms, ` +
        `appends after ${appendMs.toFixed(0)} ms, follower after ${followMs.toFixed(0)} ms`,
    );
    for (const ms of [readMs, streamMs, appendMs, followMs]) expect(ms).toBeLessThan(5_000);
    expect(incidents).toContainEqual({
      kind: "client-renewed",
      part: "reads",
      because: "reads are unavailable",
    });
    expect(idsOf(on.stored(stream)).at(-1)).toBe(event.id);
    await follower.stop();
  });

  it("is not read from a node that does not lead", async () => {
    await using on = await opened({ nodes: 3 });
    const { log, control } = on;
    const stream = newStream();
    await log.append(stream, "none", [newEvent()]);
    await control.electLeader(2);
    const read = () =>
      log.readStream(stream, { from: 0, limit: 10 }).then((events) => events.length);
    await expect.poll(() => read().catch(() => 0), { timeout: 5_000 }).toBe(1);
    await appendSurely(log, stream, 0, [newEvent()]);
    expect(on.stored(stream)).toHaveLength(2);
  });
});

describe("The freshness of what was read from KurrentDB", () => {
  it("holds while the log is heard and the reader has everything", async () => {
    await using on = await opened();
    const { log } = on;
    expect(log.freshness(log.zero).isFresh).toBe(true);
    const { position } = await log.append(newStream(), "none", [newEvent()]);
    await expect.poll(() => log.freshness(position).ageMs, { timeout: 3_000 }).toBeLessThan(1_500);
    expect(log.freshness()).toMatchObject({ isFresh: true });
  });

  it("ends five seconds after the reader fell behind, or the log was last heard, and comes back", async () => {
    let skewMs = 0;
    const skewed = {
      ...host,
      clock: { ...host.clock, monotonicMs: () => host.clock.monotonicMs() + skewMs },
    };
    await using on = await opened({}, { host: skewed });
    const { log, control } = on;
    const { position } = await log.append(newStream(), "none", [newEvent()]);
    await expect.poll(() => log.freshness(position).isFresh, { timeout: 3_000 }).toBe(true);
    skewMs += 4_000;
    expect(log.freshness(log.zero).isFresh).toBe(true);
    skewMs += 2_000;
    // The reader at zero misses an event that the log is known to hold.
    expect(log.freshness(log.zero).isFresh).toBe(false);
    await expect.poll(() => log.freshness(position).isFresh, { timeout: 3_000 }).toBe(true);
    expect(log.freshness(log.zero).isFresh).toBe(false);
    await control.kill(0);
    skewMs += 6_000;
    await pause(1_500);
    expect(log.freshness(position).isFresh).toBe(false);
    expect(log.freshness().isFresh).toBe(false);
    await control.start(0);
    await expect.poll(() => log.freshness(position).isFresh, { timeout: 5_000 }).toBe(true);
  });

  it("ends when the log answers nothing any more", async () => {
    await using on = await opened();
    await on.control.fault({ on: "read", effect: "hang" });
    await expect.poll(() => on.log.freshness().isFresh, { timeout: 8_000 }).toBe(false);
    await on.control.clearFaults();
    await expect.poll(() => on.log.freshness().isFresh, { timeout: 5_000 }).toBe(true);
  });
});

describe("A KurrentDB log and its deployment", () => {
  it("is claimed by the first that opens it, and opened by no other", async () => {
    await using on = await opened();
    const { store, standIn } = on;
    const engine = { connectionString: standIn.connectionString, insecure: true, host };
    const { namespace } = store;
    expect(await readKurrentDeploymentId({ ...engine, namespace })).toBe(store.deploymentId);
    await expect(store.open({ deploymentId: randomUUID() })).rejects.toMatchObject({
      constructor: StoreUnavailable,
      retryable: false,
    });
    await (await store.open())[Symbol.asyncDispose]();
    expect(on.stored("keyledgerdeployment-main")).toHaveLength(1);
  });

  it("has none before somebody opened it, and one where many do at once", async () => {
    await using standIn = await startKurrentStandIn();
    const engine = { connectionString: standIn.connectionString, insecure: true, host };
    expect(await readKurrentDeploymentId(engine)).toBeUndefined();
    const store = newEventLogStore({ ...engine });
    const ends = await Promise.allSettled([
      ...Array.from({ length: 4 }, () => store.open()),
      store.open({ deploymentId: randomUUID() }),
    ]);
    const opened = ends.filter((end) => end.status === "fulfilled");
    expect([1, 4]).toContain(opened.length);
    for (const { value } of opened) await value[Symbol.asyncDispose]();
  });

  it("stands under plain names without a namespace", async () => {
    await using standIn = await startKurrentStandIn();
    const engine = { connectionString: standIn.connectionString, insecure: true };
    const store = newEventLogStore(engine);
    const { namespace: _, ...plain } = {
      namespace: store.namespace,
      deploymentId: store.deploymentId,
    };
    const { openKurrentEventLog } = await import("../../packages/cluster/src/kurrent-event-log.ts");
    await using log = await openKurrentEventLog({ ...engine, ...plain, host });
    const stream = newStream();
    const event = newEvent();
    await log.append(stream, "none", [event]);
    expect(standIn.store.readStream(stream, "start", "forwards", 1).kind).toBe("events");
    expect(await log.readStream(stream, { from: 0, limit: 1 })).toMatchObject([
      { stream, id: event.id },
    ]);
    expect((await log.read({ after: log.zero, limit: 9 })).events).toHaveLength(1);
  });
});
