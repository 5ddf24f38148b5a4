import { randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import fastify, { type FastifyInstance, type FastifyReply } from "fastify";

/** What one client may take of the HTTP edge. */
export interface HttpEdgeLimits {
  /** Bytes of a request body. Default 65,536: the largest legitimate one holds a secret of 16 KiB, JSON-escaped. */
  readonly bodyBytesMax: number;
  /** Bytes of a request's line and headers together. Default 16,384. */
  readonly headerBytesMax: number;
  /** From a request's first byte to the end of its headers. Default 5,000. */
  readonly headersTimeoutMs: number;
  /** From a request's first byte to the end of its body. Default 15,000. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection stays open. Default 65,000: longer than the 60 s of common load balancers. */
  readonly keepAliveTimeoutMs: number;
  /** Open connections; the next one is dropped. Default 2,000. */
  readonly connectionsMax: number;
}

/** Certificate and key as PEM text. */
export interface HttpEdgeTls {
  readonly cert: string;
  readonly key: string;
  /** Certificates that sign clients' certificates; given, a client without one is refused. */
  readonly clientCa?: string | undefined;
}

export interface HttpEdgeOptions {
  readonly tls?: HttpEdgeTls | undefined;
  readonly limits?: Partial<HttpEdgeLimits>;
  /** Why the process cannot serve right now, each reason in our own words; empty when it can. Asked by `/readyz`. */
  readonly notReady?: () => readonly string[];
  /** Correlation id for a request that brings none. Default: a random UUID. */
  readonly newRequestId?: () => string;
}

/** The one HTTP server of a process. */
export interface HttpEdge {
  /** Plugins register here, each in a scope of its own; whoever opened the edge listens. */
  readonly app: FastifyInstance;
  /**
   * Stops: not ready and no new connection from here on, requests in flight finish, idle connections close. What is
   * left after `graceMs` is cut off. Resolves when the last connection is closed.
   */
  drain(graceMs: number): Promise<void>;
}

const DEFAULT_LIMITS: HttpEdgeLimits = {
  bodyBytesMax: 64 * 1024,
  headerBytesMax: 16 * 1024,
  headersTimeoutMs: 5_000,
  requestTimeoutMs: 15_000,
  keepAliveTimeoutMs: 65_000,
  connectionsMax: 2_000,
};

/** Headers of pages meant for people: nothing comes from elsewhere, and nobody may frame them. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "x-content-type-options": "nosniff",
};

const DRAIN_TICK_MS = 100;

export function createHttpEdge(options: HttpEdgeOptions = {}): HttpEdge {
  const limits = { ...DEFAULT_LIMITS, ...options.limits };
  const newRequestId = options.newRequestId ?? randomUUID;
  const connections = new Set<Socket>();
  // A browser opens connections ahead of need. Node counts one that never sent a request as busy, so that neither
  // close() nor closeIdleConnections() ends it.
  const silent = new Set<Socket>();
  let draining = false;

  const app = fastify({
    logger: false,
    bodyLimit: limits.bodyBytesMax,
    genReqId: (request) => requestIdOf(request.headers["x-request-id"]) ?? newRequestId(),
    // While draining, stragglers on open connections are still served, and told to close.
    return503OnClosing: false,
    // Bounded by the header limit already; no route has a pattern that a long parameter could slow down.
    routerOptions: { maxParamLength: limits.headerBytesMax },
    serverFactory: (handler) => createNodeServer(handler, options.tls, limits),
    clientErrorHandler: refuseConnection,
    frameworkErrors: (error, _request, reply) => sendProblem(reply, statusOf(error)),
  });

  app.server.on("connection", (socket) => {
    connections.add(socket);
    socket.once("close", () => connections.delete(socket));
  });
  app.server.on(options.tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
    silent.add(socket);
    socket.once("close", () => silent.delete(socket));
  });
  app.server.on("request", ({ socket }) => silent.delete(socket));

  app.addHook("onRequest", (request, reply, done) => {
    reply.header("x-request-id", request.id);
    done();
  });
  app.setErrorHandler((error, _request, reply) => sendProblem(reply, statusOf(error)));
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 404));

  app.get("/healthz", (_request, reply) => reply.send({ status: "ok" }));
  app.get("/readyz", (_request, reply) => {
    const reasons = draining ? ["shutting down"] : (options.notReady?.() ?? []);
    return reasons.length === 0
      ? reply.send({ status: "ready" })
      : reply.code(503).send({ status: "not ready", reasons });
  });

  const drain = async (graceMs: number): Promise<void> => {
    draining = true;
    const closed = app.close();
    // Closing ends the connections that are idle now; those that become idle need a look again.
    const tick = setInterval(() => {
      app.server.closeIdleConnections();
      for (const socket of silent) socket.destroy();
    }, DRAIN_TICK_MS);
    const cutOff = setTimeout(() => {
      app.server.closeAllConnections();
      for (const socket of connections) socket.destroy();
    }, graceMs);
    try {
      await closed;
    } finally {
      clearInterval(tick);
      clearTimeout(cutOff);
    }
  };
  return { app, drain };
}

function createNodeServer(
  handler: RequestListener,
  tls: HttpEdgeTls | undefined,
  limits: HttpEdgeLimits,
): Server {
  const bounds = {
    maxHeaderSize: limits.headerBytesMax,
    headersTimeout: limits.headersTimeoutMs,
    requestTimeout: limits.requestTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    // Node looks for late requests only this often, every 30 s unless told otherwise.
    connectionsCheckingInterval: Math.min(1_000, limits.headersTimeoutMs),
  };
  const server =
    tls === undefined
      ? createServer(bounds, handler)
      : createTlsServer(
          {
            ...bounds,
            cert: tls.cert,
            key: tls.key,
            ...(tls.clientCa === undefined ? {} : { ca: tls.clientCa, requestCert: true }),
            minVersion: "TLSv1.2",
            handshakeTimeout: limits.headersTimeoutMs,
          },
          handler,
        );
  server.maxConnections = limits.connectionsMax;
  return server;
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** How provider keys and our own caller keys begin, as far as they have a beginning of their own. */
const KEY_LIKE =
  /(?:^|[^A-Za-z0-9])(?:sk[-_]|neo_sk_|xai-|vck_|AIza|AQ\.|ABSK|bedrock-api-key|A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{8}|eyJ)/;

/** Whether a text that will be kept or shown begins, or holds a part that begins, like a provider's key. */
export const isKeyLike = (text: string): boolean => KEY_LIKE.test(text);

// Correlation ids are kept in the log, so a key pasted here is replaced like any other bad id.
const requestIdOf = (header: IncomingMessage["headers"][string]): string | undefined =>
  typeof header === "string" && REQUEST_ID.test(header) && !isKeyLike(header) ? header : undefined;

const PROBLEMS: Readonly<Record<number, string>> = {
  400: "bad request",
  404: "not found",
  408: "the request took too long to arrive",
  413: "the body is too large",
  414: "the path is too long",
  415: "unsupported media type",
  431: "the headers are too large",
  500: "internal error",
};

// Error messages of the framework and of Node hold the path, the body or worse: only the status is taken from them.
function statusOf(error: unknown): number {
  const status = error instanceof Error && "statusCode" in error ? error.statusCode : undefined;
  return typeof status === "number" && status < 500 && status in PROBLEMS ? status : 500;
}

const sendProblem = (reply: FastifyReply, status: number): FastifyReply =>
  reply
    .code(status)
    .header("x-request-id", reply.request.id)
    .send({ error: PROBLEMS[status], error_id: reply.request.id });

/** Answers a connection whose bytes never became a request. */
function refuseConnection(error: NodeJS.ErrnoException, socket: Duplex): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const status =
    error.code === "ERR_HTTP_REQUEST_TIMEOUT"
      ? 408
      : error.code === "HPE_HEADER_OVERFLOW"
        ? 431
        : 400;
  const body = JSON.stringify({ error: PROBLEMS[status] });
  socket.end(
    `HTTP/1.1 ${status} ${status === 408 ? "Request Timeout" : "Bad Request"}\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
  );
}
