import { randomUUID } from "node:crypto";
import {
  Cancelled,
  EventIdReused,
  type EventLog,
  type NewEvent,
  type Position,
  WrongExpectedRevision,
} from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { type FeedTraits, feedContract, readAll, type Store } from "./feed.contract.ts";

export interface EventLogTraits extends FeedTraits {
  /** Finds an event id wherever it stands, not only where it was expected. */
  readonly seesEveryId: boolean;
}

export const newEvent = (changes: Partial<NewEvent> = {}): NewEvent => ({
  id: randomUUID(),
  type: "ModeSet",
  data: '{"because":"requested","mode":"byok"}',
  metadata: { actor: "user.1", $correlationId: "c-1", hash: "00" },
  ...changes,
});

const newEvents = (count: number): NewEvent[] => Array.from({ length: count }, () => newEvent());

const newStream = (): string => `keyring-user.${randomUUID()}`;

const ids = (events: readonly NewEvent[]): string[] => events.map(({ id }) => id);

/** What every event log promises, whichever engine keeps it. */
export function eventLogContract(
  name: string,
  newStore: () => Promise<Store<EventLog>>,
  traits: EventLogTraits,
): void {
  describe(`${name} keeps the event-log contract: append`, () => {
    it("gives back what was appended, byte for byte", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      const event = newEvent({
        type: "KeyAdded",
        data: '{"keyId":"k","label":"sk-…é\\u0000\\ud83d😀"}',
        metadata: { time: "2026-01-01T00:00:00.000Z", requestId: "ü'\"\n", $causationId: "" },
      });
      const { outcome, revision, position } = await log.append(stream, "none", [event]);
      expect([outcome, revision]).toStrictEqual(["appended", 0]);
      expect(await log.readStream(stream, { from: 0, limit: 10 })).toStrictEqual([
        { ...event, stream, revision: 0, position },
      ]);
    });

    it("numbers a stream's events from 0 and answers place of the last one", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      expect((await log.append(stream, "none", newEvents(3))).revision).toBe(2);
      const second = await log.append(stream, 2, newEvents(64));
      expect(second.revision).toBe(66);
      const stored = await log.readStream(stream, { from: 0, limit: 100 });
      expect(stored.map(({ revision }) => revision)).toStrictEqual([...stored.keys()]);
      expect(stored.at(-1)?.position).toBe(second.position);
      expect(await log.head()).toBe(second.position);
    });

    it.for([
      ["none", "on an untouched stream", 0, "none", undefined],
      ["none", "on a stream with events", 2, "none", 1],
      ["a revision", "at it", 2, 1, undefined],
      ["a revision", "behind it", 2, 0, 1],
      ["a revision", "beyond the stream", 2, 2, 1],
      ["a revision", "on an untouched stream", 0, 0, "none"],
      ["exists", "on a stream with events", 2, "exists", undefined],
      ["exists", "on an untouched stream", 0, "exists", "none"],
      ["any", "on an untouched stream", 0, "any", undefined],
      ["any", "on a stream with events", 2, "any", undefined],
    ] as const)("expects %s %s", async ([, , history, expected, actual]) => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      if (history > 0) await log.append(stream, "none", newEvents(history));
      const attempt = log.append(stream, expected, newEvents(2));
      if (actual === undefined) {
        expect(await attempt).toMatchObject({ outcome: "appended", revision: history + 1 });
      } else {
        await expect(attempt).rejects.toMatchObject({ constructor: WrongExpectedRevision, actual });
        expect(await log.readStream(stream, { from: 0, limit: 10 })).toHaveLength(history);
      }
    });

    it("lets exactly one of two writers append at the same revision", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      for (const expected of ["none", 0, 1] as const) {
        const race = await Promise.allSettled([
          log.append(stream, expected, [newEvent()]),
          log.append(stream, expected, [newEvent()]),
        ]);
        expect(race.map(({ status }) => status).toSorted()).toStrictEqual([
          "fulfilled",
          "rejected",
        ]);
        expect(race.find((end) => end.status === "rejected")?.reason).toBeInstanceOf(
          WrongExpectedRevision,
        );
      }
    });

    it("gives each revision to one of 64 writers on one stream, until all have one", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      const write = async (): Promise<number> => {
        const event = newEvent();
        for (;;) {
          const last = (await log.readStream(stream, { from: 0, limit: 100 })).at(-1);
          try {
            return (await log.append(stream, last?.revision ?? "none", [event])).revision;
          } catch (error) {
            if (!(error instanceof WrongExpectedRevision)) throw error;
          }
        }
      };
      const revisions = await Promise.all(Array.from({ length: 64 }, write));
      expect(revisions.toSorted((a, b) => a - b)).toStrictEqual([...Array(64).keys()]);
    });

    it("does not let one writer's conflict fail its neighbours", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const [taken, ...free] = Array.from({ length: 20 }, newStream);
      await log.append(taken ?? "", "none", [newEvent()]);
      const ends = await Promise.allSettled(
        [taken ?? "", ...free].map((stream) => log.append(stream, "none", newEvents(2))),
      );
      expect(ends.filter(({ status }) => status === "rejected")).toHaveLength(1);
      for (const stream of free) {
        expect(await log.readStream(stream, { from: 0, limit: 10 })).toHaveLength(2);
      }
    });

    it.skipIf(!traits.gapFree)("gives no position to what it refuses", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const streams = Array.from({ length: 8 }, newStream);
      const attempts = Array.from({ length: 200 }, (_, nth) =>
        log.append(streams[nth % 8] ?? "", nth % 3 ? "any" : "none", newEvents(1 + (nth % 3))),
      );
      const ends = await Promise.allSettled(attempts);
      expect(ends.filter(({ status }) => status === "rejected").length).toBeGreaterThan(40);
      const all = await readAll(log, 64);
      const numbers = all.map(({ position }) => Number.parseInt(position.slice(-16), 16));
      expect(numbers).toStrictEqual(all.map((_, nth) => nth + 1));
    });

    it("does not write what was cancelled before it began", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      const signal = AbortSignal.abort();
      await expect(log.append(stream, "none", newEvents(1), { signal })).rejects.toBeInstanceOf(
        Cancelled,
      );
      expect(await log.readStream(stream, { from: 0, limit: 10 })).toStrictEqual([]);
    });

    it.for([
      ["no events", () => ["keyring-user.1", []] as const],
      ["65 events", () => ["keyring-user.1", newEvents(65)] as const],
      ["a stream without a name", () => ["", newEvents(1)] as const],
      ["an id that is no UUID", () => ["keyring-user.1", [newEvent({ id: "1" })]] as const],
    ] as const)("refuses %s as a mistake of its caller", async ([, wrong]) => {
      await using store = await newStore();
      await using log = await store.open();
      const [stream, events] = wrong();
      await expect(log.append(stream, "any", events)).rejects.toBeInstanceOf(RangeError);
      expect(await log.head()).toBe(log.zero);
    });
  });

  describe(`${name} keeps the event-log contract: append again`, () => {
    it.for([
      ["none", "none", 0],
      ["a revision", 1, 2],
    ] as const)("finds what stands there already, expecting %s", async ([, expected, history]) => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      if (history > 0) await log.append(stream, "none", newEvents(history));
      const events = newEvents(3);
      const first = await log.append(stream, expected, events);
      const head = await log.head();
      expect(await log.append(stream, expected, events)).toStrictEqual({
        ...first,
        outcome: "already",
      });
      await log.append(stream, first.revision, newEvents(2));
      expect(await log.append(stream, expected, events)).toStrictEqual({
        ...first,
        outcome: "already",
      });
      expect(await readAll(log, 100)).toHaveLength(history + 5);
      expect(head).toBe(first.position);
    });

    it("writes once what is sent twice at the same time", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      const events = newEvents(2);
      const ends = await Promise.all([1, 2, 3].map(() => log.append(stream, "none", events)));
      expect(ends.map(({ outcome }) => outcome).toSorted()).toStrictEqual([
        "already",
        "already",
        "appended",
      ]);
      expect(await log.readStream(stream, { from: 0, limit: 10 })).toHaveLength(2);
    });

    it("still finds it after the log was opened anew", async () => {
      await using store = await newStore();
      const stream = newStream();
      const events = newEvents(2);
      {
        await using log = await store.open();
        await log.append(stream, "none", events);
      }
      await using log = await store.open();
      expect((await log.append(stream, "none", events)).outcome).toBe("already");
    });

    describe.skipIf(!traits.seesEveryId)("with ids that stand elsewhere", () => {
      const a = newEvent();
      const b = newEvent();
      const c = newEvent();
      const elsewhere = newEvent();
      const fresh = newEvent();
      const stream = newStream();
      it.for([
        ["at another revision", stream, 0, [a, b]],
        ["in another stream", newStream(), "none", [a, b]],
        ["in another order", stream, "none", [b, a]],
        ["one of them in another stream", stream, "none", [a, elsewhere]],
        ["one between them left out", stream, "none", [a, c]],
        ["only the first of them", stream, "none", [a, fresh]],
        ["only the last of them", stream, "none", [fresh, b]],
        ["before new ones that would fit", stream, 2, [a, fresh]],
        ["after new ones that would fit", stream, 2, [fresh, a]],
        ["expecting another revision than the stream's", stream, 7, [a]],
      ] as const)("refuses them: %s", async ([, into, expected, events]) => {
        await using store = await newStore();
        await using log = await store.open();
        await log.append(stream, "none", [a, b, c]);
        await log.append(newStream(), "none", [elsewhere]);
        await expect(log.append(into, expected, events)).rejects.toBeInstanceOf(EventIdReused);
        expect(ids(await readAll(log, 100))).toStrictEqual(ids([a, b, c, elsewhere]));
      });

      it("refuses one id given twice", async () => {
        await using store = await newStore();
        await using log = await store.open();
        await expect(log.append(stream, "none", [a, a])).rejects.toBeInstanceOf(EventIdReused);
        expect(await log.head()).toBe(log.zero);
      });
    });
  });

  describe(`${name} keeps the event-log contract: readStream`, () => {
    it("finds nothing in a missing stream", async () => {
      await using store = await newStore();
      await using log = await store.open();
      expect(await log.readStream(newStream(), { from: 0, limit: 10 })).toStrictEqual([]);
    });

    it("reads a part of a stream, among others with like names", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      for (const name of [`${stream}-`, stream, `${stream}1`, stream.toUpperCase()]) {
        await log.append(name, "none", newEvents(5));
      }
      const revisions = async (from: number, limit: number) => {
        const events = await log.readStream(stream, { from, limit });
        expect(new Set(events.map((event) => event.stream)).size).toBeLessThanOrEqual(1);
        return events.map(({ revision }) => revision);
      };
      expect(await revisions(1, 3)).toStrictEqual([1, 2, 3]);
      expect(await revisions(3, 10_000)).toStrictEqual([3, 4]);
      expect(await revisions(5, 10)).toStrictEqual([]);
      expect(await revisions(50, 10)).toStrictEqual([]);
    });

    it("reads a stream longer than one slice", async () => {
      await using store = await newStore();
      await using log = await store.open();
      const stream = newStream();
      const events = newEvents(64 * 18);
      for (let at = 0; at < events.length; at += 64) {
        await log.append(stream, at === 0 ? "none" : at - 1, events.slice(at, at + 64));
      }
      const stored = await log.readStream(stream, { from: 0, limit: 10_000 });
      expect(ids(stored)).toStrictEqual(ids(events));
    });

    it.for([0, 10_001, 1.5])("refuses the limit %d", async (limit) => {
      await using store = await newStore();
      await using log = await store.open();
      await expect(log.readStream(newStream(), { from: 0, limit })).rejects.toBeInstanceOf(
        RangeError,
      );
    });
  });

  feedContract(name, newStore, {
    ...traits,
    feed: "changes",
    append: async (log, count) => {
      const appended: { id: string; position: Position }[] = [];
      while (appended.length < count) {
        const events = newEvents(Math.min(count - appended.length, 1 + (appended.length % 3)));
        const stream = newStream();
        await log.append(stream, "none", events);
        for (const { id, position } of await log.readStream(stream, { from: 0, limit: 10 })) {
          appended.push({ id, position });
        }
      }
      return appended;
    },
  });
}
