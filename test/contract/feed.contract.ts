import { randomUUID } from "node:crypto";
import type { Feed, Followed, Position, RecordedEvent } from "@keyledger/core";
import { describe, expect, it } from "vitest";

/** One log and its data: every log opened from it is the same one. */
export interface Store<Log> extends AsyncDisposable {
  open(): Promise<Log & AsyncDisposable>;
}

export interface FeedTraits {
  /** Positions are consecutive numbers at the end of the token. */
  readonly gapFree: boolean;
}

export async function readAll(log: Feed, limit: number): Promise<RecordedEvent[]> {
  const all: RecordedEvent[] = [];
  for (let after = log.zero; ; ) {
    const page = await log.read({ after, limit });
    expect(page.events.length).toBeLessThanOrEqual(limit);
    all.push(...page.events);
    after = page.next;
    if (page.atEnd) return all;
  }
}

/** Follows in the background; what it has seen so far can be looked at. */
function startFollowing(log: Feed, options: { after?: Position; pageSize?: number } = {}) {
  const abort = new AbortController();
  const seen: Followed[] = [];
  const after = options.after ?? log.zero;
  const ended = (async () => {
    for await (const item of log.follow({ ...options, after, signal: abort.signal })) {
      seen.push(item);
    }
  })();
  const events = () => seen.flatMap((item) => (item.kind === "page" ? item.events : []));
  return {
    seen,
    events,
    caughtUp: () => expect.poll(() => seen.at(-1)?.kind).toBe("caught-up"),
    received: (count: number) =>
      expect.poll(() => events().length, { timeout: 10_000 }).toBe(count),
    async stop() {
      abort.abort();
      await ended;
    },
  };
}

/** What reading and following promise, whatever is appended. `append` answers in the order of the feed. */
export function feedContract<Log extends Feed>(
  name: string,
  newStore: () => Promise<Store<Log>>,
  {
    feed,
    gapFree,
    append,
  }: FeedTraits & {
    readonly feed: Feed["name"];
    append(log: Log, count: number): Promise<readonly { id: string; position: Position }[]>;
  },
): void {
  const opened = async () => {
    const store = await newStore();
    const log = await store.open();
    const dispose = async () => {
      await log[Symbol.asyncDispose]();
      await store[Symbol.asyncDispose]();
    };
    return { log, [Symbol.asyncDispose]: dispose };
  };
  const ids = (events: readonly { id: string }[]) => events.map(({ id }) => id);

  describe(`${name} keeps the feed's contract`, () => {
    it("is empty before the first event", async () => {
      await using store = await opened();
      const { log } = store;
      expect(log.name).toBe(feed);
      expect(await log.head()).toBe(log.zero);
      expect(await log.read({ after: log.zero, limit: 10 })).toStrictEqual({
        events: [],
        next: log.zero,
        atEnd: true,
      });
    });

    it.for([1, 7, 500, 10_000])("reads everything in order, %d at a time", async (limit) => {
      await using store = await opened();
      const { log } = store;
      const appended = await append(log, 25);
      const all = await readAll(log, limit);
      expect(all.map(({ id, position }) => ({ id, position }))).toStrictEqual(appended);
      expect(await log.head()).toBe(appended.at(-1)?.position);
    });

    it("gives positions that grow bytewise", async () => {
      await using store = await opened();
      const { log } = store;
      const positions = [log.zero];
      for (const { position } of await append(log, 300)) positions.push(position);
      expect(positions).toStrictEqual(positions.toSorted());
      expect(new Set(positions).size).toBe(301);
    });

    it.skipIf(!gapFree)("gives positions without a gap", async () => {
      await using store = await opened();
      const { log } = store;
      await Promise.all(Array.from({ length: 16 }, () => append(log, 10)));
      const all = await readAll(log, 64);
      const numbers = all.map(({ position }) => Number.parseInt(position.slice(-16), 16));
      expect(numbers).toStrictEqual(Array.from({ length: 160 }, (_, nth) => nth + 1));
    });

    it("begins behind the position given, whichever it is", async () => {
      await using store = await opened();
      const { log } = store;
      const appended = await append(log, 6);
      for (const [at, { position }] of appended.entries()) {
        const page = await log.read({ after: position, limit: 100 });
        expect(ids(page.events)).toStrictEqual(ids(appended.slice(at + 1)));
        expect(page).toMatchObject({ next: appended.at(-1)?.position, atEnd: true });
      }
    });

    it.for([0, -1, 10_001, 1.5, Number.NaN])("refuses the limit %d", async (limit) => {
      await using store = await opened();
      const { log } = store;
      await expect(log.read({ after: log.zero, limit })).rejects.toBeInstanceOf(RangeError);
    });

    it("knows its own tokens from foreign ones and from those beyond its end", async () => {
      await using store = await opened();
      await using other = await opened();
      const { log } = store;
      const [own] = await append(log, 1);
      const [foreign] = await append(other.log, 1);
      const position = own?.position ?? "";
      const ahead = position.replace(/.$/, "f");
      const strange = [
        foreign?.position ?? "",
        other.log.zero,
        `ff${position.slice(2)}`,
        `${position}00`,
        randomUUID(),
        "",
        "é",
      ];
      const checks = (tokens: readonly string[]) =>
        Promise.all(tokens.map((token) => log.check(token)));
      expect(await checks([log.zero, position, ahead])).toStrictEqual(["known", "known", "ahead"]);
      expect(new Set(await checks(strange))).toStrictEqual(new Set(["foreign"]));
      for (const after of [ahead, ...strange]) {
        await expect(log.read({ after, limit: 1 })).rejects.toBeInstanceOf(RangeError);
      }
    });

    it("keeps everything, and goes on behind it, when opened anew", async () => {
      await using store = await newStore();
      let before: RecordedEvent[];
      {
        await using log = await store.open();
        await append(log, 5);
        before = await readAll(log, 100);
      }
      await using log = await store.open();
      expect(await readAll(log, 100)).toStrictEqual(before);
      expect(await log.head()).toBe(before.at(-1)?.position);
      const added = await append(log, 3);
      expect(ids(await readAll(log, 100))).toStrictEqual([...ids(before), ...ids(added)]);
      expect((added[0]?.position ?? "") > (before.at(-1)?.position ?? "")).toBe(true);
    });
  });

  describe(`${name} keeps the feed's contract: follow`, () => {
    it("tells when the end is reached, and goes on with what comes later", async () => {
      await using store = await opened();
      const { log } = store;
      const following = startFollowing(log);
      await following.caughtUp();
      expect(following.seen).toStrictEqual([{ kind: "caught-up", next: log.zero }]);
      const appended = await append(log, 2);
      await following.received(2);
      await following.caughtUp();
      const next = appended.at(-1)?.position;
      expect(following.seen.at(-1)).toStrictEqual({ kind: "caught-up", next });
      await following.stop();
    });

    it("catches up in pages of the size asked for, each with the position to go on from", async () => {
      await using store = await opened();
      const { log } = store;
      await append(log, 7);
      const all = await readAll(log, 100);
      const following = startFollowing(log, { after: all[0]?.position ?? "", pageSize: 4 });
      await following.caughtUp();
      expect(following.seen).toStrictEqual([
        { kind: "page", events: all.slice(1, 5), next: all[4]?.position },
        { kind: "page", events: all.slice(5), next: all[6]?.position },
        { kind: "caught-up", next: all[6]?.position },
      ]);
      await following.stop();
    });

    it("delivers each event once, in order, to those who began before, during and after", async () => {
      await using store = await opened();
      const { log } = store;
      await append(log, 50);
      const followers = [startFollowing(log, { pageSize: 7 })];
      const writers = Array.from({ length: 16 }, async () => {
        for (let round = 0; round < 10; round++) await append(log, 1 + (round % 3));
      });
      followers.push(startFollowing(log, { pageSize: 500 }));
      await Promise.all(writers);
      followers.push(startFollowing(log));
      const all = await readAll(log, 10_000);
      expect(all).toHaveLength(50 + 16 * 19);
      for (const following of followers) {
        await following.received(all.length);
        expect(following.events()).toStrictEqual(all);
        await following.stop();
      }
    });

    it("buffers nothing for a slow reader: the next page is read when it is asked for", async () => {
      await using store = await opened();
      const { log } = store;
      const { signal } = new AbortController();
      const reader = log.follow({ after: log.zero, signal, pageSize: 10 })[Symbol.asyncIterator]();
      await append(log, 1);
      expect((await reader.next()).value).toMatchObject({ kind: "page", events: { length: 1 } });
      await append(log, 4);
      expect((await reader.next()).value).toMatchObject({ kind: "caught-up" });
      await append(log, 3);
      expect((await reader.next()).value).toMatchObject({ kind: "page", events: { length: 7 } });
      await reader.return?.();
    });

    it.for([
      ["before it begins", []],
      ["between two pages", ["page"]],
      ["at the end", ["page", "page", "caught-up"]],
    ] as const)("ends without an error when the signal aborts %s", async ([when, expected]) => {
      await using store = await opened();
      const { log } = store;
      await append(log, 4);
      const abort = new AbortController();
      if (when === "before it begins") abort.abort();
      const kinds: string[] = [];
      for await (const { kind } of log.follow({
        after: log.zero,
        signal: abort.signal,
        pageSize: 2,
      })) {
        kinds.push(kind);
        if (when === "between two pages") abort.abort();
        if (kind === "caught-up") setImmediate(() => abort.abort());
      }
      expect(kinds).toStrictEqual(expected);
    });
  });
}
