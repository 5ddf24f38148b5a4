import {
  create,
  type DescMessage,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import type {
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  sendUnaryData,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { Canceller } from "@keyledger/core";
import { translate } from "./errors.ts";
import { statusOf } from "./grpc-errors.ts";
import type { GuardParts, Handle, Incoming } from "./guard.ts";
import type { AnyMessage, GuardedService } from "./guarded.ts";
import { ANSWER_BYTES_MAX } from "./limits.ts";
import { isInOurWords, protocolError } from "./protocol-errors.ts";
import { holdsSecret, isStillRunning, wiperOf } from "./wipe.ts";

// Unknown fields are dropped while reading: kept, a message of a few MB of them stalls the process for a second.
const READ = { readUnknownFields: false } as const;

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** What a request is that cannot be read: refused in words of ours, which grpc-js has none for. */
const MALFORMED = Symbol("malformed");
type Request = Message | typeof MALFORMED;

function requestFrom(schema: DescMessage, bytes: Buffer): Request {
  try {
    return fromBinary(schema, bytes, READ);
  } catch {
    return MALFORMED;
  }
}

/** The wire form of a service. Answers are encoded by the handlers below, so that what they held can be wiped at once. */
export function definitionOf(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: `/${service.typeName}/${method.name}`,
        requestStream: false,
        responseStream: method.methodKind === "server_streaming",
        requestSerialize: (message: Message) => buffer(toBinary(method.input, message)),
        requestDeserialize: (bytes: Buffer) => requestFrom(method.input, bytes),
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    ]),
  );
}

interface Surroundings {
  readonly stopping: Canceller;
  readonly onFault: GuardParts["onFault"];
}

export function implementationOf(
  service: GuardedService,
  { stopping, onFault }: Surroundings,
): UntypedServiceImplementation {
  return Object.fromEntries(
    service.descriptor.methods.map((method) => [
      method.localName,
      method.methodKind === "server_streaming"
        ? streaming(service, method, { stopping, onFault })
        : unary(service, method, onFault),
    ]),
  );
}

/** @throws whatever an answer that is none makes the encoder throw, and where it is too large. */
function encoded(schema: DescMessage, answer: AnyMessage): Buffer {
  const bytes = buffer(toBinary(schema, create(schema, answer)));
  if (bytes.byteLength > ANSWER_BYTES_MAX) throw protocolError(Code.ResourceExhausted, "answer");
  return bytes;
}

const unary = (service: GuardedService, method: DescMethod, onFault: GuardParts["onFault"]) => {
  const run = service.unary(method.localName);
  const words = wordsFor(method, onFault);
  const wipeRequest = wiperOf(method.input);
  const isSecret = holdsSecret(method.output);

  async function answerTo(request: Message, incoming: Incoming, handle: Handle): Promise<Buffer> {
    try {
      const answer = await run(request, incoming, handle);
      wipeRequest(request);
      return encoded(method.output, answer);
    } catch (error) {
      if (!isStillRunning(error)) wipeRequest(request);
      throw error;
    } finally {
      for (const task of handle.sent) task();
    }
  }

  return (call: ServerUnaryCall<Request, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const { request } = call;
    if (request === MALFORMED) {
      callback(statusOf(malformed()));
      return;
    }
    const handle: Handle = { signal: new Canceller(), sent: [] };
    call.on("cancelled", () => handle.signal.cancel());
    answerTo(request, incomingOf(call), handle)
      .then(
        (bytes) => {
          callback(null, bytes);
          // It was copied behind its length; that copy, and those of HTTP/2 and TLS, are out of reach.
          if (isSecret) bytes.fill(0);
        },
        (error: unknown) => callback(statusOf(words(error))),
      )
      .catch((error: unknown) => onFault(nameOf(method), error, "INTERNAL"));
  };
};

const streaming = (
  service: GuardedService,
  method: DescMethod,
  { stopping, onFault }: Surroundings,
) => {
  const run = service.stream(method.localName);
  const words = wordsFor(method, onFault);
  return async (call: ServerWritableStream<Request, Buffer>): Promise<void> => {
    const { request } = call;
    if (request === MALFORMED) {
      call.emit("error", statusOf(malformed()));
      return;
    }
    const handle: Handle = { signal: new Canceller(), sent: [] };
    const end = () => handle.signal.cancel();
    call.on("cancelled", end);
    call.on("error", end);
    stopping.addEventListener("abort", end);
    if (stopping.aborted) end();
    try {
      for await (const answer of run(request, incomingOf(call), handle)) {
        if (handle.signal.aborted) break;
        const isFull = !call.write(encoded(method.output, answer));
        // Nothing is buffered for a slow reader: the feed is read as fast as it is taken.
        if (isFull) await drained(call, handle.signal);
      }
      call.end();
    } catch (error) {
      call.emit("error", statusOf(words(error)));
    } finally {
      stopping.removeEventListener("abort", end);
      for (const task of handle.sent) task();
    }
  };
};

const malformed = (): ConnectError => protocolError(Code.InvalidArgument, "request");

const nameOf = ({ parent, name }: DescMethod): string => `${parent.typeName}/${name}`;

/** Errors of a method come translated, and were heard of; what else is thrown here was met by an answer on its way out. */
const wordsFor =
  (method: DescMethod, onFault: GuardParts["onFault"]) =>
  (error: unknown): ConnectError => {
    if (error instanceof ConnectError && isInOurWords(error)) return error;
    onFault(nameOf(method), error, "INTERNAL");
    return translate(error);
  };

const drained = (call: ServerWritableStream<Request, Buffer>, signal: Canceller): Promise<void> =>
  new Promise((resolve) => {
    const done = () => {
      call.off("drain", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    call.once("drain", done);
    signal.addEventListener("abort", done);
    if (signal.aborted) done();
  });

function incomingOf(call: { readonly metadata: Metadata; getDeadline(): Date | number }): Incoming {
  const { metadata } = call;
  const deadline = call.getDeadline();
  const endsAt = typeof deadline === "number" ? deadline : deadline.getTime();
  return {
    authorization: textOf(metadata, "authorization"),
    apiKey: textOf(metadata, "x-api-key"),
    correlationId: textOf(metadata, "x-request-id"),
    traceparent: textOf(metadata, "traceparent"),
    // grpc-js gives deadlines by the wall clock.
    timeoutMs: Number.isFinite(endsAt) ? endsAt - Date.now() : undefined,
  };
}

function textOf(metadata: Metadata, name: string): string | undefined {
  const [first, ...more] = metadata.get(name);
  // Two values of one credential are no credential: proxies and we could read different ones.
  return typeof first === "string" && more.length === 0
    ? first
    : first === undefined
      ? undefined
      : "";
}
