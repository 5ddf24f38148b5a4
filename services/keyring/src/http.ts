import type { ConnectRouter, HandlerContext } from "@connectrpc/connect";
import { fastifyConnectPlugin } from "@connectrpc/connect-fastify";
import { Canceller } from "@keyledger/core";
import type { FastifyInstance } from "fastify";
import { withOwnWords } from "./connect-errors.ts";
import type { Incoming } from "./guard.ts";
import type { AnyMessage, GuardedService } from "./guarded.ts";

const READ_BYTES_MAX = 256 * 1024;
const WRITE_BYTES_MAX = 1024 * 1024;
const TIMEOUT_MAX_MS = 30_000;

/**
 * Connect and gRPC-Web on the HTTP edge, from the same methods as gRPC. `ResolveService` is not among them: material
 * leaves over gRPC only, as bytes, and never as JSON.
 * @param stopping ends open streams when the process stops.
 */
export const connectPlugin =
  (services: readonly GuardedService[], stopping: Canceller) =>
  async (fastify: FastifyInstance): Promise<void> => {
    await fastify.register(fastifyConnectPlugin, {
      routes: (router: ConnectRouter) => {
        for (const service of services) route(router, service, stopping);
      },
      readMaxBytes: READ_BYTES_MAX,
      writeMaxBytes: WRITE_BYTES_MAX,
      maxTimeoutMs: TIMEOUT_MAX_MS,
      acceptCompression: [],
      requestGate: withOwnWords,
      requireConnectProtocolHeader: false,
      readUnknownFields: false,
      grpc: false,
      jsonOptions: { ignoreUnknownFields: false },
      binaryOptions: { readUnknownFields: false },
    } as Parameters<typeof fastifyConnectPlugin>[1]);
  };

function route(router: ConnectRouter, service: GuardedService, stopping: Canceller): void {
  const { descriptor } = service;
  const implementation = Object.fromEntries(
    descriptor.methods.map((method) => {
      if (method.methodKind === "server_streaming") {
        const run = service.stream(method.localName);
        return [
          method.localName,
          (request: AnyMessage, context: HandlerContext) => {
            const handle = handleOf(context);
            const stop = () => handle.signal.cancel();
            stopping.addEventListener("abort", stop);
            context.signal.addEventListener("abort", () =>
              stopping.removeEventListener("abort", stop),
            );
            return run(request, incomingOf(context), handle);
          },
        ];
      }
      const run = service.unary(method.localName);
      return [
        method.localName,
        (request: AnyMessage, context: HandlerContext) =>
          run(request, incomingOf(context), handleOf(context)),
      ];
    }),
  );
  router.service(descriptor, implementation as never);
}

/** The context's signal aborts when the caller goes away, and when the answer is out. */
function handleOf(context: HandlerContext) {
  const handle = { signal: new Canceller(), sent: [] as (() => void)[] };
  context.signal.addEventListener("abort", () => {
    handle.signal.cancel();
    for (const task of handle.sent) task();
  });
  return handle;
}

function incomingOf(context: HandlerContext): Incoming {
  const { requestHeader } = context;
  return {
    authorization: requestHeader.get("authorization") ?? undefined,
    apiKey: requestHeader.get("x-api-key") ?? undefined,
    correlationId: requestHeader.get("x-request-id") ?? undefined,
    traceparent: requestHeader.get("traceparent") ?? undefined,
    timeoutMs: context.timeoutMs(),
  };
}
