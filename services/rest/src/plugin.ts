import type { FastifyInstance, FastifyPluginCallback, FastifyReply, FastifyRequest } from "fastify";
import { Exchange } from "./exchange.ts";
import { Failure, failureOf } from "./failure.ts";
import type { KeyringClient } from "./keyring-client.ts";
import { OverdueWatch } from "./overdue.ts";
import { collectBody } from "./request-body.ts";
import type { Answer, Method, Route } from "./route.ts";

/** How one product's clients see the vault: its routes and its words for what goes wrong. */
export interface Dialect {
  readonly routes: readonly Route[];
  /** Paths, with a `*` at the end, below which this dialect answers what is not there. */
  readonly claims: readonly string[];
  readonly present: (failure: Failure, errorId: string) => ErrorAnswer;
}

/** A failure in a dialect's words. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** JSON text. */
  readonly body: string;
}

export interface RestSettings {
  /** Deadline of a call. Default 5,000. */
  readonly deadlineMs: number;
  /** Deadline of a call that may ask a provider. Default 20,000. */
  readonly probeDeadlineMs: number;
}

export interface DialectOptions {
  readonly dialect: Dialect;
  readonly keyring: KeyringClient;
  readonly settings: RestSettings;
  /** Told of every error that is answered as internal. It may hold anything: log its type, not its text. */
  readonly onInternalError?: ((error: unknown, errorId: string) => void) | undefined;
}

interface Facade extends DialectOptions {
  readonly overdue: OverdueWatch;
}

const LOOK_EVERY_MS = 1_000;

/** Mounts a dialect's table. */
export const dialectPlugin =
  (options: DialectOptions): FastifyPluginCallback =>
  (scope, _options, done) => {
    const overdue = new OverdueWatch(Math.min(LOOK_EVERY_MS, options.settings.deadlineMs));
    scope.addHook("onClose", async () => overdue[Symbol.dispose]());
    const facade: Facade = { ...options, overdue };
    const { routes, claims } = facade.dialect;
    // The body stays bytes: no parser but this one may see it.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser("*", (request, payload, parsed) => {
      const length = Number(request.headers["content-length"] ?? 0);
      collectBody(payload, length, request.routeOptions.bodyLimit, parsed);
    });
    scope.setErrorHandler((error, request, reply) => refuseUnread(facade, error, request, reply));

    for (const route of routes) {
      scope.route({
        method: route.method,
        url: route.path,
        handler: (request, reply) => serve(facade, route, request, reply),
      });
    }
    for (const path of new Set(routes.map((route) => route.path)))
      refuseOtherMethods(scope, facade, path);
    for (const path of claims) {
      scope.all(path, (request, reply) =>
        sendFailure(facade, new Failure("NO_SUCH_PATH"), request, reply),
      );
    }
    done();
  };

function refuseOtherMethods(scope: FastifyInstance, facade: Facade, path: string): void {
  const methods = new Set<string>(
    facade.dialect.routes
      .filter((route) => route.path === path)
      .map((route): Method => route.method),
  );
  if (methods.has("GET")) methods.add("HEAD");
  const allow = [...methods].toSorted().join(", ");
  scope.route({
    method: scope.supportedMethods.filter((method) => !methods.has(method)),
    url: path,
    handler: (request, reply) => {
      reply.header("allow", allow);
      return sendFailure(facade, new Failure("METHOD_NOT_ALLOWED"), request, reply);
    },
  });
}

async function serve(
  facade: Facade,
  route: Route,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const { deadlineMs, probeDeadlineMs } = facade.settings;
  const exchange = new Exchange(request, reply, route.mayProbe ? probeDeadlineMs : deadlineMs);
  facade.overdue.watch(exchange);
  try {
    const started = start(route, request, exchange);
    if (!(started instanceof Failure)) return sendAnswer(await exchange.settle(started), reply);
    return sendFailure(facade, await afterAccess(facade, started, exchange), request, reply);
  } catch (error) {
    return sendError(facade, error, request, reply);
  } finally {
    facade.overdue.release(exchange);
  }
}

function start(
  route: Route,
  request: FastifyRequest,
  exchange: Exchange,
): Promise<Answer> | Failure {
  const { headers } = request;
  const body = bodyOf(request);
  try {
    return route.run({ params: paramsOf(request), headers, body }, exchange.options);
  } finally {
    if (body instanceof Uint8Array) body.fill(0);
  }
}

/** Answers what kept a request from being read at all; the framework's own words may repeat it. */
async function refuseUnread(
  facade: Facade,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  if (!isMediaTypeError(error)) return sendError(facade, error, request, reply);
  const exchange = new Exchange(request, reply, facade.settings.deadlineMs);
  facade.overdue.watch(exchange);
  try {
    const failure = await afterAccess(facade, new Failure("UNSUPPORTED_MEDIA_TYPE"), exchange);
    return sendFailure(facade, failure, request, reply);
  } catch (error) {
    return sendError(facade, error, request, reply);
  } finally {
    facade.overdue.release(exchange);
  }
}

/**
 * What is wrong with a request is told only to callers who may make it. The vault alone knows who may, so it is asked
 * with a read; on the good path it finds out by itself and nothing is asked twice.
 */
async function afterAccess(facade: Facade, failure: Failure, exchange: Exchange): Promise<Failure> {
  await exchange.settle(facade.keyring.getMode({}, exchange.options));
  return failure;
}

const JSON_TYPE = "application/json; charset=utf-8";

function sendAnswer({ status, body, revision }: Answer, reply: FastifyReply): FastifyReply {
  reply.code(status).header("content-type", JSON_TYPE).header("cache-control", "no-store");
  if (revision !== undefined) reply.header("etag", `"${revision}"`);
  return reply.send(body);
}

function sendError(
  facade: Facade,
  error: unknown,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const failure = error instanceof Failure ? error : failureOf(error);
  if (failure.reason === "INTERNAL") facade.onInternalError?.(error, request.id);
  return sendFailure(facade, failure, request, reply);
}

function sendFailure(
  { dialect }: Facade,
  failure: Failure,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  const { status, headers, body } = dialect.present(failure, request.id);
  // The rest of a body that was not read would be taken for the next request.
  if (failure.reason === "TOO_LARGE") reply.header("connection", "close");
  if (headers !== undefined) reply.headers(headers);
  reply.code(status).header("content-type", JSON_TYPE).header("cache-control", "no-store");
  return reply.send(body);
}

const isMediaTypeError = (error: unknown): boolean =>
  error instanceof Error && "statusCode" in error && error.statusCode === 415;

// What Fastify leaves untyped: the parser above gives bytes or a failure, the router gives decoded segments.
const bodyOf = ({ body }: FastifyRequest) => body as Uint8Array | Failure | undefined;
const paramsOf = ({ params }: FastifyRequest) => params as Record<string, string | undefined>;
