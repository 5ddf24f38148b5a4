import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  createAuditConsumer,
  type Gap,
  GapNotFilled,
  type Mark,
  type Place,
  verdictOn,
} from "./audit-consumer.ts";

const place = (stream: string, revision: number): Place => ({
  stream,
  revision: BigInt(revision),
  position: String(revision).padStart(4, "0"),
});

/** A consumer whose records and marks are one list, as a database transaction would keep them. */
function newConsumer({
  service = [],
  startAt,
}: {
  service?: readonly Place[];
  startAt?: "beginning" | "here";
} = {}) {
  const applied: Place[] = [];
  const gaps: Gap[] = [];
  let failures = 0;
  const consumer = createAuditConsumer<Place>({
    markOf: async (stream): Promise<Mark | undefined> =>
      applied.findLast((record) => record.stream === stream),
    apply: async (record) => {
      if (failures-- > 0) throw new Error("the store is down");
      applied.push(record);
    },
    async *readGap(gap) {
      for (const record of service) {
        const { stream, revision } = record;
        if (stream === gap.stream && revision >= gap.from && revision <= gap.to) yield record;
      }
    },
    onGap: (gap) => gaps.push(gap),
    ...(startAt && { startAt }),
  });
  return {
    ...consumer,
    applied,
    gaps,
    failNext: (count: number) => {
      failures = count;
    },
  };
}

describe("The consumer rule", () => {
  it.for([
    [undefined, 0n, "apply"],
    [undefined, 1n, "gap"],
    [0n, 0n, "drop"],
    [0n, 1n, "apply"],
    [0n, 2n, "gap"],
    [7n, 3n, "drop"],
    [7n, 8n, "apply"],
    [7n, 9n, "gap"],
    [2n ** 64n - 3n, 2n ** 64n - 2n, "apply"],
  ] as const)("has the mark %s and revision %s: %s", ([mark, revision, verdict]) => {
    expect(verdictOn(mark, revision)).toBe(verdict);
  });
});

describe("An audit consumer", () => {
  it("applies each record once, whatever comes twice or late", async () => {
    const consumer = newConsumer();
    const verdicts: string[] = [];
    for (const revision of [0, 1, 0, 1, 2, 1, 3, 3]) {
      verdicts.push((await consumer.take(place("a", revision))).verdict);
    }
    expect(verdicts.map((verdict) => verdict[0]).join("")).toBe("aaddadad");
    expect(consumer.applied).toStrictEqual([0, 1, 2, 3].map((nth) => place("a", nth)));
  });

  it("counts each stream for itself", async () => {
    const consumer = newConsumer();
    for (const stream of ["a", "b"]) await consumer.take(place(stream, 0));
    expect(consumer.applied).toHaveLength(2);
    expect(consumer.gaps).toStrictEqual([]);
  });

  it("reads a gap from the service, after the alarm and before what came behind it", async () => {
    const service = [1, 2, 3].map((nth) => place("a", nth));
    const consumer = newConsumer({ service });
    await consumer.take(place("a", 0));
    expect(await consumer.take(place("a", 4))).toStrictEqual({ verdict: "gap", records: 4 });
    expect(consumer.applied.map(({ revision }) => revision)).toStrictEqual([0n, 1n, 2n, 3n, 4n]);
    expect(consumer.gaps).toStrictEqual([
      { stream: "a", from: 1n, to: 3n, after: "0000", before: "0004" },
    ]);
  });

  it("applies nothing behind a gap that cannot be closed, and says what is missing", async () => {
    const consumer = newConsumer({ service: [place("a", 1), place("a", 3)] });
    await consumer.take(place("a", 0));
    const failure = await consumer.take(place("a", 5)).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(GapNotFilled);
    expect(failure).toMatchObject({
      gap: { stream: "a", from: 2n, to: 4n, after: "0001", before: "0005" },
    });
    expect(consumer.applied).toStrictEqual([place("a", 0), place("a", 1)]);
  });

  it("begins a stream where it is told to", async () => {
    const here = newConsumer({ startAt: "here" });
    expect((await here.take(place("a", 57))).verdict).toBe("apply");
    expect(await here.take(place("a", 59)).catch(() => here.gaps[0])).toMatchObject({ from: 58n });
    const beginning = newConsumer();
    await expect(beginning.take(place("a", 2))).rejects.toBeInstanceOf(GapNotFilled);
  });

  it("takes a delivery again after its store failed", async () => {
    const consumer = newConsumer();
    consumer.failNext(1);
    await expect(consumer.take(place("a", 0))).rejects.toThrow("the store is down");
    expect((await consumer.take(place("a", 0))).verdict).toBe("apply");
    expect(consumer.applied).toHaveLength(1);
  });

  it("works off deliveries of one stream one after the other, also when called all at once", async () => {
    const consumer = newConsumer();
    await Promise.all([0, 0, 1, 1, 0, 2, 2].map((nth) => consumer.take(place("a", nth))));
    expect(consumer.applied.map(({ revision }) => revision)).toStrictEqual([0n, 1n, 2n]);
  });

  it("ends with every record once and in order, after any schedule of two publishers", async () => {
    const streams = ["a", "b", "c"];
    const log = fc.array(fc.constantFrom(...streams), { minLength: 1, maxLength: 60 });
    // One step of a publisher: how many records it sends in a row, and how far it falls back after that.
    const steps = fc.array(
      fc.tuple(
        fc.integer({ min: 0, max: 1 }),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 0, max: 9 }),
      ),
      {
        maxLength: 40,
      },
    );
    const lost = fc.array(fc.integer({ min: 0, max: 59 }), { maxLength: 5 });
    const faults = fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(log, steps, lost, faults, async (names, schedule, dropped, failures) => {
        const counts = new Map<string, number>();
        const feed = names.map((stream, nth) => {
          const revision = counts.get(stream) ?? 0;
          counts.set(stream, revision + 1);
          return { stream, revision: BigInt(revision), position: String(nth).padStart(4, "0") };
        });
        const consumer = newConsumer({ service: feed });
        let delivery = 0;
        const deliver = async (record: Place) => {
          consumer.failNext(failures[delivery++] ?? 0);
          while (true) {
            try {
              return await consumer.take(record);
            } catch (error) {
              if (error instanceof GapNotFilled) throw error;
            }
          }
        };
        const at = [0, 0];
        for (const [publisher, run, back] of [...schedule, [0, 60, 0] as const]) {
          const from = at[publisher] ?? 0;
          for (const record of feed.slice(from, from + run)) {
            if (!dropped.includes(Number(record.position))) await deliver(record);
          }
          at[publisher] = Math.max(0, Math.min(feed.length, from + run) - back);
        }
        // Whatever was lost shows as a gap of the next record of its stream; behind the last one nobody can know.
        for (const record of feed.toReversed().filter(isLastOfItsStream(feed)))
          await deliver(record);
        for (const stream of streams) {
          expect(consumer.applied.filter((record) => record.stream === stream)).toStrictEqual(
            feed.filter((record) => record.stream === stream),
          );
        }
      }),
      { numRuns: 300 },
    );
  });
});

const isLastOfItsStream = (feed: readonly Place[]) => (record: Place) =>
  feed.findLast(({ stream }) => stream === record.stream) === record;
