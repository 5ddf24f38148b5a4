/** One sample of load: so many requests in flight over so many connections, until the time or the bodies are over. */
export interface LoadJob {
  readonly protocol: "grpc" | "http";
  /** `host:port`. */
  readonly address: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  /** A single one is sent again and again, of several each once. Without any, requests have none. */
  readonly bodies: readonly Uint8Array[];
  readonly inFlight: number;
  readonly connections: number;
  readonly ms: number;
}

export interface LoadResult {
  readonly calls: number;
  /** Calls that did not end as they must: gRPC status 0, HTTP status 200. */
  readonly failed: number;
  readonly seconds: number;
}

/** Counts the calls of one sample. */
export class Tally {
  readonly #job: LoadJob;
  readonly #startedAt = performance.now();
  #begun = 0;
  #ended = 0;
  #failed = 0;

  constructor(job: LoadJob) {
    this.#job = job;
  }

  /** @returns the body of the next call, or `undefined` when there shall be no more. */
  next(): Uint8Array | undefined {
    const { bodies, ms } = this.#job;
    if (performance.now() - this.#startedAt >= ms) return undefined;
    if (bodies.length <= 1) return bodies[0] ?? NONE;
    return bodies[this.#begun++];
  }

  ended(isGood: boolean): void {
    this.#ended++;
    if (!isGood) this.#failed++;
  }

  result(): LoadResult {
    const seconds = (performance.now() - this.#startedAt) / 1_000;
    return { calls: this.#ended, failed: this.#failed, seconds };
  }
}

const NONE = new Uint8Array(0);
