import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type Fixture, providerFixtures } from "./provider-fixtures.ts";

/** What somebody asked; never the key. */
export interface FakeProviderRequest {
  readonly provider: string;
  readonly method: string;
  /** Path and query behind the provider's own prefix. */
  readonly path: string;
  /** Case of the magic key; `undefined` where it was none. */
  readonly case: string | undefined;
  /** Lower-case, without the one that carried the key. */
  readonly headers: Readonly<Record<string, string>>;
}

export interface FakeProviders extends AsyncDisposable {
  /** Stands in for the provider's scheme and host: `--probe-endpoint <provider>=<url>`. */
  url(provider: string): string;
  readonly providers: readonly string[];
  /** In the order they came. */
  readonly requests: readonly FakeProviderRequest[];
}

/**
 * One HTTP server on the loopback that answers like every provider, each under a path of its own. A key `sk-fake-<case>`
 * chooses the answer; what follows a dot is anything (`sk-fake-ok.a-canary`), so that keys can differ. A key that is no
 * magic one is answered like `sk-fake-revoked`.
 * @param port 0 = any free one.
 */
export async function startFakeProviders({ port = 0 } = {}): Promise<FakeProviders> {
  const requests: FakeProviderRequest[] = [];
  /** How often each key was answered, for fixtures that change. */
  const answered = new Map<string, number>();

  const server = createServer((request, response) => {
    const [, provider = "", path = ""] = /^\/([^/]+)(\/.*)$/.exec(request.url ?? "") ?? [];
    const fixtures = providerFixtures.get(provider);
    if (fixtures === undefined) return response.writeHead(404).end();
    const key = keyOf(request, fixtures.keyHeader, fixtures.keyPrefix);
    const name = /^sk-fake-([a-z0-9-]+)(?:\.|$)/.exec(key)?.[1];
    const { [fixtures.keyHeader]: _key, ...headers } = request.headers;
    requests.push({
      provider,
      method: request.method ?? "",
      path,
      case: name,
      headers: Object.fromEntries(Object.entries(headers).map(([n, value]) => [n, String(value)])),
    });
    const required = Object.entries(fixtures.requiredHeaders ?? {});
    const understood =
      request.method === fixtures.method &&
      path === fixtures.path &&
      required.every(([header, value]) => request.headers[header] === value);
    if (!understood) return response.writeHead(404, { "content-type": "text/plain" }).end();

    const cases = new Map(Object.entries(fixtures.cases(key)));
    const chosen = cases.get(name ?? "") ?? cases.get("revoked");
    const count = (answered.get(`${provider} ${key}`) ?? 0) + 1;
    answered.set(`${provider} ${key}`, count);
    const isOver = chosen?.times !== undefined && count > chosen.times;
    const fixture = isOver ? cases.get("ok") : chosen;
    if (fixture === undefined) return response.writeHead(404).end();
    answer(fixture, response);
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  const { port: bound } = server.address() as AddressInfo;

  return {
    url: (provider) => `http://127.0.0.1:${bound}/${provider}`,
    providers: [...providerFixtures.keys()],
    requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function keyOf({ headers }: IncomingMessage, header: string, prefix: string): string {
  const value = String(headers[header] ?? "");
  return value.startsWith(prefix) ? value.slice(prefix.length) : "";
}

function answer(fixture: Fixture, response: ServerResponse): void {
  const { status, statusText, headers = {}, body, fault } = fixture;
  if (fault === "hang") return;
  if (fault === "garbled") {
    response.socket?.end("EHLO this is not HTTP\r\n\r\n");
    return;
  }
  response.writeHead(status, statusText, {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...headers,
  });
  if (fault === "cut") {
    response.write(body.slice(0, body.length / 2), () => response.socket?.destroy());
  } else {
    response.end(body);
  }
}

// For people: `node_modules/.bin/node test/support/fake-providers.ts [port]`.
if (import.meta.main) {
  const port = Number(process.argv[2] ?? 0);
  const fakes = await startFakeProviders({ port });
  const flags = fakes.providers.map((name) => `--probe-endpoint ${name}=${fakes.url(name)}`);
  console.log(`Fake providers, for trying Keyledger without internet. Start it with:

  npm start -- --insecure-dev ${flags.join(" ")}

Keys that are answered as their names say (a dot and anything may follow, as in sk-fake-ok.1):
`);
  for (const [name, { cases }] of providerFixtures) {
    const keys = Object.keys(cases(""));
    console.log(`  ${name}: ${keys.map((found) => `sk-fake-${found}`).join(" ")}\n`);
  }
  process.once("SIGINT", () => void fakes[Symbol.asyncDispose]());
  process.once("SIGTERM", () => void fakes[Symbol.asyncDispose]());
}
