import { Server, ServerCredentials } from "@grpc/grpc-js";
import { Canceller } from "@keyledger/core";
import { answerUnknownMethods, withOwnWords } from "./grpc-errors.ts";
import { definitionOf, implementationOf } from "./grpc-methods.ts";
import type { GuardParts } from "./guard.ts";
import type { GuardedService } from "./guarded.ts";
import { createHealth } from "./health.ts";
import { ANSWER_BYTES_MAX, REQUEST_BYTES_MAX } from "./limits.ts";
import { reflection } from "./reflection.ts";

/** Bounds of every message and connection. */
const OPTIONS = {
  "grpc.max_receive_message_length": REQUEST_BYTES_MAX,
  "grpc.max_send_message_length": ANSWER_BYTES_MAX,
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
  onFault = () => {},
}: {
  /** `host:port`; port 0 = any free one. */
  listen: string;
  tls: GrpcTls | undefined;
  services: readonly GuardedService[];
  withReflection: boolean;
  /** Hears of answers that could not be given. */
  onFault?: GuardParts["onFault"];
}): Promise<GrpcListener> {
  const server = new Server({ ...OPTIONS, interceptors: [withOwnWords] });
  answerUnknownMethods(server);
  const stopping = new Canceller();
  for (const service of services) {
    server.addService(
      definitionOf(service.descriptor),
      implementationOf(service, { stopping, onFault }),
    );
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
