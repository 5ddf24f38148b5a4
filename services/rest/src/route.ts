import type { IncomingHttpHeaders } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Conditions, conditionsFrom } from "./conditions.ts";
import { Failure } from "./failure.ts";
import { type Body, readJsonBody, type Shape } from "./json-body.ts";
import type { CallOptions } from "./keyring-client.ts";
import { announcesJson } from "./request-body.ts";

/** What a dialect answers when all went well. */
export interface Answer {
  readonly status: number;
  /** JSON text. */
  readonly body: string;
  /** The keyring's edit revision, for the `ETag`; absent while it has no event. */
  readonly revision?: bigint | undefined;
}

/** A request as it came. */
export interface RawRequest {
  /** Segments of the path, decoded, by the names they have in the route. */
  readonly params: Readonly<Record<string, string | undefined>>;
  readonly headers: IncomingHttpHeaders;
  /** TOO_LARGE where there were more bytes than may be; wiped by whoever collected it. */
  readonly body: Uint8Array | Failure | undefined;
}

/** A request as a dialect's `decode` sees it. */
export interface Input<P, S extends Shape> extends Conditions {
  /** What `where` made of the path. */
  readonly at: P;
  readonly body: Body<S>;
}

/** One row of a dialect's table. */
export interface RouteOptions<P, S extends Shape, I, O> {
  readonly method: Method;
  /** Fastify's notation: `/things/:name`. */
  readonly path: string;
  /** Appends to the log, so that the headers of `Conditions` count. */
  readonly writes?: boolean;
  /** May ask a provider, and so takes the longer deadline. */
  readonly mayProbe?: boolean;
  /** Reads the path, before anything else is looked at. */
  readonly where: (params: RawRequest["params"]) => P | Failure;
  /** The fields of its JSON body; absent: a body is not looked at. */
  readonly body?: S;
  readonly decode: (input: Input<P, S>) => I | Failure;
  readonly call: (request: I, options: CallOptions) => Promise<O>;
  readonly encode: (response: O) => Answer;
}

export type Method = "GET" | "POST" | "PATCH" | "DELETE";

export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly mayProbe: boolean;
  /** Makes the call, or says at once why the request cannot become one. */
  run(request: RawRequest, options: CallOptions): Promise<Answer> | Failure;
}

export function route<P, S extends Shape, I, O>(options: RouteOptions<P, S, I, O>): Route {
  const { method, path, writes = false, mayProbe = false, where, decode, call, encode } = options;
  const shape = options.body;

  const run = (raw: RawRequest, callOptions: CallOptions): Promise<Answer> | Failure => {
    const at = where(raw.params);
    if (at instanceof Failure) return at;
    const conditions = writes ? conditionsFrom(raw.headers) : UNCONDITIONAL;
    if (conditions instanceof Failure) return conditions;
    const body = shape === undefined ? {} : bodyOf(raw, shape);
    if (body instanceof Failure) return body;
    const request = decode({ at, body, ...conditions });
    if (request instanceof Failure) {
      wipe(body);
      return request;
    }
    const response = call(request, callOptions);
    if (shape !== undefined) wipeAfter(response, body);
    return response.then(encode);
  };
  return { method, path, mayProbe, run };
}

const UNCONDITIONAL: Conditions = { requestId: "" };

function bodyOf<S extends Shape>(raw: RawRequest, shape: S): Body<S> | Failure {
  if (raw.body instanceof Failure) return raw.body;
  if (raw.body !== undefined && !announcesJson(raw.headers))
    return new Failure("UNSUPPORTED_MEDIA_TYPE");
  return readJsonBody(raw.body ?? NO_BYTES, shape);
}

const NO_BYTES = new Uint8Array(0);

function wipeAfter(response: Promise<unknown>, body: Readonly<Record<string, unknown>>): void {
  response.then(
    () => wipe(body),
    (error: unknown) => {
      if (!mayStillRun(error)) wipe(body);
    },
  );
}

function wipe(body: Readonly<Record<string, unknown>>): void {
  for (const value of Object.values(body)) if (value instanceof Uint8Array) value.fill(0);
}

// After these the vault may be at work with the secret still; zeros in its hands would be sealed as the key.
const mayStillRun = (error: unknown): boolean =>
  error instanceof ConnectError &&
  (error.code === Code.DeadlineExceeded || error.code === Code.Canceled);
