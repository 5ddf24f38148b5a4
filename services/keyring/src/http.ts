import { Code, ConnectError, type ConnectRouter, type HandlerContext } from "@connectrpc/connect";
import { parseTimeout as parseConnectTimeout } from "@connectrpc/connect/protocol-connect";
import { parseTimeout as parseGrpcTimeout } from "@connectrpc/connect/protocol-grpc";
import { fastifyConnectPlugin } from "@connectrpc/connect-fastify";
import { Canceller } from "@keyledger/core";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { entered, withOwnWords } from "./connect-errors.ts";
import { refuse } from "./errors.ts";
import type { GuardParts, Handle, Incoming } from "./guard.ts";
import type { AnyMessage, GuardedService } from "./guarded.ts";
import { ANSWER_BYTES_MAX, REQUEST_BYTES_MAX } from "./limits.ts";
import { isStillRunning, wiperOf } from "./wipe.ts";

/** JSON doubles what has to be escaped in it, so an answer that fits in binary must fit here too. */
const WRITE_BYTES_MAX = 2 * ANSWER_BYTES_MAX;

/** The longest deadline that is passed on, in milliseconds: one beyond what timers can hold would end a call at once. */
const TIMEOUT_MAX_MS = 24 * 60 * 60 * 1000;

/**
 * Connect and gRPC-Web on the HTTP edge, from the same methods as gRPC. `ResolveService` is not among them: material
 * leaves over gRPC only, as bytes, and never as JSON.
 * @param stopping ends open streams when the process stops.
 * @param onFault hears of answers that could not be given.
 */
export const connectPlugin =
  (
    services: readonly GuardedService[],
    stopping: Canceller,
    onFault: GuardParts["onFault"] = () => {},
  ) =>
  async (fastify: FastifyInstance): Promise<void> => {
    fastify.addHook("onRequest", async (request) => makeReadable(request));
    fastify.addHook("preHandler", async (request, reply) => {
      request.body = bodyOf(request.raw, reply.raw);
    });
    await fastify.register(fastifyConnectPlugin, {
      routes: (router: ConnectRouter) => {
        for (const service of services) route(router, service, stopping);
      },
      readMaxBytes: REQUEST_BYTES_MAX,
      writeMaxBytes: WRITE_BYTES_MAX,
      acceptCompression: [],
      requestGate: withOwnWords(onFault),
      grpc: false,
      jsonOptions: { ignoreUnknownFields: false },
      // Kept, unknown fields of a few MB stall the process for a second.
      binaryOptions: { readUnknownFields: false },
    });
  };

/**
 * What the adapter would stumble over: it makes a URL of host and path, and where that fails it writes both to standard
 * error and never answers.
 */
function makeReadable({ raw: { url = "", headers } }: FastifyRequest): void {
  if (!URL.canParse(url, `http://${headers.host ?? ""}`))
    throw Object.assign(new Error("neither host nor path of a URL"), { statusCode: 400 });
  clamp(headers, "connect-timeout-ms", "", parseConnectTimeout);
  clamp(headers, "grpc-timeout", "m", parseGrpcTimeout);
}

function clamp(
  headers: FastifyRequest["raw"]["headers"],
  name: string,
  unit: string,
  parse: typeof parseConnectTimeout,
): void {
  const asked = headers[name];
  if (typeof asked !== "string") return;
  const { timeoutMs } = parse(asked, Number.MAX_SAFE_INTEGER);
  if (timeoutMs !== undefined && timeoutMs > TIMEOUT_MAX_MS)
    headers[name] = `${TIMEOUT_MAX_MS}${unit}`;
}

/**
 * The body of a request. Connect stops in the middle of one that it refuses, which would destroy the request by default:
 * then nobody reads the rest of it any more, and the next call on the connection waits for ever.
 */
function bodyOf(
  raw: FastifyRequest["raw"],
  answer: FastifyReply["raw"],
): AsyncIterable<Uint8Array> {
  answer.once("finish", () => raw.resume());
  return raw.iterator({ destroyOnReturn: false });
}

function route(router: ConnectRouter, service: GuardedService, stopping: Canceller): void {
  const { descriptor } = service;
  const implementation = Object.fromEntries(
    descriptor.methods.map((method) => {
      if (method.methodKind === "server_streaming") {
        const run = service.stream(method.localName);
        return [
          method.localName,
          (request: AnyMessage, context: HandlerContext) =>
            streaming(context, stopping, (handle) => run(request, incomingOf(context), handle)),
        ];
      }
      const run = service.unary(method.localName);
      const wipe = wiperOf(method.input);
      return [
        method.localName,
        async (request: AnyMessage, context: HandlerContext) => {
          const handle = begin(context);
          try {
            const answer = await run(request, incomingOf(context), handle);
            wipe(request);
            return answer;
          } catch (error) {
            if (!isStillRunning(error)) wipe(request);
            throw error;
          } finally {
            // By the next turn the answer is encoded.
            setImmediate(() => end(handle));
          }
        },
      ];
    }),
  );
  router.service(descriptor, implementation as never);
}

async function* streaming(
  context: HandlerContext,
  stopping: Canceller,
  run: (handle: Handle) => AsyncIterable<AnyMessage>,
): AsyncGenerator<AnyMessage> {
  const handle = begin(context);
  const stop = () => handle.signal.cancel();
  stopping.addEventListener("abort", stop);
  if (stopping.aborted) stop();
  try {
    yield* run(handle);
  } finally {
    stopping.removeEventListener("abort", stop);
    end(handle);
  }
  // The methods end quietly when they are cancelled; only here is known what cancelled them.
  const { reason } = context.signal;
  if (reason instanceof ConnectError && reason.code === Code.DeadlineExceeded)
    throw refuse("deadline-exceeded");
}

/** The context's signal aborts at the deadline and when the caller goes away. */
function begin(context: HandlerContext): Handle {
  entered(context);
  const handle: Handle = { signal: new Canceller(), sent: [] };
  const cancel = () => handle.signal.cancel();
  if (context.signal.aborted) cancel();
  else context.signal.addEventListener("abort", cancel);
  return handle;
}

function end({ sent }: Handle): void {
  for (const task of sent) task();
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
