import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code, type ConnectError } from "@connectrpc/connect";
import {
  Metadata,
  type Server,
  type ServerInterceptingCall,
  type ServerInterceptor,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { StatusSchema } from "@keyledger/contracts";
import { protocolError } from "./protocol-errors.ts";

const DETAILS = "grpc-status-details-bin";

/** An error with its details as `google.rpc.Status` in the trailers. */
export function statusOf(error: ConnectError): {
  code: number;
  details: string;
  metadata: Metadata;
} {
  const metadata = new Metadata();
  const packed = create(StatusSchema, {
    code: error.code,
    message: error.rawMessage,
    details: error.details.flatMap((detail) =>
      "desc" in detail ? [anyPack(detail.desc, create(detail.desc, detail.value))] : [],
    ),
  });
  metadata.set(DETAILS, Buffer.from(toBinary(StatusSchema, packed)));
  return { code: error.code, details: error.rawMessage, metadata };
}

/**
 * grpc-js ends many calls by itself, with words that quote their headers. It does that through the very method which it
 * hands to interceptors, so there those words are replaced. Wrapping the call, as interceptors usually do, would come too
 * late, and cost each call more.
 */
export const withOwnWords: ServerInterceptor = (_method, call) => {
  const send = call.sendStatus.bind(call);
  call.sendStatus = (ending) => {
    const isOurs = ending.code === status.OK || (ending.metadata?.get(DETAILS) ?? []).length > 0;
    send(isOurs ? ending : statusOf(reworded(ending.code ?? status.UNKNOWN)));
  };
  // It is no more than what it was handed, and nothing else is asked of it.
  return call as ServerInterceptingCall;
};

/** `UNKNOWN` is what it makes of anything thrown: that is no fault of the request. */
const reworded = (code: status): ConnectError =>
  protocolError(code as number as Code, code === status.UNKNOWN ? "answer" : "request");

/**
 * Answers calls of methods that are not there. grpc-js would answer with the path that was asked for, and offers no place
 * to say something else: so its table of methods never comes back with nothing.
 */
export function answerUnknownMethods(server: Server): void {
  const handlers: unknown = Reflect.get(server, "handlers");
  if (!(handlers instanceof Map)) throw new TypeError("grpc-js keeps its methods elsewhere now");
  const known = handlers.get.bind(handlers);
  handlers.get = (path: string) => known(path) ?? UNKNOWN_METHOD;
}

const UNKNOWN_METHOD = {
  // The only kind that is answered before any message was read, or none came.
  type: "clientStream",
  path: "",
  serialize: (bytes: Buffer) => bytes,
  deserialize: () => null,
  func: (_call: unknown, respond: sendUnaryData<Buffer>): void =>
    respond(statusOf(protocolError(Code.Unimplemented, "request"))),
};
