import { setTimeout as pause } from "node:timers/promises";
import {
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Server,
  type ServerCredentials,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { serveAppend } from "./append-service.ts";
import { serveBatchAppend } from "./batch-append-service.ts";
import { clusterInfo, type Member, type Negotiation, supportedMethods } from "./cluster-service.ts";
import { serveDelete, serveTombstone } from "./delete-service.ts";
import { Failure, plain, wrongCredentials } from "./failures.ts";
import type { FaultPoint } from "./faults.ts";
import {
  type features,
  GossipService,
  type gossip,
  ServerFeaturesService,
  StreamsService,
  type shared,
  type streams,
} from "./generated.ts";
import { checkCredentials, failureOf, type NodeContext } from "./node-context.ts";
import { serveRead } from "./read-service.ts";

/** Says what answered, so that nobody takes it for the real one. */
export const STAND_IN_VERSION = "26.1.0-stand-in";

export interface NodeOptions {
  readonly context: NodeContext;
  readonly credentials: ServerCredentials;
  readonly host: string;
  readonly negotiation: Negotiation;
  members(): readonly Member[];
}

/** One server of the stand-in, which can be killed and started again on its port. */
export class StandInNode {
  readonly #options: NodeOptions;
  #server: Server | undefined;
  #port = 0;

  constructor(options: NodeOptions) {
    this.#options = options;
  }

  get port(): number {
    return this.#port;
  }

  get isAlive(): boolean {
    return this.#server !== undefined;
  }

  /** @param port 0 = any free one; the one it had where it was started before. */
  async start(port = this.#port): Promise<void> {
    // What clients accept as well.
    const server = new Server({
      "grpc.max_receive_message_length": 17 * 1_024 * 1_024,
      "grpc.max_send_message_length": 17 * 1_024 * 1_024,
    });
    for (const [service, implementation] of implementations(this.#options)) {
      server.addService(service, implementation);
    }
    const { host, credentials } = this.#options;
    this.#port = await new Promise<number>((resolve, reject) => {
      server.bindAsync(`${host}:${port}`, credentials, (error, bound) =>
        error ? reject(error) : resolve(bound),
      );
    });
    this.#server = server;
  }

  /** As if the process were gone: every connection breaks, nobody is told anything. */
  kill(): void {
    this.#server?.forceShutdown();
    this.#server = undefined;
    this.#options.context.subscriptions.clear();
  }
}

type Service = Parameters<Server["addService"]>[0];

function implementations({
  context,
  members,
  negotiation,
}: NodeOptions): readonly (readonly [Service, UntypedServiceImplementation])[] {
  const { faults, users, now } = context;

  /** Calls that need no credentials, but refuse wrong ones. */
  const open =
    <Request, Response>(
      point: FaultPoint,
      answer: () => Response,
    ): handleUnaryCall<Request, Response> =>
    (call, callback) =>
      void settle(callback, async () => {
        const fault = faults.strike(point);
        if (fault?.effect === "hang") return undefined;
        if (fault?.effect === "delay") await pause(fault.delayMs);
        const failure = fault && failureOf(context, fault.effect);
        if (failure) throw failure;
        if (checkCredentials(users, call.metadata) === "wrong") throw wrongCredentials();
        return answer();
      });

  const read: handleServerStreamingCall<streams.ReadReq, streams.ReadResp> = (call) => {
    call.on("error", () => {});
    serveRead(context, call).catch((error: unknown) => call.emit("error", failureFrom(error)));
  };
  const append: handleClientStreamingCall<streams.AppendReq, streams.AppendResp> = (
    call,
    callback,
  ) => {
    call.on("error", () => {});
    serveAppend(context, call, callback).catch((error: unknown) => callback(failureFrom(error)));
  };
  const batchAppend: handleBidiStreamingCall<streams.BatchAppendReq, streams.BatchAppendResp> = (
    call,
  ) => {
    call.on("error", () => {});
    serveBatchAppend(context, call).catch((error: unknown) =>
      call.emit("error", failureFrom(error)),
    );
  };
  const remove: handleUnaryCall<streams.DeleteReq, streams.DeleteResp> = (call, callback) =>
    void settle(callback, () => serveDelete(context, call));
  const tombstone: handleUnaryCall<streams.TombstoneReq, streams.TombstoneResp> = (
    call,
    callback,
  ) => void settle(callback, () => serveTombstone(context, call));

  const services: (readonly [Service, UntypedServiceImplementation])[] = [
    [StreamsService, { read, append, batchAppend, delete: remove, tombstone }],
    [
      GossipService,
      {
        read: open<shared.Empty, gossip.ClusterInfo>("gossip", () => clusterInfo(members(), now())),
      },
    ],
  ];
  if (negotiation === "none") return services;
  const getSupportedMethods = open<shared.Empty, features.SupportedMethods>("features", () =>
    supportedMethods(negotiation, STAND_IN_VERSION),
  );
  return [...services, [ServerFeaturesService, { getSupportedMethods }]];
}

/** A result of `undefined` is no answer at all. */
async function settle<Response>(
  callback: (error: Failure | null, value?: Response) => void,
  serve: () => Promise<Response | undefined>,
): Promise<void> {
  try {
    const response = await serve();
    if (response !== undefined) callback(null, response);
  } catch (error) {
    callback(failureFrom(error));
  }
}

const failureFrom = (error: unknown): Failure =>
  error instanceof Failure ? error : plain.unknown();
