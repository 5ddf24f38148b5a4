import type { CancelSignal, Followed, Page, Position } from "@keyledger/core";

/** Tells followers within the process that a feed has grown. Without payload: each reads on from where it stands. */
export class Growth {
  readonly #waiting = new Set<() => void>();
  #count = 0;

  /** Grows with each announcement. */
  get count(): number {
    return this.#count;
  }

  announce(): void {
    this.#count++;
    for (const wake of this.#waiting) wake();
  }

  /** Resolves once there was an announcement after `count` was read, or when the signal aborts. */
  beyond(count: number, signal: CancelSignal): Promise<void> {
    return new Promise((resolve) => {
      if (this.#count !== count || signal.aborted) return resolve();
      const wake = () => {
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }
}

/** Events per page of a follow, unless its caller says otherwise: some milliseconds of work. */
const PAGE_SIZE = 500;

/** `Feed.follow` over `Feed.read`: since it pulls page after page, a slow reader buffers nothing. */
export async function* follow(
  feed: {
    readonly growth: Growth;
    read(options: { after: Position; limit: number }): Promise<Page>;
  },
  {
    after,
    signal,
    pageSize = PAGE_SIZE,
  }: { after: Position; signal: CancelSignal; pageSize?: number },
): AsyncGenerator<Followed, void, undefined> {
  let next = after;
  while (!signal.aborted) {
    // Read before the page is: what is announced while it is read or consumed is not slept through.
    const { count } = feed.growth;
    const page = await feed.read({ after: next, limit: pageSize });
    if (signal.aborted) return;
    next = page.next;
    if (page.events.length > 0) yield { kind: "page", events: page.events, next };
    if (!page.atEnd) continue;
    if (signal.aborted) return;
    yield { kind: "caught-up", next };
    await feed.growth.beyond(count, signal);
  }
}
