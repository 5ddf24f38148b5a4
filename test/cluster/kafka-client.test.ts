import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { Fault, type Host, StoreUnavailable } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it, vi } from "vitest";
import { openKafkaClient } from "../../packages/cluster/src/kafka-client.ts";

const host = nodeHost();
/** A host on which every deadline has passed at once. */
const hastyHost: Host = { ...host, pause: async () => {} };
const message = { key: "k", value: Buffer.from("v"), headers: {}, timestamp: "0" };

/** Takes connections and never says a word. */
async function silentBroker() {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket.resume());
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()));
  return {
    brokers: [`127.0.0.1:${port}`],
    sockets,
    close,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      if (server.listening) await close();
    },
  };
}

describe("The Kafka client", () => {
  it("fails in our words, and fast, where nobody listens", async () => {
    const { brokers, close } = await silentBroker();
    await close();
    await using client = openKafkaClient({ brokers, clientId: "t", host });
    for (const call of [() => client.send("t", [message]), () => client.readAll("t")]) {
      await expect(call()).rejects.toMatchObject({
        constructor: StoreUnavailable,
        message: "no Kafka broker answers",
        retryable: true,
      });
      await expect(call()).rejects.not.toHaveProperty("cause");
    }
  });

  it("gives a broker that never answers its time, then hangs up", async () => {
    await using broker = await silentBroker();
    const { brokers, sockets } = broker;
    let lapse = () => {};
    const pause: Host["pause"] = () => new Promise((resolve) => (lapse = resolve));
    await using client = openKafkaClient({ brokers, clientId: "t", host: { ...host, pause } });
    const sending = client.send("t", [message]);
    await vi.waitUntil(() => sockets.size > 0);
    lapse();
    await expect(sending).rejects.toMatchObject({
      constructor: StoreUnavailable,
      message: "no Kafka broker answers",
    });
    await vi.waitUntil(() => sockets.size === 0);
  });

  it("begins with another broker each time, so that a frozen one is asked once", async () => {
    await using first = await silentBroker();
    await using second = await silentBroker();
    const brokers = [...first.brokers, ...second.brokers];
    const lapses: (() => void)[] = [];
    const pause: Host["pause"] = () => new Promise((resolve) => lapses.push(resolve));
    await using client = openKafkaClient({ brokers, clientId: "t", host: { ...host, pause } });
    for (const { sockets } of [first, second, first]) {
      const sending = client.send("t", [message]);
      await vi.waitUntil(() => sockets.size > 0);
      for (const lapse of lapses.splice(0)) lapse();
      await expect(sending).rejects.toBeInstanceOf(StoreUnavailable);
      await vi.waitUntil(() => sockets.size === 0);
    }
  });

  it("never connects again for a call that was given up", async () => {
    await using broker = await silentBroker();
    const { brokers, sockets } = broker;
    await using client = openKafkaClient({ brokers, clientId: "t", host: hastyHost });
    await expect(client.send("t", [message])).rejects.toBeInstanceOf(StoreUnavailable);
    await expect(client.readAll("t")).rejects.toBeInstanceOf(StoreUnavailable);
    // Some retries of the library's own would be over by then; that nothing happens cannot be waited for.
    await host.pause(1_000);
    expect(sockets.size).toBe(0);
  });

  it("lets go of a call at once when it is closed, and takes no more", async () => {
    await using broker = await silentBroker();
    const { brokers, sockets } = broker;
    const client = openKafkaClient({ brokers, clientId: "t", host });
    const sending = client.send("t", [message]);
    await vi.waitUntil(() => sockets.size > 0);
    await client[Symbol.asyncDispose]();
    const closed = { constructor: StoreUnavailable, retryable: false };
    await expect(sending).rejects.toMatchObject(closed);
    await vi.waitUntil(() => sockets.size === 0);
    await expect(client.send("t", [message])).rejects.toMatchObject(closed);
    await expect(client.readAll("t")).rejects.toMatchObject(closed);
  });

  it("prints nothing, whatever the environment asks the library to", async () => {
    const { brokers, close } = await silentBroker();
    await close();
    const printed: unknown[] = [];
    const write = (chunk: unknown) => printed.push(chunk) > 0;
    const spies = [
      vi.spyOn(process.stdout, "write").mockImplementation(write),
      vi.spyOn(process.stderr, "write").mockImplementation(write),
      ...(["log", "info", "warn", "error", "debug"] as const).map((level) =>
        vi.spyOn(console, level).mockImplementation((...words) => void printed.push(...words)),
      ),
    ];
    vi.stubEnv("KAFKAJS_LOG_LEVEL", "DEBUG");
    try {
      await using client = openKafkaClient({ brokers, clientId: "t", host });
      await expect(client.send("t", [message])).rejects.toBeInstanceOf(Fault);
    } finally {
      vi.unstubAllEnvs();
      for (const spy of spies) spy.mockRestore();
    }
    expect(printed).toStrictEqual([]);
  });

  it("does not log in without TLS", () => {
    const sasl = { mechanism: "plain", username: "relay", password: "canary-password" } as const;
    const open = () => openKafkaClient({ brokers: ["127.0.0.1:1"], clientId: "t", host, sasl });
    expect(open).toThrow(Fault);
    expect(open).not.toThrow(/canary|relay/);
  });
});
