import {
  type Server,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { service } from "grpc-health-check";

export type ServingStatus = "SERVING" | "NOT_SERVING";

/** What `grpc.health.v1` tells load balancers. */
export interface Health {
  addToServer(server: Server): void;
  setStatus(service: string, serving: ServingStatus): void;
  /** Everything turns NOT_SERVING, whoever watches is told, and their streams end. */
  end(): void;
}

interface Request {
  readonly service: string;
}

interface Response {
  readonly status: ServingStatus | "SERVICE_UNKNOWN";
}

/**
 * The service itself rather than that of the package its descriptor comes from: there a watch never ends, which would
 * hold up every stop until calls are cut off, and an unknown service is named in the refusal, which repeats what a caller
 * sent.
 */
export function createHealth(statuses: Readonly<Record<string, ServingStatus>>): Health {
  const serving = new Map(Object.entries(statuses));
  const watching = new Map<ServerWritableStream<Request, Response>, string>();

  function setStatus(name: string, next: ServingStatus): void {
    if (serving.get(name) === next) return;
    serving.set(name, next);
    for (const [call, watched] of watching) if (watched === name) call.write({ status: next });
  }

  function check(
    { request }: ServerUnaryCall<Request, Response>,
    respond: sendUnaryData<Response>,
  ): void {
    const found = serving.get(request.service);
    if (found) respond(null, { status: found });
    else respond({ code: status.NOT_FOUND, details: "unknown service" });
  }

  function watch(call: ServerWritableStream<Request, Response>): void {
    const name = call.request.service;
    watching.set(call, name);
    const forget = () => void watching.delete(call);
    call.on("cancelled", forget);
    call.on("error", forget);
    call.write({ status: serving.get(name) ?? "SERVICE_UNKNOWN" });
  }

  const list = (
    _call: unknown,
    respond: sendUnaryData<{ readonly statuses: Readonly<Record<string, Response>> }>,
  ): void => {
    const all = [...serving].map(([name, found]) => [name, { status: found }] as const);
    respond(null, { statuses: Object.fromEntries(all) });
  };

  return {
    addToServer: (server) => server.addService(service, { check, watch, list }),
    setStatus,
    end() {
      for (const name of serving.keys()) setStatus(name, "NOT_SERVING");
      for (const call of watching.keys()) call.end();
      watching.clear();
    },
  };
}
