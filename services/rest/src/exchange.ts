import type { FastifyReply, FastifyRequest } from "fastify";
import { Failure } from "./failure.ts";
import type { CallOptions } from "./keyring-client.ts";
import type { Expiring } from "./overdue.ts";

/** The calls on behalf of one request. They end with it: at its deadline, and when the client goes away. */
export class Exchange implements Expiring {
  readonly options: CallOptions;
  readonly overdueAtMs: number;
  readonly #controller = new AbortController();
  #expire: (failure: Failure) => void = () => {};

  constructor(request: FastifyRequest, reply: FastifyReply, timeoutMs: number) {
    const { headers } = request;
    this.options = {
      authorization: headers.authorization,
      apiKey: textOf(headers["x-api-key"]),
      correlationId: request.id,
      traceparent: textOf(headers.traceparent),
      signal: this.#controller.signal,
      timeoutMs,
    };
    this.overdueAtMs = performance.now() + timeoutMs;
    reply.raw.on("close", () => {
      if (!reply.raw.writableFinished) this.#controller.abort();
    });
  }

  /** Settles as the call does, or fails at the deadline if the call does not heed it. */
  settle<T>(call: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#expire = reject;
      call.then(resolve, reject);
    });
  }

  expire(): void {
    this.#expire(new Failure("DEADLINE_EXCEEDED"));
    this.#controller.abort();
  }
}

const textOf = (header: string | string[] | undefined): string | undefined =>
  Array.isArray(header) ? header.join(", ") : header;
