import type {
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { KeyringService } from "@keyledger/contracts";

/** What every call carries: the caller's credentials as they came, and its limits. */
export interface CallOptions {
  /** The `Authorization` header. */
  readonly authorization?: string | undefined;
  /** The `X-Api-Key` header. */
  readonly apiKey?: string | undefined;
  /** Correlation id of the request, `^[A-Za-z0-9._-]{1,64}$`. */
  readonly correlationId: string;
  /** W3C trace context as it came. */
  readonly traceparent?: string | undefined;
  readonly signal: AbortSignal;
  /** Deadline in milliseconds from now. */
  readonly timeoutMs: number;
}

/**
 * Calls to a service. Each rejects with a `ConnectError` whose details hold ErrorInfo, and BadRequest or RetryInfo, and
 * does so when its signal aborts or its deadline passes. Until a call settles, its request's bytes belong to the callee;
 * settled as anything but DEADLINE_EXCEEDED or CANCELLED, it looks at them no more, and the caller wipes them.
 */
export type UnaryClient<S extends DescService> = {
  readonly [K in keyof S["method"]]: S["method"][K] extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options: CallOptions) => Promise<MessageShape<O>>
    : never;
};

/** All that the facade knows of the vault. In one process it is the handlers themselves, without a transport. */
export type KeyringClient = UnaryClient<typeof KeyringService>;
