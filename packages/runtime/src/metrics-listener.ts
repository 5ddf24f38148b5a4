import { createServer, type RequestListener } from "node:http";
import type { Metrics } from "./metrics.ts";
import type { HostPort } from "./setting-kinds.ts";

/** Prometheus asks from one or two connections; more is a mistake. */
const CONNECTIONS_MAX = 16;
const TIMEOUT_MS = 5000;
const HEADER_BYTES_MAX = 8 * 1024;

export interface MetricsListener extends AsyncDisposable {
  /** Where it listens, with the real port where 0 was asked for. */
  readonly address: HostPort;
  /** Ends at once: a scrape lost at stop is no loss. */
  close(): Promise<void>;
}

/** Serves `GET /metrics` and nothing else, over plain HTTP. */
export function listenForMetrics(
  metrics: Pick<Metrics, "text" | "contentType">,
  { host, port }: HostPort,
): Promise<MetricsListener> {
  const server = createServer(
    {
      maxHeaderSize: HEADER_BYTES_MAX,
      headersTimeout: TIMEOUT_MS,
      requestTimeout: TIMEOUT_MS,
      keepAliveTimeout: TIMEOUT_MS,
      connectionsCheckingInterval: TIMEOUT_MS,
    },
    answer(metrics),
  );
  server.maxConnections = CONNECTIONS_MAX;

  const close = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      // A connection that could not be accepted is the client's loss, not a reason to die.
      server.on("error", () => {});
      const address = server.address();
      const bound = typeof address === "object" && address !== null ? address.port : port;
      resolve({ address: { host, port: bound }, close, [Symbol.asyncDispose]: close });
    });
  });
}

function answer(metrics: Pick<Metrics, "text" | "contentType">): RequestListener {
  // Collecting costs milliseconds: those who ask at the same time share one answer.
  let collecting: Promise<string> | undefined;
  const collect = (): Promise<string> => {
    collecting ??= metrics.text().finally(() => {
      collecting = undefined;
    });
    return collecting;
  };
  return ({ method, url }, response) => {
    const refuse = (status: number, headers: Readonly<Record<string, string>> = {}): void => {
      response.writeHead(status, { ...headers, connection: "close" }).end();
    };
    if (url !== "/metrics") return refuse(404);
    if (method !== "GET") return refuse(405, { allow: "GET" });
    collect().then(
      (text) => response.writeHead(200, { "content-type": metrics.contentType }).end(text),
      () => refuse(500),
    );
  };
}
