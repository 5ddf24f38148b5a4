import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { createMetrics } from "./metrics.ts";
import { listenForMetrics } from "./metrics-listener.ts";

const LIST = "keyledger.v1.KeyringService/ListKeys";

describe("the metrics", () => {
  it("count calls by method and code and measure their time", async () => {
    const metrics = createMetrics([LIST]);
    metrics.requestDone(LIST, "OK", 0.004);
    metrics.requestDone(LIST, "OK", 0.2);
    metrics.requestDone(LIST, "NOT_FOUND", 0.001);
    const text = await metrics.text();
    expect(text).toContain(`keyledger_requests_total{method="${LIST}",code="OK"} 2`);
    expect(text).toContain(`keyledger_requests_total{method="${LIST}",code="NOT_FOUND"} 1`);
    expect(text).toContain(`keyledger_request_seconds_count{method="${LIST}"} 3`);
    expect(text).toContain(`keyledger_request_seconds_bucket{le="0.005",method="${LIST}"} 2`);
  });

  it("show nothing that a client made up", async () => {
    const metrics = createMetrics([LIST]);
    for (let call = 0; call < 1000; call++) {
      metrics.requestDone(`canary-${call}`, `canary-${call}`, 0.001);
      metrics.requestDone(LIST, "099", 0.001);
    }
    const text = await metrics.text();
    expect(text).not.toContain("canary");
    expect(text).toContain(`keyledger_requests_total{method="unknown",code="unknown"} 1000`);
    expect(text).toContain(`keyledger_requests_total{method="${LIST}",code="unknown"} 1000`);
  });

  it("take a status of HTTP as the code of a route", async () => {
    const metrics = createMetrics(["GET /api/v1/byok/mode"]);
    metrics.requestDone("GET /api/v1/byok/mode", "503", 0.001);
    expect(await metrics.text()).toContain(`method="GET /api/v1/byok/mode",code="503"} 1`);
  });

  it("show a gauge only once somebody measures, and then the value of the moment", async () => {
    const metrics = createMetrics([]);
    expect(await metrics.text()).not.toContain("keyledger_shred_backlog");
    let backlog = 3;
    metrics.observe({ shredBacklog: () => backlog });
    expect(await metrics.text()).toContain("\nkeyledger_shred_backlog 3\n");
    backlog = 0;
    expect(await metrics.text()).toContain("\nkeyledger_shred_backlog 0\n");
    expect(await metrics.text()).not.toContain("keyledger_projection_lag_seconds");
    metrics.observe({ projectionLagSeconds: () => 0.5 });
    expect(await metrics.text()).toContain("\nkeyledger_projection_lag_seconds 0.5\n");
  });

  it("tell of the process, apart from those of another in the same one", async () => {
    const [one, other] = [createMetrics([LIST]), createMetrics([LIST])];
    one.requestDone(LIST, "OK", 0.001);
    expect(await other.text()).not.toContain(`code="OK"`);
    for (const name of ["process_resident_memory_bytes", "nodejs_eventloop_lag_p99_seconds"]) {
      expect(await other.text()).toMatch(new RegExp(`^${name} [\\d.e+-]+$`, "m"));
    }
  });
});

describe("the metrics listener", () => {
  const listen = (text: () => Promise<string> = async () => "up 1\n") =>
    listenForMetrics(
      { text, contentType: createMetrics([]).contentType },
      {
        host: "127.0.0.1",
        port: 0,
      },
    );

  it("answers GET /metrics with the exposition format", async () => {
    await using listener = await listen();
    const response = await fetch(`http://127.0.0.1:${listener.address.port}/metrics`);
    expect(response.status).toBe(200);
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await response.text()).toBe("up 1\n");
  });

  it.for<[string, string, number]>([
    ["GET", "/", 404],
    ["GET", "/metrics/", 404],
    ["GET", "/metrics?x=1", 404],
    ["POST", "/metrics", 405],
    ["HEAD", "/metrics", 405],
    ["DELETE", "/else", 404],
  ])("answers %s %s with %i and nothing more", async ([method, path, status]) => {
    await using listener = await listen();
    const response = await fetch(`http://127.0.0.1:${listener.address.port}${path}`, { method });
    expect(response.status).toBe(status);
    expect(await response.text()).toBe("");
  });

  it("answers 500 without a reason when collecting fails", async () => {
    await using listener = await listen(() => Promise.reject(new Error("canary")));
    const response = await fetch(`http://127.0.0.1:${listener.address.port}/metrics`);
    expect(response.status).toBe(500);
    expect(await response.text()).toBe("");
  });

  it("collects once for all who ask at the same time", async () => {
    let collected = 0;
    const ready = Promise.withResolvers<string>();
    await using listener = await listen(() => {
      collected++;
      return ready.promise;
    });
    // Three in one write: the server sees them in the same turn.
    const socket = connect(listener.address.port, "127.0.0.1");
    let answers = "";
    socket.on("data", (chunk) => {
      answers += chunk.toString();
    });
    socket.write("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n".repeat(3));
    await expect.poll(() => collected).toBe(1);
    ready.resolve("up 1\n");
    await expect.poll(() => answers.match(/up 1/g)).toHaveLength(3);
    expect(collected).toBe(1);
    socket.destroy();
  });

  it("closes at once, with clients still connected", async () => {
    const listener = await listen();
    const socket = connect(listener.address.port, "127.0.0.1");
    const closed = new Promise((resolve) => socket.once("close", resolve));
    socket.on("error", () => {});
    await new Promise((resolve) => socket.once("connect", resolve));
    socket.write("GET /metrics HTTP/1.1\r\n");
    await listener.close();
    await closed;
    expect(socket.destroyed).toBe(true);
  });

  it("drops connections beyond its bound", async () => {
    await using listener = await listen();
    const sockets = Array.from({ length: 40 }, () => connect(listener.address.port, "127.0.0.1"));
    let ended = 0;
    for (const socket of sockets) {
      socket.on("error", () => {});
      socket.once("close", () => ended++);
    }
    await expect.poll(() => ended, { timeout: 2000 }).toBe(24);
    for (const socket of sockets) socket.destroy();
  });

  it("does not listen on a port that is taken", async () => {
    await using listener = await listen();
    const metrics = createMetrics([]);
    await expect(listenForMetrics(metrics, listener.address)).rejects.toHaveProperty(
      "code",
      "EADDRINUSE",
    );
  });
});
