import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import {
  AuditService,
  BadRequestSchema,
  ErrorInfoSchema,
  Feed,
  KeyringService,
  Mode,
  ResolveService,
} from "@keyledger/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";

describe("Connect clients", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let keyledger: KeyledgerProcess;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    keyledger = await startKeyledger(directory.path);
  }, 60_000);

  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  /** Each protocol against the listener that speaks it. */
  const transports = (): readonly (readonly [string, Transport])[] => {
    const edge = { baseUrl: `http://${keyledger.http}`, httpVersion: "1.1" as const };
    return [
      ["Connect with JSON", createConnectTransport({ ...edge, useBinaryFormat: false })],
      ["Connect with binary", createConnectTransport({ ...edge, useBinaryFormat: true })],
      ["gRPC-Web", createGrpcWebTransport(edge)],
      ["gRPC", createGrpcTransport({ baseUrl: `http://${keyledger.grpc}` })],
    ];
  };
  const headers = () => ({ authorization: `Bearer ${keyledger.keys.team_key}` });

  it("manage and audit over every protocol, from the same methods", async () => {
    for (const [name, transport] of transports()) {
      const keyring = createClient(KeyringService, transport);
      const options = { headers: headers() };
      const secret = Buffer.from(`m-${name.replaceAll(/[^a-z]/gi, "")}-0123456789`);
      const { key } = await keyring.createKey({ provider: "mistral", secret, name }, options);
      expect((await keyring.getKey({ keyId: key?.keyId ?? "" }, options)).key).toStrictEqual(key);
      expect((await keyring.setMode({ mode: Mode.BYOK }, options)).mode).toBe(Mode.BYOK);
      const deleted = await keyring.deleteKey(
        { target: { case: "keyId", value: key?.keyId ?? "" } },
        options,
      );
      expect(deleted).toMatchObject({ provider: "mistral", autoSwitched: true, remainingKeys: 0 });

      const audit = createClient(AuditService, transport);
      const types: string[] = [];
      for await (const { item } of audit.followRecords({ feed: Feed.CHANGES }, options)) {
        if (item.case === "caughtUp") break;
        if (item.case === "record") types.push(item.value.type);
      }
      expect(types.slice(0, 2), name).toStrictEqual(["ApiKeyIssued", "KeyAdded"]);
    }
  });

  it("get errors with reason and fields over every protocol", async () => {
    for (const [name, transport] of transports()) {
      const keyring = createClient(KeyringService, transport);
      const refused = await keyring
        .upsertKey(
          { provider: "openai", secret: new Uint8Array(), requestId: "not ok" },
          { headers: headers() },
        )
        .catch((error: unknown) => ConnectError.from(error));
      if (!(refused instanceof ConnectError)) throw new Error("it was answered");
      expect(refused.code, name).toBe(Code.InvalidArgument);
      expect(refused.findDetails(ErrorInfoSchema)[0]).toMatchObject({
        reason: "INVALID_FIELDS",
        domain: "keyledger.v1",
      });
      expect(refused.findDetails(BadRequestSchema)[0]?.fieldViolations[0]?.field).toBe(
        "request_id",
      );
    }
  });

  it("find no Resolve on the HTTP edge: material leaves over gRPC only", async () => {
    for (const [name, transport] of transports()) {
      const resolver = createClient(ResolveService, transport);
      const options = { headers: { authorization: `Bearer ${keyledger.keys.service_key}` } };
      const answer = await resolver
        .resolve({ owner: { kind: 2, id: "default" }, provider: "openai" }, options)
        .then(
          () => "answered",
          (error: unknown) => ConnectError.from(error).code,
        );
      expect(answer, name).toBe(name === "gRPC" ? "answered" : Code.Unimplemented);
    }
  });

  it("are bounded: a body beyond the limit and a compressed one are refused", async () => {
    const post = (body: Uint8Array, extra: Readonly<Record<string, string>> = {}) =>
      fetch(`http://${keyledger.http}/keyledger.v1.KeyringService/ListKeys`, {
        method: "POST",
        headers: { ...headers(), "content-type": "application/proto", ...extra },
        body,
      });
    expect((await post(new Uint8Array(300 * 1024))).status).toBeGreaterThanOrEqual(400);
    expect((await post(new Uint8Array(16), { "content-encoding": "gzip" })).ok).toBe(false);
  });
});
