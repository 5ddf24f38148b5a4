import {
  create,
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import type { ConnectError } from "@connectrpc/connect";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type ServiceDefinition,
  type sendUnaryData,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { StatusSchema } from "@keyledger/contracts";
import { Canceller } from "@keyledger/core";
import { translate } from "./errors.ts";
import type { Incoming } from "./guard.ts";
import type { GuardedService } from "./guarded.ts";
import { createHealth } from "./health.ts";
import { reflection } from "./reflection.ts";

/** Bounds of every message and connection. */
const RECEIVE_BYTES_MAX = 256 * 1024;
const SEND_BYTES_MAX = 1024 * 1024;

const OPTIONS = {
  "grpc.max_receive_message_length": RECEIVE_BYTES_MAX,
  "grpc.max_send_message_length": SEND_BYTES_MAX,
  "grpc.max_concurrent_streams": 100,
  // Short-lived connections of health probes would otherwise pile up.
  "grpc.max_connection_idle_ms": 5 * 60_000,
  "grpc.max_connection_age_ms": 10 * 60_000,
  "grpc.max_connection_age_grace_ms": 30_000,
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.max_metadata_size": 16 * 1024,
  "grpc.enable_channelz": 0,
} as const;

export interface GrpcTls {
  readonly certificate: Buffer;
  readonly key: Buffer;
  /** Clients must show a certificate of this authority. */
  readonly clientCa: Buffer | undefined;
}

/** A gRPC listener over grpc-js, the hot path. */
export interface GrpcListener {
  /** `host:port` it listens on. */
  readonly address: string;
  /** What `grpc.health.v1` answers for the service `readiness`. */
  setReady(isReady: boolean): void;
  /** Turns NOT_SERVING, lets calls in flight finish, then closes; after `graceMs` it cuts them off. */
  drain(graceMs: number): Promise<void>;
}

export async function listenGrpc({
  listen,
  tls,
  services,
  withReflection,
}: {
  /** `host:port`; port 0 = any free one. */
  listen: string;
  tls: GrpcTls | undefined;
  services: readonly GuardedService[];
  withReflection: boolean;
}): Promise<GrpcListener> {
  const server = new Server(OPTIONS);
  const stopping = new Canceller();
  for (const service of services) {
    server.addService(definitionOf(service.descriptor), implementationOf(service, stopping));
  }
  const health = createHealth({
    "": "SERVING",
    readiness: "NOT_SERVING",
    ...Object.fromEntries(services.map(({ descriptor }) => [descriptor.typeName, "SERVING"])),
  });
  health.addToServer(server);
  if (withReflection) reflection(services.map(({ descriptor }) => descriptor)).addToServer(server);

  const credentials = tls
    ? ServerCredentials.createSsl(
        tls.clientCa ?? null,
        [{ cert_chain: tls.certificate, private_key: tls.key }],
        tls.clientCa !== undefined,
      )
    : ServerCredentials.createInsecure();
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(listen, credentials, (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });

  return {
    address: `${listen.slice(0, listen.lastIndexOf(":"))}:${port}`,
    setReady: (isReady) => health.setStatus("readiness", isReady ? "SERVING" : "NOT_SERVING"),
    async drain(graceMs) {
      health.end();
      // Streams end when they see this; unary calls are let finish.
      stopping.cancel();
      let timer: ReturnType<typeof setTimeout> | undefined;
      await new Promise<void>((resolve) => {
        timer = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, graceMs);
        server.tryShutdown(() => resolve());
      });
      clearTimeout(timer);
    },
  };
}

// Unknown fields are dropped while reading: kept, a message of a few MB of them stalls the process for a second.
const READ = { readUnknownFields: false } as const;

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The wire form of a service. Answers are encoded by the handlers below, so that what they held can be wiped at once. */
function definitionOf(service: DescService): ServiceDefinition {
  return Object.fromEntries(
    service.methods.map((method) => [
      method.localName,
      {
        path: `/${service.typeName}/${method.name}`,
        requestStream: false,
        responseStream: method.methodKind === "server_streaming",
        requestSerialize: (message: Message) => buffer(toBinary(method.input, message)),
        requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes, READ),
        responseSerialize: (bytes: Buffer) => bytes,
        responseDeserialize: (bytes: Buffer) => bytes,
      },
    ]),
  );
}

function implementationOf(
  service: GuardedService,
  stopping: Canceller,
): UntypedServiceImplementation {
  return Object.fromEntries(
    service.descriptor.methods.map((method) => [
      method.localName,
      method.methodKind === "server_streaming"
        ? streaming(service, method, stopping)
        : unary(service, method),
    ]),
  );
}

const unary = (service: GuardedService, method: DescMethod) => {
  const run = service.unary(method.localName);
  return (call: ServerUnaryCall<Message, Buffer>, callback: sendUnaryData<Buffer>): void => {
    const handle = { signal: new Canceller(), sent: [] as (() => void)[] };
    call.on("cancelled", () => handle.signal.cancel());
    run(call.request, incomingOf(call), handle).then(
      (answer) => {
        const bytes = buffer(toBinary(method.output, create(method.output, answer)));
        for (const task of handle.sent) task();
        callback(null, bytes);
      },
      (error: unknown) => {
        for (const task of handle.sent) task();
        callback(statusOf(translate(error)));
      },
    );
  };
};

const streaming = (service: GuardedService, method: DescMethod, stopping: Canceller) => {
  const run = service.stream(method.localName);
  return async (call: ServerWritableStream<Message, Buffer>): Promise<void> => {
    const handle = { signal: new Canceller(), sent: [] as (() => void)[] };
    const end = () => handle.signal.cancel();
    call.on("cancelled", end);
    call.on("error", end);
    stopping.addEventListener("abort", end);
    try {
      for await (const answer of run(call.request, incomingOf(call), handle)) {
        if (handle.signal.aborted) break;
        const isFull = !call.write(buffer(toBinary(method.output, create(method.output, answer))));
        // Nothing is buffered for a slow reader: the feed is read as fast as it is taken.
        if (isFull) await drained(call, handle.signal);
      }
      call.end();
    } catch (error) {
      call.emit("error", statusOf(translate(error)));
    } finally {
      stopping.removeEventListener("abort", end);
    }
  };
};

const drained = (call: ServerWritableStream<Message, Buffer>, signal: Canceller): Promise<void> =>
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

/** The error with its details as `google.rpc.Status` in the trailers. */
function statusOf(error: ConnectError): { code: number; details: string; metadata: Metadata } {
  const metadata = new Metadata();
  const status = create(StatusSchema, {
    code: error.code,
    message: error.rawMessage,
    details: error.details.flatMap((detail) =>
      "desc" in detail ? [anyPack(detail.desc, create(detail.desc, detail.value))] : [],
    ),
  });
  metadata.set("grpc-status-details-bin", buffer(toBinary(StatusSchema, status)));
  return { code: error.code, details: error.rawMessage, metadata };
}
