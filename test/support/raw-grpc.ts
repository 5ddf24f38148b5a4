import { Client, credentials, Metadata, type ServiceError, type StatusObject } from "@grpc/grpc-js";

/** What came back of one call, down to the last trailer. */
export interface RawAnswer {
  /** 0 = OK. */
  readonly code: number;
  readonly messages: readonly Buffer[];
  /** Initial metadata, status text and trailers, one after the other. */
  readonly around: Buffer;
}

/** A gRPC client that sends bytes as they are, whether they are a message or not. */
export interface RawGrpc extends Disposable {
  unary(path: string, request: Uint8Array, metadata?: RawMetadata): Promise<RawAnswer>;
  /** Takes messages until `isEnough`, then cancels. */
  stream(
    path: string,
    request: Uint8Array,
    metadata: RawMetadata,
    isEnough: (message: Buffer) => boolean,
  ): Promise<RawAnswer>;
}

export interface RawMetadata {
  readonly headers?: Readonly<Record<string, string | Buffer>>;
  readonly timeoutMs?: number;
}

const same = (bytes: Buffer): Buffer => bytes;

export function rawGrpc(address: string): RawGrpc {
  const client = new Client(address, credentials.createInsecure(), {
    // Oversized answers are a finding too.
    "grpc.max_receive_message_length": -1,
  });
  const prepared = ({ headers = {}, timeoutMs = 30_000 }: RawMetadata) => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return { metadata, options: { deadline: Date.now() + timeoutMs } };
  };
  return {
    unary: (path, request, raw = {}) =>
      new Promise((resolve) => {
        const { metadata, options } = prepared(raw);
        const around: Buffer[] = [];
        const messages: Buffer[] = [];
        const call = client.makeUnaryRequest(
          path,
          same,
          same,
          Buffer.from(request),
          metadata,
          options,
          (error: ServiceError | null, answer?: Buffer) => {
            if (answer) messages.push(answer);
            if (error) around.push(Buffer.from(String(error.message)));
          },
        );
        call.on("metadata", (initial: Metadata) => around.push(bytesOf(initial)));
        call.on("status", (status: StatusObject) => {
          around.push(Buffer.from(status.details), bytesOf(status.metadata));
          resolve({ code: status.code, messages, around: Buffer.concat(around) });
        });
      }),
    stream: (path, request, raw, isEnough) =>
      new Promise((resolve) => {
        const { metadata, options } = prepared(raw);
        const around: Buffer[] = [];
        const messages: Buffer[] = [];
        const call = client.makeServerStreamRequest(
          path,
          same,
          same,
          Buffer.from(request),
          metadata,
          options,
        );
        call.on("data", (message: Buffer) => {
          messages.push(message);
          if (isEnough(message)) call.cancel();
        });
        call.on("error", () => {});
        call.on("metadata", (initial: Metadata) => around.push(bytesOf(initial)));
        call.on("status", (status: StatusObject) => {
          around.push(Buffer.from(status.details), bytesOf(status.metadata));
          resolve({ code: status.code, messages, around: Buffer.concat(around) });
        });
      }),
    [Symbol.dispose]: () => client.close(),
  };
}

function bytesOf(metadata: Metadata): Buffer {
  const parts = Object.entries(metadata.toJSON()).flatMap(([name, values]) => [
    Buffer.from(`\n${name}: `),
    ...values.map((value) => Buffer.from(value)),
  ]);
  return Buffer.concat(parts);
}
