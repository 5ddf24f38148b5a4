import { createServer as createHttpServer } from "node:http";
import { createServer as createHttpsServer, type Server } from "node:https";
import { type AddressInfo, connect, Socket } from "node:net";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import { type HttpKeyProbeOptions, httpKeyProbe } from "@keyledger/providers";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { ask, probeOf } from "../support/ask-provider.ts";
import { startFakeProviders } from "../support/fake-providers.ts";

const PUBLIC = { address: "93.184.215.14", family: 4 };
const OTHER_PUBLIC = { address: "93.184.215.15", family: 4 };
const LOCAL = { address: "127.0.0.1", family: 4 };

/** A probe of the providers' own hosts, which resolve to what a test says. */
const probing = (options: Partial<HttpKeyProbeOptions>) =>
  httpKeyProbe({ host: nodeHost(), allowInsecureLoopback: false, ...options });

/** Waits of up to three seconds are over at once, so what follows them need not be waited for. */
const hurried: HttpKeyProbeOptions["host"] = {
  clock: nodeHost().clock,
  pause: (ms, signal) => nodeHost().pause(ms <= 3000 ? 5 : ms, signal),
};

/** Nobody answers there, and how often and where somebody knocked is counted. */
function deadEnd() {
  const knocked: string[] = [];
  const dead: HttpKeyProbeOptions["connect"] = ({ addresses }) => {
    knocked.push(...addresses.map(({ address }) => address));
    const socket = new Socket();
    queueMicrotask(() => socket.destroy(new Error("refused")));
    return socket;
  };
  return { knocked, connect: dead };
}

async function listening(server: Server | ReturnType<typeof createHttpServer>) {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe("The address a key is sent to", () => {
  it.for([
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "168.63.129.16",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "::ffff:169.254.169.254",
    "::ffff:93.184.215.14",
    "64:ff9b::a00:1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
    "2002:7f00:1::",
  ])("is never %s", async (address) => {
    const { knocked, connect } = deadEnd();
    const family = address.includes(":") ? 6 : 4;
    for (const addresses of [[{ address, family }], [PUBLIC, { address, family }]]) {
      const probe = probing({ connect, lookup: async () => addresses });
      expect(await ask(probe, "openai", "sk-fake-ok")).toMatchObject({
        outcome: "unavailable",
        code: "address_refused",
      });
    }
    expect(knocked).toStrictEqual([]);
  });

  it("is never one of this machine's for an endpoint that nobody allowed to be local", async () => {
    await using fakes = await startFakeProviders();
    const endpoints = new Map([["openai", fakes.url("openai")]]);
    for (const allowInsecureLoopback of [true, false]) {
      const probe = probing({ endpoints, allowInsecureLoopback });
      const { code } = await ask(probe, "openai", "sk-fake-ok");
      expect(code).toBe(allowInsecureLoopback ? "accepted" : "address_refused");
    }
    expect(fakes.requests).toHaveLength(1);
  });

  it("is none but this machine's where plain http is allowed", async () => {
    const { knocked, connect } = deadEnd();
    const endpoints = new Map([["openai", "http://fake.example"]]);
    const probe = probing({
      endpoints,
      allowInsecureLoopback: true,
      connect,
      lookup: async () => [PUBLIC],
    });
    expect(await ask(probe, "openai", "sk-fake-ok")).toMatchObject({ code: "address_refused" });
    expect(knocked).toStrictEqual([]);
  });

  it("is one that was checked, however often the name changes its mind", async () => {
    const { knocked, connect } = deadEnd();
    let asked = 0;
    const probe = probing({
      host: {
        clock: nodeHost().clock,
        pause: (ms, signal) => (ms < 1000 ? Promise.resolve() : nodeHost().pause(ms, signal)),
      },
      connect,
      lookup: async () => (asked++ % 2 === 0 ? [PUBLIC, OTHER_PUBLIC] : [LOCAL]),
    });
    for (let round = 0; round < 1000; round++) await ask(probe, "openai", "sk-fake-ok");
    // Each probe resolves twice: the first answer is good and leads nowhere, the second is refused.
    expect(asked).toBe(2000);
    expect(knocked).toHaveLength(2000);
    expect(new Set(knocked)).toStrictEqual(new Set([PUBLIC.address, OTHER_PUBLIC.address]));
  });

  it("is connected to without another lookup, and the next one where the first is dead", async () => {
    await using fakes = await startFakeProviders();
    const { port } = new URL(fakes.url("openai"));
    // No resolver knows this name, so only the addresses that were handed in can lead there.
    const probe = probing({
      endpoints: new Map([["openai", `http://fake.invalid:${port}/openai`]]),
      allowInsecureLoopback: true,
      lookup: async () => [
        { address: "127.0.0.2", family: 4 },
        { address: "::1", family: 6 },
        LOCAL,
      ],
    });
    expect(await ask(probe, "openai", "sk-fake-ok")).toMatchObject({ code: "accepted" });
    expect(fakes.requests[0]?.headers.host).toBe(`fake.invalid:${port}`);
  });
});

describe("A provider that cannot be reached", () => {
  const failing = (code: string) => Object.assign(new Error("sk-fake-ok is not in here"), { code });

  it.for([
    ["ENOTFOUND", "name_unknown", 1],
    ["EAI_AGAIN", "name_unresolved", 2],
  ] as const)("because of %s is unavailable: %s", async ([error, code, attempts]) => {
    let asked = 0;
    const lookup = () => {
      asked++;
      return Promise.reject(failing(error));
    };
    const report = await ask(probing({ host: hurried, lookup }), "openai", "sk-fake-ok");
    expect(report).toMatchObject({ outcome: "unavailable", code, retryable: true });
    expect(asked).toBe(attempts);
  });

  it("because its name stands for no address is unavailable", async () => {
    const report = await ask(probing({ lookup: async () => [] }), "openai", "sk-fake-ok");
    expect(report).toMatchObject({ outcome: "unavailable", code: "name_unresolved" });
  });

  it("because nobody answers its name is unavailable when the budget is spent", async () => {
    const lookup = () => new Promise<never>(() => {});
    const report = await ask(probing({ lookup }), "openai", "sk-fake-ok", { budgetMs: 50 });
    expect(report).toMatchObject({ outcome: "unavailable", code: "timed_out" });
  });

  it("because it refuses the connection is unavailable after two attempts", async () => {
    const { knocked, connect } = deadEnd();
    const probe = probing({ host: hurried, connect, lookup: async () => [PUBLIC] });
    expect(await ask(probe, "openai", "sk-fake-ok")).toMatchObject({
      outcome: "unavailable",
      code: "connect_failed",
    });
    expect(knocked).toHaveLength(2);
  });

  it("because the connection hangs is given up after the time for connecting", async () => {
    const probe = probing({
      host: hurried,
      connect: () => new Socket(),
      lookup: async () => [PUBLIC],
    });
    expect(await ask(probe, "openai", "sk-fake-ok")).toMatchObject({ code: "connect_failed" });
  });

  it("because the connection hangs is given up with the budget, if that is shorter", async () => {
    const probe = probing({ connect: () => new Socket(), lookup: async () => [PUBLIC] });
    const report = await ask(probe, "openai", "sk-fake-ok", { budgetMs: 50 });
    expect(report).toMatchObject({ outcome: "unavailable", code: "timed_out" });
  });

  it("because our own code fails is an outcome too, and says nothing of what failed", async () => {
    const connect = () => {
      throw new Error("sk-fake-ok");
    };
    const probe = probing({ connect, lookup: async () => [PUBLIC] });
    expect(await ask(probe, "openai", "sk-fake-ok")).toStrictEqual({
      outcome: "unexpected",
      code: "probe_fault",
      message: "The probe itself failed; the key was not judged.",
      retryable: true,
    });
  });
});

describe("A redirect", () => {
  it.for([301, 302, 303, 307, 308])("with status %i is never followed", async (status) => {
    let followed = 0;
    await using elsewhere = await listening(
      createHttpServer((_request, response) => {
        followed++;
        response.end("{}");
      }),
    );
    await using server = await listening(
      createHttpServer((_request, response) => {
        const location = `http://127.0.0.1:${elsewhere.port}/`;
        response.writeHead(status, { location, refresh: `0; url=${location}` }).end();
      }),
    );
    await using fakes = await startFakeProviders();
    const endpoint = `http://127.0.0.1:${server.port}`;
    const endpoints = new Map(fakes.providers.map((provider) => [provider, endpoint]));
    for (const provider of fakes.providers) {
      const report = await ask(probeOf(fakes, { endpoints }), provider, "sk-fake-ok");
      expect(report).toMatchObject({ outcome: "unexpected", code: "redirected" });
    }
    expect(followed).toBe(0);
  });
});

describe("An answer without end", () => {
  /** Writes as long as somebody reads, and counts. */
  async function endless(status: number) {
    let sent = 0;
    const server = await listening(
      createHttpServer((_request, response) => {
        const chunk = Buffer.alloc(16 * 1024, " ");
        response.writeHead(status);
        const write = () => {
          while (!response.destroyed && response.write(chunk)) sent += chunk.byteLength;
        };
        response.on("drain", write);
        write();
      }),
    );
    const endpoint = `http://127.0.0.1:${server.port}`;
    return {
      ...server,
      sent: () => sent,
      endpoints: new Map([
        ["openai", endpoint],
        ["openrouter", endpoint],
      ]),
    };
  }
  /** What sockets hold besides what was read. */
  const BUFFERS = 8 * 1024 * 1024;

  it.for([
    ["openrouter", 200, "unexpected_answer", 1024 * 1024],
    ["openrouter", 401, "key_rejected", 64 * 1024],
    ["openai", 200, "accepted", 0],
    ["openai", 403, "unexpected_answer", 64 * 1024],
  ] as const)("of %s with %i is read to its bound", async ([provider, status, code, bytesMax]) => {
    await using server = await endless(status);
    const { endpoints } = server;
    const report = await ask(
      probing({ endpoints, allowInsecureLoopback: true }),
      provider,
      "sk-fake-ok",
    );
    expect(report).toMatchObject({ code });
    expect(server.sent()).toBeLessThan(bytesMax + BUFFERS);
  });
});

describe("A TLS connection", () => {
  /** Answers every path with an empty JSON object, and notes the name that was asked for. */
  async function tlsServer() {
    const names: (string | false | null | undefined)[] = [];
    let requests = 0;
    const server = createHttpsServer({ key: KEY, cert: CERTIFICATE }, (_request, response) => {
      requests++;
      response.end("{}");
    });
    server.on("secureConnection", (socket) => names.push(socket.servername));
    const { port, ...rest } = await listening(server);
    const toServer = () => connect(port, "127.0.0.1");
    return {
      names,
      requests: () => requests,
      connect: toServer,
      lookup: async () => [PUBLIC],
      ...rest,
    };
  }

  it("to somebody nobody vouches for carries no request", async () => {
    await using server = await tlsServer();
    expect(await ask(probing(server), "openai", "sk-fake-ok")).toMatchObject({
      outcome: "unavailable",
      code: "tls_failed",
    });
    expect(server.requests()).toBe(0);
  });

  it("stays strict where the environment says it need not be", async () => {
    await using server = await tlsServer();
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = "0";
    try {
      expect(await ask(probing(server), "openai", "sk-fake-ok")).toMatchObject({
        code: "tls_failed",
      });
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
    expect(server.requests()).toBe(0);
  });

  it("is made to the provider's name, and to no other that the certificate does not hold", async () => {
    await using server = await tlsServer();
    const trusted = getCACertificates("default");
    setDefaultCACertificates([...trusted, CERTIFICATE]);
    try {
      expect(await ask(probing(server), "openai", "sk-fake-ok")).toMatchObject({
        code: "accepted",
      });
      expect(server.names).toStrictEqual(["api.openai.com"]);
      expect(server.requests()).toBe(1);
      expect(await ask(probing(server), "anthropic", "sk-fake-ok")).toMatchObject({
        code: "tls_failed",
      });
      expect(server.requests()).toBe(1);
    } finally {
      setDefaultCACertificates(trusted);
    }
  });

  it("that hangs in its handshake is given up", async () => {
    await using silent = await listening(createHttpServer());
    const probe = probing({
      host: hurried,
      connect: () => connect(silent.port, "127.0.0.1"),
      lookup: async () => [PUBLIC],
    });
    expect(await ask(probe, "openai", "sk-fake-ok")).toMatchObject({ outcome: "unavailable" });
  });
});

/** For `api.openai.com`, signed by nobody, made for this test; they protect nothing. */
const CERTIFICATE = `-----BEGIN CERTIFICATE-----
MIIBbzCCARagAwIBAgIBATAKBggqhkjOPQQDAjAZMRcwFQYDVQQDDA5LZXlsZWRn
ZXIgdGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowGTEXMBUG
A1UEAwwOS2V5bGVkZ2VyIHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAARA
fTSGiEMfv+iEs7cmn+wFaHLxHBBB3WE+xD0IT7+g1b+KCIPMxdmSGQcSGkYGAixB
aBv/AYZEWZABD9TadGTEo00wSzAZBgNVHREEEjAQgg5hcGkub3BlbmFpLmNvbTAP
BgNVHRMBAf8EBTADAQH/MB0GA1UdDgQWBBS+HEfS6q5/kaEezeF/F3IDC7+DYjAK
BggqhkjOPQQDAgNHADBEAiAUzEK4hrYZQLItkscv4wQ9hbAMF8IN9HNV4tUdpE/+
LwIgNDn2K8NC3xpNviEudvXBXzqSn4LgYdY8dUgFaTBmA0c=
-----END CERTIFICATE-----
`;
const KEY = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg9chaKvbdbVVitfti
5jAGdnjxvu0bGGbjQvVPfdJ0F+6hRANCAARAfTSGiEMfv+iEs7cmn+wFaHLxHBBB
3WE+xD0IT7+g1b+KCIPMxdmSGQcSGkYGAixBaBv/AYZEWZABD9TadGTE
-----END PRIVATE KEY-----
`;
