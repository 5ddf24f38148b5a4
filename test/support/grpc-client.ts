import {
  create,
  type DescMethodServerStreaming,
  type DescMethodUnary,
  type DescService,
  fromBinary,
  type Message,
  type MessageInitShape,
  type MessageShape,
  toBinary,
} from "@bufbuild/protobuf";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  type Client,
  type ClientReadableStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
  type ServiceError,
} from "@grpc/grpc-js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  StatusSchema,
} from "@keyledger/contracts";

const buffer = (bytes: Uint8Array): Buffer =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export interface CallSettings {
  /** A caller key, sent as `Authorization: Bearer`. */
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
}

type Method<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, settings?: CallSettings) => Promise<MessageShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (
          request: MessageInitShape<I>,
          settings?: CallSettings,
        ) => ClientReadableStream<MessageShape<O>>
      : never;

/** A plain grpc-js client over the descriptors, as any gRPC client would be made. */
export type GrpcClient<S extends DescService> = {
  readonly [K in keyof S["method"]]: Method<S["method"][K]>;
} & Disposable;

export function grpcClient<S extends DescService>(
  service: S,
  address: string,
  defaults: CallSettings = {},
): GrpcClient<S> {
  const Constructor = makeGenericClientConstructor(
    Object.fromEntries(
      service.methods.map((method) => [
        method.localName,
        {
          path: `/${service.typeName}/${method.name}`,
          requestStream: false,
          responseStream: method.methodKind === "server_streaming",
          requestSerialize: (message: Message) => buffer(toBinary(method.input, message)),
          requestDeserialize: (bytes: Buffer) => fromBinary(method.input, bytes),
          responseSerialize: (message: Message) => buffer(toBinary(method.output, message)),
          responseDeserialize: (bytes: Buffer) => fromBinary(method.output, bytes),
        },
      ]),
    ),
    service.typeName,
  );
  const client = new Constructor(address, credentials.createInsecure());
  const metadataOf = ({ key, headers = {} }: CallSettings): Metadata => {
    const metadata = new Metadata();
    if (key !== undefined) metadata.set("authorization", `Bearer ${key}`);
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return metadata;
  };
  const methods = service.methods.map((method) => {
    const call = (client as unknown as Record<string, (...args: unknown[]) => unknown>)[
      method.localName
    ];
    const invoke = (request: object, settings: CallSettings = {}) => {
      const all = {
        ...defaults,
        ...settings,
        headers: { ...defaults.headers, ...settings.headers },
      };
      const deadline = Date.now() + (all.timeoutMs ?? 10_000);
      const message = create(method.input, request as Record<string, unknown>);
      if (method.methodKind === "server_streaming") {
        return call?.call(client, message, metadataOf(all));
      }
      return new Promise((resolve, reject) => {
        call?.call(
          client,
          message,
          metadataOf(all),
          { deadline },
          (error: ServiceError | null, answer: unknown) =>
            error ? reject(error) : resolve(answer),
        );
      });
    };
    return [method.localName, invoke] as const;
  });
  return {
    ...Object.fromEntries(methods),
    [Symbol.dispose]: () => (client as Client).close(),
  } as unknown as GrpcClient<S>;
}

/** What a failed call says, taken apart. */
export interface Failure {
  readonly code: number;
  readonly message: string;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly { readonly field: string; readonly description: string }[];
  readonly hasRetryInfo: boolean;
}

/** @throws whatever is no gRPC error. */
export function failureOf(error: unknown): Failure {
  const { code, details, metadata } = error as ServiceError;
  if (typeof code !== "number") throw error;
  const [encoded] = metadata?.get("grpc-status-details-bin") ?? [];
  const packed = encoded instanceof Buffer ? fromBinary(StatusSchema, encoded).details : [];
  const info = packed.map((any) => anyUnpack(any, ErrorInfoSchema)).find((found) => found);
  const bad = packed.map((any) => anyUnpack(any, BadRequestSchema)).find((found) => found);
  const retry = packed.map((any) => anyUnpack(any, RetryInfoSchema)).find((found) => found);
  return {
    code,
    message: details,
    reason: info?.reason ?? "",
    metadata: info?.metadata ?? {},
    violations: (bad?.fieldViolations ?? []).map(({ field, description }) => ({
      field,
      description,
    })),
    hasRetryInfo: retry !== undefined,
  };
}

/** The failure of a call that must not succeed. */
export const failing = (call: Promise<unknown>): Promise<Failure> =>
  call.then(
    () => {
      throw new Error("the call succeeded");
    },
    (error: unknown) => failureOf(error),
  );
