import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect, type Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { createHttpEdge, type HttpEdge, type HttpEdgeOptions, isKeyLike } from "./http-edge.ts";

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const CANARY = "sk-proj-CANARYcanary0123456789";

/** For `localhost` and 127.0.0.1, signed by itself, valid until 2126; protects nothing. */
const TLS = {
  key: `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgcuODBS2JzjBy1dbc
SCVyS3kxAhyXX9y6MmVuaLIvTMahRANCAARkuFyT2nGcZ2yoE2kwLCqURd38252I
r8EjFvGADzliarWvevzFvvB3hs5UfiDcfMHNIr0b0LjeJQ8KmrAhgRKc
-----END PRIVATE KEY-----`,
  cert: `-----BEGIN CERTIFICATE-----
MIIBnDCCAUGgAwIBAgIUdZfIYAMHtmBkg+W1Fe3OtgqUhK8wCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEyMTExMzUxNloYDzIxMjYxMDI4
MTEzNTE2WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAARkuFyT2nGcZ2yoE2kwLCqURd38252Ir8EjFvGADzliarWvevzFvvB3
hs5UfiDcfMHNIr0b0LjeJQ8KmrAhgRKco28wbTAdBgNVHQ4EFgQUaVPgCHOx17ep
hQjPLnranEdjAmEwHwYDVR0jBBgwFoAUaVPgCHOx17ephQjPLnranEdjAmEwDwYD
VR0TAQH/BAUwAwEB/zAaBgNVHREEEzARgglsb2NhbGhvc3SHBH8AAAEwCgYIKoZI
zj0EAwIDSQAwRgIhAIZVCuqqZgWvv0G/uHpjBJiJXhhcVvyI54yilchrX62lAiEA
5VCwmti2G4KVWpMIqvk1iP7FnF+WTNo7/RLPZM1xAQM=
-----END CERTIFICATE-----`,
};

async function listening(options: HttpEdgeOptions = {}) {
  const edge = createHttpEdge(options);
  edge.app.post("/echo", async (request) => request.body);
  edge.app.get("/fails", () => {
    throw new Error(CANARY);
  });
  const url = await edge.app.listen({ host: "127.0.0.1", port: 0 });
  return {
    ...edge,
    url,
    port: Number(new URL(url).port),
    [Symbol.asyncDispose]: () => edge.drain(0),
  };
}

/** Everything the server sends on a raw connection until it closes it. */
function converse(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
    socket.setEncoding("latin1");
    socket.on("data", (data) => {
      heard += data;
    });
    socket.on("close", () => resolve(heard));
    socket.on("error", reject);
  });
}

const opened = (port: number): Promise<Socket> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket));
    socket.on("error", () => socket.destroy());
  });

const closed = (socket: Socket): Promise<void> =>
  new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.once("close", () => resolve());
    socket.resume();
  });

const accepted = (edge: HttpEdge, count: number) =>
  expect
    .poll(
      () =>
        new Promise((resolve) => {
          edge.app.server.getConnections((_error, open) => resolve(open));
        }),
      { timeout: 5_000 },
    )
    .toBe(count);

describe("The HTTP edge", () => {
  it("is alive, and says in our words why it is not ready", async () => {
    const reasons: string[] = ["the event log is not caught up"];
    await using edge = await listening({ notReady: () => reasons });
    const live = await fetch(`${edge.url}/healthz`);
    expect([live.status, await live.json()]).toStrictEqual([200, { status: "ok" }]);
    const waiting = await fetch(`${edge.url}/readyz`);
    expect([waiting.status, await waiting.json()]).toStrictEqual([
      503,
      { status: "not ready", reasons },
    ]);
    reasons.length = 0;
    const ready = await fetch(`${edge.url}/readyz`);
    expect([ready.status, await ready.json()]).toStrictEqual([200, { status: "ready" }]);
  });

  it.for(["a", "Req.1_2-3", "x".repeat(64)])("keeps the request id %s", async (id) => {
    await using edge = await listening();
    const response = await fetch(`${edge.url}/healthz`, { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toBe(id);
  });

  it.for([
    "x".repeat(65),
    "two words",
    "slash/ed",
    CANARY,
    "trace.sk-ant-api03-abc",
    "neo_sk_abc123",
    "AKIAIOSFODNN7EXAMPLE",
  ])("replaces the request id %s", async (id) => {
    await using edge = await listening();
    const response = await fetch(`${edge.url}/healthz`, { headers: { "x-request-id": id } });
    expect(response.headers.get("x-request-id")).toMatch(UUID);
  });

  it.for([
    ["an unknown path", "GET", `/${CANARY}?key=${CANARY}`, 404],
    ["a path that is no URL", "GET", `/%zz${CANARY}`, 400],
    ["a handler that throws", "GET", "/fails", 500],
    ["a body that is not JSON", "POST", "/echo", 400],
  ] as const)("answers %s without a word of the input", async ([, method, path, status]) => {
    await using edge = await listening();
    const { body, code } = await new Promise<{ body: string; code: number | undefined }>(
      (resolve, reject) => {
        const sent = httpRequest(
          { port: edge.port, method, path, headers: { "content-type": "application/json" } },
          (response) => {
            let body = "";
            response.setEncoding("utf8");
            response.on("data", (data) => {
              body += data;
            });
            response.on("end", () => resolve({ body, code: response.statusCode }));
          },
        );
        sent.on("error", reject);
        sent.end(method === "POST" ? `{${CANARY}` : undefined);
      },
    );
    expect(code).toBe(status);
    expect(body).not.toContain("CANARY");
    expect(Object.keys(JSON.parse(body))).toStrictEqual(["error", "error_id"]);
  });

  it("refuses a route parameter that cannot be decoded with 400", async () => {
    const { app, drain } = createHttpEdge();
    app.get("/things/:name", () => "never");
    const response = await app.inject(`/things/%zz${CANARY}`);
    expect(response.statusCode).toBe(400);
    expect(response.body).not.toContain("CANARY");
    expect(response.headers["x-request-id"]).toMatch(UUID);
    await drain(0);
  });

  it("refuses a body above its limit", async () => {
    await using edge = await listening({ limits: { bodyBytesMax: 100 } });
    const response = await fetch(`${edge.url}/echo`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify("x".repeat(100)),
    });
    expect(response.status).toBe(413);
  });

  it("refuses headers above their limit", async () => {
    await using edge = await listening({ limits: { headerBytesMax: 2_048 } });
    const heard = await converse(
      edge.port,
      `GET /healthz HTTP/1.1\r\nHost: a\r\nX-Pad: ${"x".repeat(4_096)}\r\n\r\n`,
    );
    expect(heard).toMatch(/^HTTP\/1\.1 431 /);
  });

  it("ends a client that is slow with its headers", async () => {
    await using edge = await listening({
      limits: { headersTimeoutMs: 100, requestTimeoutMs: 60_000 },
    });
    expect(await converse(edge.port, "GET /healthz HTTP/1.1\r\nHost: a\r\nX-Slow:")).toMatch(
      /^HTTP\/1\.1 408 /,
    );
  });

  it("ends a client that is slow with its body", async () => {
    await using edge = await listening({
      limits: { headersTimeoutMs: 100, requestTimeoutMs: 150 },
    });
    const head =
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n";
    expect(await converse(edge.port, `${head}{`)).toMatch(/^HTTP\/1\.1 408 /);
  });

  it("answers bytes that are no HTTP without repeating them", async () => {
    await using edge = await listening();
    const heard = await converse(edge.port, `${CANARY}\r\n\r\n`);
    expect(heard).toMatch(/^HTTP\/1\.1 400 /);
    expect(heard).not.toContain("CANARY");
  });

  it("drops connections above their number", async () => {
    await using edge = await listening({ limits: { connectionsMax: 1 } });
    const first = await opened(edge.port);
    await accepted(edge, 1);
    await closed(await opened(edge.port));
    first.destroy();
  });
});

describe("Draining the HTTP edge", () => {
  it("lets a request in flight finish, and closes its connection", async () => {
    const edge = createHttpEdge();
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    edge.app.get("/slow", async () => {
      started.resolve();
      await release.promise;
      return { done: true };
    });
    const url = await edge.app.listen({ host: "127.0.0.1", port: 0 });
    const response = fetch(`${url}/slow`);
    await started.promise;
    const drained = edge.drain(30_000);
    release.resolve();
    expect(await (await response).json()).toStrictEqual({ done: true });
    await drained;
  });

  it("still answers a busy connection, as not ready, and closes it", async () => {
    const edge = createHttpEdge();
    const started = Promise.withResolvers<void>();
    const release = Promise.withResolvers<void>();
    edge.app.addHook("onRequest", async ({ url }) => {
      if (url === "/readyz") release.resolve();
    });
    edge.app.get("/slow", async () => {
      started.resolve();
      await release.promise;
      return "done";
    });
    const url = await edge.app.listen({ host: "127.0.0.1", port: 0 });
    const socket = await opened(Number(new URL(url).port));
    let heard = "";
    socket.on("data", (data) => {
      heard += data;
    });
    socket.write("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
    await started.promise;
    const drained = edge.drain(30_000);
    socket.write("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    await drained;
    await closed(socket);
    expect(heard).toMatch(/^HTTP\/1\.1 200 .*done.*HTTP\/1\.1 503 .*shutting down/s);
  });

  it("does not wait for idle connections and for those that never sent a request", async () => {
    const edge = createHttpEdge();
    const url = await edge.app.listen({ host: "127.0.0.1", port: 0 });
    const port = Number(new URL(url).port);
    const idle = await opened(port);
    const answered = new Promise((resolve) => idle.once("data", resolve));
    idle.write("GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n");
    await answered;
    const silent = await opened(port);
    await accepted(edge, 2);
    const start = performance.now();
    await edge.drain(30_000);
    expect(performance.now() - start).toBeLessThan(5_000);
    await Promise.all([closed(idle), closed(silent)]);
  });

  it("cuts off what is left after the grace", async () => {
    const edge = createHttpEdge();
    const started = Promise.withResolvers<void>();
    edge.app.get("/never", () => {
      started.resolve();
      return new Promise(() => {});
    });
    const url = await edge.app.listen({ host: "127.0.0.1", port: 0 });
    const response = fetch(`${url}/never`).then(
      () => "answered",
      () => "cut off",
    );
    await started.promise;
    await edge.drain(50);
    expect(await response).toBe("cut off");
  });
});

describe("The HTTP edge with TLS", () => {
  const ask = (port: number, identity?: { key: string; cert: string }) =>
    new Promise<number | undefined>((resolve, reject) => {
      httpsRequest({
        port,
        host: "127.0.0.1",
        path: "/healthz",
        ca: TLS.cert,
        agent: false,
        ...identity,
      })
        .on("response", (response) => resolve(response.resume().statusCode))
        .on("error", reject)
        .end();
    });

  it("serves", async () => {
    await using edge = await listening({ tls: TLS });
    expect(await ask(edge.port)).toBe(200);
  });

  it("refuses a client without a certificate where they are asked for", async () => {
    await using edge = await listening({ tls: { ...TLS, clientCa: TLS.cert } });
    await expect(ask(edge.port)).rejects.toThrow();
    expect(await ask(edge.port, TLS)).toBe(200);
  });

  it("drains past a connection that never began its handshake", async () => {
    const edge = createHttpEdge({ tls: TLS });
    const url = await edge.app.listen({ host: "127.0.0.1", port: 0 });
    const mute = await opened(Number(new URL(url).port));
    await accepted(edge, 1);
    await edge.drain(50);
    await closed(mute);
  });
});

describe("A key-like text", () => {
  it.for([
    "sk-ant-api03-x",
    "x.sk-proj-a",
    "neo_sk_0",
    "xai-9",
    "vck_a",
    "AIzaSy",
    "AQ.Ab",
    "ABSKQmVk",
    "ASIAABCDEFGH",
    "eyJhbGci",
  ])("is %s", (text) => expect(isKeyLike(text)).toBe(true));
  it.for([
    "task-12",
    "risk_report",
    "01JH8Z",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "Maxai-x",
    "AKIA-team",
  ])("is not %s", (text) => expect(isKeyLike(text)).toBe(false));
});
