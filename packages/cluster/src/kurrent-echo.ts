import { Canceller, type Host, type RecordedEvent, type Revision } from "@keyledger/core";
import type { Resolved } from "./kurrent-event.ts";
import { Backoff, within } from "./kurrent-wait.ts";

/** Events kept, of this process and of others, and characters of their data: some megabytes. */
const KEPT_MAX = 2_000;
const KEPT_CHARS_MAX = 4_194_304;
/** An event comes back about when it is acknowledged; one that takes longer, in milliseconds, is read instead. */
const WAIT_MS = 50;
/** When so many in a row did not come back, the subscription is dead. */
const MISSED_MAX = 3;

/** What is heard of a subscription of the client's, to all streams or to one. */
export interface Heard {
  on(event: "confirmation" | "close" | "end", listener: () => void): unknown;
  on(event: "data", listener: (resolved: Resolved) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  unsubscribe(): Promise<void>;
}

/**
 * What was written, as it comes back by a subscription: the engine acknowledges a revision, but neither what stands there
 * nor the place of each event of an append. Reading it is a call more, and takes 40 ms now and then, since the client's
 * native half keeps Nagle's algorithm on. Nothing depends on the echo: what does not come back is read.
 */
export class KurrentEcho {
  readonly #host: Pick<Host, "pause" | "random">;
  readonly #subscribe: () => Heard;
  readonly #decode: (resolved: Resolved) => RecordedEvent | undefined;
  readonly #kept = new Map<string, RecordedEvent>();
  #keptChars = 0;
  readonly #awaited = new Map<string, PromiseWithResolvers<void>>();
  readonly #stop = new Canceller();
  #broken = new Canceller();
  #isLive = false;
  #missed = 0;
  #running: Promise<void> | undefined;

  /** @param subscribe to what is appended from then on */
  constructor(
    host: Pick<Host, "pause" | "random">,
    subscribe: () => Heard,
    decode: (resolved: Resolved) => RecordedEvent | undefined,
  ) {
    this.#host = host;
    this.#subscribe = subscribe;
    this.#decode = decode;
  }

  begin(): void {
    this.#running ??= this.#listen();
  }

  async end(): Promise<void> {
    this.#stop.cancel();
    this.#broken.cancel();
    await this.#running;
  }

  /** Events at places that were just acknowledged, or `undefined` where they do not come back in time. */
  async span(
    stream: string,
    first: Revision,
    last: Revision,
  ): Promise<readonly RecordedEvent[] | undefined> {
    if (!this.#isLive) return undefined;
    await this.#arrival(placeOf(stream, last));
    const events: RecordedEvent[] = [];
    for (let revision = first; revision <= last; revision++) {
      const event = this.#kept.get(placeOf(stream, revision));
      if (!event) return undefined;
      events.push(event);
    }
    return events;
  }

  async #arrival(place: string): Promise<void> {
    if (this.#kept.has(place)) return;
    const arrival = this.#awaited.get(place) ?? Promise.withResolvers<void>();
    this.#awaited.set(place, arrival);
    const outcome = await within(this.#host, WAIT_MS, arrival.promise, this.#broken);
    if (this.#awaited.get(place) === arrival) this.#awaited.delete(place);
    this.#missed = outcome === "late" ? this.#missed + 1 : 0;
    if (this.#missed >= MISSED_MAX) this.#broken.cancel();
  }

  async #listen(): Promise<void> {
    const backoff = new Backoff(this.#host, 100, 2_000);
    while (!this.#stop.aborted) {
      const broken = new Canceller();
      this.#broken = broken;
      this.#missed = 0;
      const subscription = this.#subscribe();
      const breakOff = () => broken.cancel();
      subscription.on("confirmation", () => {
        this.#isLive = !broken.aborted;
        backoff.reset();
      });
      subscription.on("data", (resolved) => this.#keep(resolved));
      subscription.on("error", breakOff);
      subscription.on("close", breakOff);
      subscription.on("end", breakOff);
      await new Promise<void>((resolve) => broken.addEventListener("abort", resolve));
      this.#isLive = false;
      subscription.unsubscribe().catch(() => {});
      await backoff.wait(this.#stop);
    }
  }

  #keep(resolved: Resolved): void {
    let event: RecordedEvent | undefined;
    try {
      event = this.#decode(resolved);
    } catch {
      // Whoever needs it reads it, and finds what is wrong with it.
    }
    if (!event) return;
    const place = placeOf(event.stream, event.revision);
    if (this.#kept.has(place)) return;
    this.#kept.set(place, event);
    this.#keptChars += event.data.length;
    this.#awaited.get(place)?.resolve();
    for (const [oldest, { data }] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX && this.#keptChars <= KEPT_CHARS_MAX) return;
      this.#kept.delete(oldest);
      this.#keptChars -= data.length;
    }
  }
}

const placeOf = (stream: string, revision: Revision): string => `${revision}@${stream}`;
