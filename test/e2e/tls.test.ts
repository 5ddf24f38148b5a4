import { readFileSync } from "node:fs";
import { request } from "node:https";
import { connect as tlsConnect } from "node:tls";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { AdminService, KeyringService } from "@keyledger/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type KeyledgerProcess,
  launchKeyledger,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";

const pathOf = (name: string): string =>
  fileURLToPath(new URL(`../support/tls/${name}.pem`, import.meta.url));
const read = (name: string): Buffer => readFileSync(pathOf(name));

/** What a client brings to a connection. */
interface Client {
  readonly ca: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

const ca = read("authority");
const NOBODY: Client = { ca };
const CLIENT: Client = { ca, cert: read("client"), key: read("client-key") };
/** Its certificate is signed by an authority that the process was not told of. */
const STRANGER: Client = { ca, cert: read("stranger"), key: read("stranger-key") };

const TLS = [`--tls-cert=${pathOf("server")}`, `--tls-key=${pathOf("server-key")}`];

/** Each way into the process, and what comes back: `answered`, or why there was no connection. */
const ways = (
  { grpc, http, keys }: KeyledgerProcess,
  nodeOptions: Client,
): Readonly<Record<string, () => Promise<unknown>>> => {
  const headers = { authorization: `Bearer ${keys.team_key}` };
  const listKeys = (transport: ReturnType<typeof createGrpcTransport>) =>
    createClient(KeyringService, transport).listKeys({}, { headers, timeoutMs: 5_000 });
  return {
    gRPC: () => listKeys(createGrpcTransport({ baseUrl: `https://${grpc}`, nodeOptions })),
    Connect: () =>
      listKeys(
        createConnectTransport({ baseUrl: `https://${http}`, httpVersion: "1.1", nodeOptions }),
      ),
    REST: () =>
      new Promise((resolve, reject) => {
        const url = `https://${http}/api/v1/byok/providers`;
        request(url, { ...nodeOptions, headers }, ({ statusCode }) =>
          statusCode === 200 ? resolve(undefined) : reject(new Error(`HTTP ${statusCode}`)),
        )
          .on("error", reject)
          .end();
      }),
  };
};

const outcomes = async (
  found: Readonly<Record<string, () => Promise<unknown>>>,
): Promise<Readonly<Record<string, string>>> => {
  const ends = Object.entries(found).map(async ([name, way]) => {
    const end = await way().then(
      () => "answered",
      (error: unknown) => String(error),
    );
    return [name, end] as const;
  });
  return Object.fromEntries(await Promise.all(ends));
};

const ANSWERED = { gRPC: "answered", Connect: "answered", REST: "answered" };

describe("a process with a certificate", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let keyledger: KeyledgerProcess;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    keyledger = await startKeyledger(directory.path, ["--probe=off", ...TLS]);
  });
  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  it("serves gRPC, Connect and REST under it, and asks for none", async () => {
    expect(await outcomes(ways(keyledger, NOBODY))).toStrictEqual(ANSWERED);
    expect(await outcomes(ways(keyledger, STRANGER))).toStrictEqual(ANSWERED);
  });

  it("says in its banner how it is reached, and does not warn of cleartext", () => {
    expect(keyledger.output()).toContain(`https://${keyledger.http}`);
    expect(keyledger.output()).not.toContain("in the clear");
  });

  it("answers nobody in the clear", async () => {
    const { grpc, http } = keyledger;
    const plain = createGrpcTransport({ baseUrl: `http://${grpc}` });
    const ends = await outcomes({
      gRPC: () => createClient(KeyringService, plain).listKeys({}, { timeoutMs: 5_000 }),
      HTTP: () => fetch(`http://${http}/healthz`),
    });
    expect(ends.gRPC).toMatch(/^ConnectError: \[(unavailable|internal|aborted|canceled)\]/);
    expect(ends.HTTP).toMatch(/fetch failed/);
  });

  it.each(["grpc", "http"] as const)("speaks no TLS older than 1.2 (%s)", async (edge) => {
    const [host = "", port = ""] = keyledger[edge].split(":");
    const connected = (version: "TLSv1.1" | "TLSv1.2") =>
      new Promise<string>((resolve) => {
        const socket = tlsConnect({
          host,
          port: Number(port),
          ca,
          ALPNProtocols: [edge === "grpc" ? "h2" : "http/1.1"],
          minVersion: "TLSv1",
          maxVersion: version,
          // So that it is not this side that refuses.
          ciphers: "DEFAULT:@SECLEVEL=0",
        });
        socket.on("secureConnect", () => {
          resolve(String(socket.getProtocol()));
          socket.destroy();
        });
        socket.on("error", ({ message }) => resolve(message));
      });
    expect(await connected("TLSv1.2")).toBe("TLSv1.2");
    expect(await connected("TLSv1.1")).toMatch(/alert protocol version/);
  });
});

describe("a process that asks clients for certificates", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let keyledger: KeyledgerProcess;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    keyledger = await startKeyledger(directory.path, [
      "--probe=off",
      "--admin-listen=127.0.0.1:0",
      `--tls-client-ca=${pathOf("authority")}`,
      ...TLS,
    ]);
  });
  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  const everyWay = (nodeOptions: Client) => {
    const { admin } = JSON.parse(readFileSync(keyledger.readyFile, "utf8")) as { admin: string };
    const headers = { authorization: `Bearer ${keyledger.keys.operator_key}` };
    const transport = createGrpcTransport({ baseUrl: `https://${admin}`, nodeOptions });
    return {
      ...ways(keyledger, nodeOptions),
      admin: () =>
        createClient(AdminService, transport).getStatus({}, { headers, timeoutMs: 5_000 }),
    };
  };

  it("serves those who show one of the authority it was told of, on every listener", async () => {
    expect(await outcomes(everyWay(CLIENT))).toStrictEqual({ ...ANSWERED, admin: "answered" });
  });

  it.each([
    ["show none", NOBODY],
    ["show a stranger's", STRANGER],
  ])("turns away those who %s, on every listener", async (_name, client) => {
    for (const [way, end] of Object.entries(await outcomes(everyWay(client)))) {
      expect.soft(end, way).not.toBe("answered");
      // The connection ends; nothing of ours was asked, so nothing of ours refused it.
      expect.soft(end, way).toMatch(/alert|ECONNRESET|EPIPE|hang up|closed|aborted|unavailable/);
    }
  });
});

describe("a start", () => {
  it.concurrent.each([
    [
      "a key that is not the certificate's",
      [`--tls-cert=${pathOf("server")}`, `--tls-key=${pathOf("client-key")}`],
      /--tls-key: \S+client-key\.pem is not the key of the certificate in \S+server\.pem/,
    ],
    [
      "a certificate that is not there",
      [`--tls-cert=${pathOf("absent")}`, `--tls-key=${pathOf("server-key")}`],
      /--tls-cert: \S+absent\.pem cannot be read \(ENOENT\)/,
    ],
    [
      "a key in the place of the authority",
      [...TLS, `--tls-client-ca=${pathOf("client-key")}`],
      /--tls-client-ca: \S+client-key\.pem does not hold what it should/,
    ],
  ])("is refused with %s, by the name of the flag", async (_name, flags, said) => {
    await using directory = await temporaryDirectory();
    await using keyledger = launchKeyledger(directory.path, flags);
    expect((await keyledger.ended).code).toBeGreaterThan(0);
    expect(keyledger.output()).toMatch(said);
    expect(keyledger.output()).not.toContain("is ready");
    expect(keyledger.output()).not.toContain("PRIVATE KEY");
  });
});
