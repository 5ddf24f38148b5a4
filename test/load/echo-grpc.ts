import {
  create,
  type DescMethod,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";
import { Server, ServerCredentials, type sendUnaryData } from "@grpc/grpc-js";
import { KeyringService, ResolveService } from "@keyledger/contracts";
import { answerParent } from "./child.ts";

/** Bytes to answer, by the path of the method they answer. */
export type EchoAnswers = Readonly<Record<string, Uint8Array>>;

/**
 * Bare grpc-js: reads each request and writes the answer it was given, through the same adapter to protobuf-es and
 * nothing else. What any gRPC server on this stack costs.
 */
answerParent(async (answers: EchoAnswers): Promise<{ port: number }> => {
  // Off in the measured server as well.
  const server = new Server({ "grpc.enable_channelz": 0 });
  const methods = [...KeyringService.methods, ...ResolveService.methods];
  for (const method of methods) {
    const path = pathOf(method);
    const answer = answers[path];
    if (answer) serve(server, path, method, answer);
  }
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  return { port };
});

const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function serve(server: Server, path: string, method: DescMethod, answer: Uint8Array): void {
  const { $typeName, $unknown, ...fields } = fromBinary(method.output, answer);
  server.register<Message, MessageInitShape<typeof method.output>>(
    path,
    (_call: unknown, callback: sendUnaryData<MessageInitShape<typeof method.output>>) =>
      callback(null, fields),
    (given) => buffer(toBinary(method.output, create(method.output, given))),
    (bytes) => fromBinary(method.input, bytes, { readUnknownFields: false }),
    "unary",
  );
}
