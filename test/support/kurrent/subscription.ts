import type { ServerWritableStream } from "@grpc/grpc-js";
import { type Failure, streamDeleted } from "./failures.ts";
import type { streams } from "./generated.ts";
import {
  caughtUpAnswer,
  checkpointAnswer,
  confirmationAnswer,
  eventAnswer,
} from "./read-answers.ts";
import type { ReadQuery } from "./read-query.ts";
import type { KurrentStore, StoredEvent } from "./store.ts";

export type ReadCall = ServerWritableStream<streams.ReadReq, streams.ReadResp>;

/** Events taken from the store in one go. */
const PAGE = 256;

/** A subscription that is open: catches up from where the client stands, then goes on live. */
export class LiveSubscription {
  readonly #call: ReadCall;
  readonly #query: ReadQuery;
  readonly #store: KurrentStore;
  readonly #now: () => number;
  #isMuted = false;
  /** Everything up to here was looked at. In a stream a revision, otherwise a position. */
  #cursor: bigint;
  #considered = 0;
  #checkpoint = 0n;
  #grown = Promise.withResolvers<void>();

  constructor(call: ReadCall, query: ReadQuery, store: KurrentStore, now: () => number) {
    this.#call = call;
    this.#query = query;
    this.#store = store;
    this.#now = now;
    this.#cursor = this.#startCursor();
  }

  /** From now on nothing is sent, and the client is not told: what a dead connection looks like from outside. */
  mute(): void {
    this.#isMuted = true;
  }

  break(failure: Failure): void {
    this.#call.emit("error", failure);
  }

  /** Until the client goes. */
  async run(): Promise<void> {
    const wake = () => this.#grown.resolve();
    const forget = this.#store.onGrowth(wake);
    this.#call.on("cancelled", wake);
    this.#call.on("close", wake);
    try {
      await this.#send(confirmationAnswer(crypto.randomUUID()));
      await this.#drain();
      if (this.#query.filter) await this.#sendCheckpoint();
      await this.#send(caughtUpAnswer(this.#place(), this.#now()));
      while (!this.#isOver) {
        await this.#grown.promise;
        this.#grown = Promise.withResolvers();
        await this.#drain();
      }
    } finally {
      forget();
    }
  }

  /** Sends all there is. */
  async #drain(): Promise<void> {
    const { filter, checkpointInterval, structuredIds } = this.#query;
    for (;;) {
      if (this.#isOver) return;
      const page = this.#page();
      for (const event of page) {
        this.#cursor = this.#query.stream === null ? event.position : event.revision;
        if (filter === undefined || filter(event)) {
          await this.#send(eventAnswer(event, structuredIds));
        }
        this.#considered++;
        if (filter && this.#considered >= checkpointInterval) await this.#sendCheckpoint();
      }
      if (page.length < PAGE) return;
    }
  }

  #page(): readonly StoredEvent[] {
    const { stream } = this.#query;
    if (stream === null) return this.#store.readAll(this.#cursor + 1n, "forwards", PAGE);
    const read = this.#store.readStream(stream, this.#cursor + 1n, "forwards", PAGE);
    if (read.kind === "deleted") this.break(streamDeleted(stream));
    return read.kind === "events" ? read.events : [];
  }

  async #sendCheckpoint(): Promise<void> {
    this.#considered = 0;
    if (this.#cursor <= this.#checkpoint) return;
    this.#checkpoint = this.#cursor;
    await this.#send(checkpointAnswer(this.#cursor, this.#now()));
  }

  async #send(answer: streams.ReadResp): Promise<void> {
    if (this.#isMuted || this.#isOver) return;
    await write(this.#call, answer);
  }

  #place(): { revision: bigint } | { position: bigint } {
    return this.#query.stream === null ? { position: this.#cursor } : { revision: this.#cursor };
  }

  #startCursor(): bigint {
    const { from, stream } = this.#query;
    if (from === "start") return -1n;
    if (from !== "end") return from;
    if (stream === null) return this.#store.lastPosition;
    const read = this.#store.readStream(stream, "end", "backwards", 1);
    return read.kind === "events" ? read.last : -1n;
  }

  get #isOver(): boolean {
    return this.#call.cancelled || this.#call.destroyed;
  }
}

/** Resolves when more can be written, so that a slow client slows its own call and fills no memory. */
export async function write(call: ReadCall, answer: streams.ReadResp): Promise<void> {
  if (call.cancelled || call.destroyed || call.write(answer)) return;
  await new Promise<void>((resolve) => {
    const end = () => {
      for (const event of ["drain", "cancelled", "close", "error"]) call.off(event, end);
      resolve();
    };
    for (const event of ["drain", "cancelled", "close", "error"]) call.on(event, end);
  });
}
