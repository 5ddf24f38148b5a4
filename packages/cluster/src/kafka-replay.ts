import {
  type AuditSink,
  Canceller,
  type CancelSignal,
  createRelay,
  Fault,
  type Feed,
  type Followed,
  type Host,
  type Position,
} from "@keyledger/core";

/** Records read in one go. */
const PAGE = 500;

/**
 * Publishes a stretch of a feed once more: byte for byte what the relay published, whenever and by whomever. Faults that a
 * retry can cure are retried until the signal aborts.
 * @param from exclusive; the feed's zero = from its first event.
 * @param to inclusive.
 * @param sink keeps no checkpoints: a replay says nothing about how far the relay got.
 * @returns the events published.
 * @throws {Fault} a position is not one of the feed, or the signal aborted before the end.
 */
export async function replayAudit({
  feed,
  from,
  to,
  sink,
  host,
  signal,
}: {
  feed: Feed;
  from: Position;
  to: Position;
  sink: AuditSink;
  host: Host;
  signal: CancelSignal;
}): Promise<number> {
  for (const [name, position] of Object.entries({ from, to })) {
    if ((await feed.check(position)) !== "known") {
      throw new Fault(`${name} is no position of the feed ${feed.name}`, { retryable: false });
    }
  }
  const over = new Canceller();
  const stop = () => over.cancel();
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  let reached = from;
  let events = 0;

  async function* stretch(): AsyncGenerator<Followed, void, undefined> {
    for (let isOver = reached >= to; !isOver && !over.aborted; ) {
      const page = await feed.read({ after: reached, limit: PAGE });
      const inside = page.events.filter(({ position }) => position <= to);
      if (inside.length > 0) yield { kind: "page", events: inside, next: page.next };
      // Only now is it delivered.
      events += inside.length;
      reached = page.next;
      isOver = page.atEnd || reached >= to;
    }
    over.cancel();
  }

  try {
    await createRelay({
      feed: { ...boundTo(feed), follow: () => stretch() },
      sink: {
        resumeAfter: async () => reached,
        deliver: (name, records) => sink.deliver(name, records),
      },
      host,
    }).run(over);
  } finally {
    signal.removeEventListener("abort", stop);
  }
  if (reached < to) throw new Fault("the replay was stopped before its end", { retryable: true });
  return events;
}

const boundTo = (feed: Feed): Feed => ({
  name: feed.name,
  zero: feed.zero,
  head: () => feed.head(),
  check: (token) => feed.check(token),
  read: (options) => feed.read(options),
  follow: (options) => feed.follow(options),
});
