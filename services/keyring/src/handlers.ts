import type {
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { CancelSignal, Owner, Role, Stamp } from "@keyledger/core";

/** Who calls: proven by credentials, never said by the request. */
export interface Principal {
  readonly role: Role;
  /** The owner the caller is bound to; `null` for service, auditor and operator. */
  readonly owner: Owner | null;
  readonly actor: string;
  /** The credentials themselves rule BYOK out, whatever the owner's entitlement. */
  readonly isByokDenied: boolean;
}

/** What a method sees of its call, the same on every listener. */
export interface Call {
  readonly principal: Principal;
  /** Whose data the call is about; `null` = every owner, or none. */
  readonly owner: Owner | null;
  readonly correlationId: string;
  readonly traceparent: string | undefined;
  /** Aborts at the deadline, when the caller goes away, and when the process stops. */
  readonly signal: CancelSignal;
  /** What is left of the deadline, in milliseconds. */
  remainingMs(): number;
  /** Who, when and why, under the request id given or one made here. */
  stamp(requestId: string): Stamp;
  /** Runs once the answer is on its way: to wipe what it held. */
  afterSend(task: () => void): void;
}

type Handler<M> =
  M extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, call: Call) => Promise<MessageInitShape<O>>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, call: Call) => AsyncIterable<MessageInitShape<O>>
      : never;

/** The methods of a service. A missing or misspelt one does not compile. */
export type Handlers<S extends DescService> = {
  readonly [K in keyof S["method"]]: Handler<S["method"][K]>;
};
