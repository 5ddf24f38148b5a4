import { randomUUID } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  AdminService,
  AuditService,
  Entitlement,
  Feed,
  KeyringService,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
  Role,
} from "@keyledger/contracts";
import type { Host, Instant } from "@keyledger/core";
import { openEmbedded } from "@keyledger/embedded";
import { nodeHost } from "@keyledger/runtime";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startFakeProviders } from "../support/fake-providers.ts";
import { failing, grpcClient } from "../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  launchKeyledger,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { callHttp2, envelope, reasonIn } from "../support/wire-call.ts";

const UNIMPLEMENTED = 12;
const TEAM = { kind: OwnerKind.TEAM, id: "default" };

/** Names of services that a listener tells of; what it says where it tells of none. */
async function servicesOf(address: string): Promise<readonly string[] | string> {
  const everything = Buffer.from([(7 << 3) | 2, 1, 0x2a]);
  const answer = await callHttp2(address, {
    path: "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    body: envelope(everything),
  });
  const names = answer.body.toString("latin1").match(/[a-z]+(\.[a-z0-9]+)+\.[A-Z]\w+/g);
  return names?.toSorted() ?? reasonIn(answer);
}

describe("a process", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let keyledger: KeyledgerProcess;
  let admin: string;
  let kekFile: string;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    kekFile = join(directory.path, "elsewhere.keys");
    keyledger = await startKeyledger(directory.path, [
      "--probe=off",
      "--admin-listen=127.0.0.1:0",
      "--reflection",
      "--byok-default=off",
      `--kek-file=${kekFile}`,
    ]);
    ({ admin } = JSON.parse(readFileSync(keyledger.readyFile, "utf8")) as { admin: string });
  });
  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  it("serves AdminService on --admin-listen and nowhere else, and nothing else there", async () => {
    const key = keyledger.keys.operator_key;
    using there = grpcClient(AdminService, admin, { key });
    expect((await there.getStatus({})).ready).toBe(true);
    using main = grpcClient(AdminService, keyledger.grpc, { key });
    expect((await failing(main.getStatus({}))).code).toBe(UNIMPLEMENTED);
    using keyring = grpcClient(KeyringService, admin, { key });
    expect((await failing(keyring.getMode({ owner: TEAM }))).code).toBe(UNIMPLEMENTED);
    using resolver = grpcClient(ResolveService, admin, { key: keyledger.keys.service_key });
    const resolving = resolver.resolve({ owner: TEAM, provider: "openai" });
    expect((await failing(resolving)).code).toBe(UNIMPLEMENTED);
    const edge = createConnectTransport({
      baseUrl: `http://${keyledger.http}`,
      httpVersion: "1.1",
    });
    const headers = { authorization: `Bearer ${key}` };
    await expect(createClient(AdminService, edge).getStatus({}, { headers })).rejects.toThrow(
      "unimplemented",
    );
  });

  it("tells with --reflection what each listener serves", async () => {
    expect(await servicesOf(keyledger.grpc)).toStrictEqual([
      "grpc.health.v1.Health",
      "keyledger.v1.AuditService",
      "keyledger.v1.KeyringService",
      "keyledger.v1.ResolveService",
    ]);
    expect(await servicesOf(admin)).toStrictEqual([
      "grpc.health.v1.Health",
      "keyledger.v1.AdminService",
    ]);
  });

  it("refuses BYOK with --byok-default=off, but to owners whom an operator lets", async () => {
    using operator = grpcClient(AdminService, admin, { key: keyledger.keys.operator_key });
    const keyOf = async (id: string) => {
      const owner = { kind: OwnerKind.TEAM, id };
      const { text } = await operator.issueApiKey({ role: Role.TEAM_ADMIN, owner, label: id });
      return Buffer.from(text).toString("utf8");
    };
    const status = async (key: string) => {
      const url = `http://${keyledger.http}/api/v1/byok/providers`;
      return (await fetch(url, { headers: { "x-api-key": key } })).status;
    };
    const [without, allowed] = await Promise.all(["without", "allowed"].map(keyOf));
    using keyring = grpcClient(KeyringService, keyledger.grpc);
    await operator.setEntitlement({
      owner: { kind: OwnerKind.TEAM, id: "allowed" },
      byok: Entitlement.ON,
    });
    const refused = await failing(keyring.listKeys({}, { key: without }));
    expect(refused.reason).toBe("BYOK_NOT_ENABLED");
    expect(await status(without ?? "")).toBe(403);
    expect((await keyring.listKeys({}, { key: allowed })).totalCount).toBe(0);
    expect(await status(allowed ?? "")).toBe(200);
  });

  it("keeps its keys where --kek-file says, for nobody else to read, and nowhere else", () => {
    expect(statSync(kekFile).mode & 0o777).toBe(0o600);
    expect(existsSync(join(keyledger.dataDirectory, "keys"))).toBe(false);
    expect(keyledger.output()).not.toContain("The key file lies in the data directory");
  });
});

describe("a key file outside of the data directory", () => {
  it("is needed again at the next start, and never made anew", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "elsewhere.keys");
    const secret = Buffer.from("mistral-key-0123456789abcdef");
    {
      await using keyledger = await startKeyledger(directory.path, [
        "--probe=off",
        `--kek-file=${file}`,
      ]);
      using keyring = grpcClient(KeyringService, keyledger.grpc, { key: keyledger.keys.team_key });
      await keyring.createKey({ provider: "mistral", secret });
      await keyledger.end();
    }
    for (const elsewhere of [[`--kek-file=${file}.lost`], []]) {
      await using refused = launchKeyledger(directory.path, ["--probe=off", ...elsewhere]);
      expect((await refused.ended).code).toBe(1);
      expect(refused.output()).toMatch(/keyledger: .*keys.*(missing|not there|no such)/i);
    }
    expect(existsSync(`${file}.lost`)).toBe(false);
    expect(existsSync(join(directory.path, "data", "keys"))).toBe(false);

    await using keyledger = await startKeyledger(directory.path, [
      "--probe=off",
      `--kek-file=${file}`,
    ]);
    using resolver = grpcClient(ResolveService, keyledger.grpc, {
      key: keyledger.keys.service_key,
    });
    const { material } = await resolver.resolve({
      owner: TEAM,
      provider: "mistral",
      policy: ResolvePolicy.OWN_KEYS_FIRST,
    });
    expect(Buffer.from(material)).toStrictEqual(secret);
  });
});

describe("a setting", () => {
  it("comes from the flag, else the environment, else the file of --config", async () => {
    await using directory = await temporaryDirectory();
    await using providers = await startFakeProviders();
    const file = join(directory.path, "settings.json");
    writeFileSync(
      file,
      JSON.stringify({
        "on-rejected": "store",
        "on-indeterminate": "store",
        reflection: true,
        "insecure-dev": true,
        "probe-endpoint": providers.providers.map((name) => `${name}=${providers.url(name)}`),
      }),
    );
    await using keyledger = await startKeyledger(
      directory.path,
      [`--config=${file}`, "--reflection=off"],
      { env: { KEYLEDGER_REFLECTION: "on", KEYLEDGER_ON_INDETERMINATE: "reject" } },
    );
    // The flag, over the environment and the file.
    expect(await servicesOf(keyledger.grpc)).toBe("Unimplemented UNIMPLEMENTED");

    using keyring = grpcClient(KeyringService, keyledger.grpc, { key: keyledger.keys.team_key });
    const store = (secret: string) =>
      keyring.upsertKey({ provider: "openai", secret: Buffer.from(secret) });
    // The file, over the default: a key that its provider refuses is stored all the same.
    const { key } = await store("sk-fake-revoked.0123456789abcdef");
    expect(key).toMatchObject({ provider: "openai", isValidated: false });
    // The environment, over the file: one that it says nothing of is not.
    const refused = await failing(store("sk-fake-garbled.0123456789abcdef"));
    expect(refused.reason).toBe("PROBE_INDETERMINATE");
    expect((await keyring.listKeys({})).keys.map(({ label }) => label)).toStrictEqual([key?.label]);
    expect(providers.requests.length).toBeGreaterThanOrEqual(2);
  });
});

describe("the access log", () => {
  it("loses whole old segments with --access-retention, and none without", async () => {
    await using directory = await temporaryDirectory();
    const dataDirectory = join(directory.path, "data");
    const args = ["--probe=off"];
    {
      await using first = await startKeyledger(directory.path, args);
      await first.end();
    }
    // Two days ago somebody resolved a key, and somebody did just now: each in a segment of its own.
    const now = new Date();
    const old = new Date(now.getTime() - 48 * 60 * 60 * 1_000);
    for (const time of [old, now]) await recordAccess(dataDirectory, time.toISOString());
    const segments = () => readdirSync(join(dataDirectory, "access")).length;
    expect(segments()).toBe(2);

    const times = async (...more: string[]): Promise<readonly string[]> => {
      await using keyledger = await startKeyledger(directory.path, [...args, ...more]);
      if (more.length > 0) await expect.poll(segments, { timeout: 10_000 }).toBe(1);
      using operator = grpcClient(AdminService, keyledger.grpc, {
        key: keyledger.keys.operator_key,
      });
      const { text } = await operator.issueApiKey({ role: Role.AUDITOR, label: "auditor" });
      const key = Buffer.from(text).toString("utf8");
      using audit = grpcClient(AuditService, keyledger.grpc, { key });
      const { records } = await audit.listRecords({ feed: Feed.ACCESS });
      await keyledger.end();
      return records.map(({ time }) =>
        new Date(Number(time?.seconds) * 1_000).toISOString().slice(0, 10),
      );
    };
    const [before, today] = [old, now].map((time) => time.toISOString().slice(0, 10));
    expect(await times()).toStrictEqual([before, today]);
    expect(await times("--access-retention=24h")).toStrictEqual([today]);
  });
});

/** What a Resolve leaves, as if it had come at that time. */
async function recordAccess(directory: string, time: Instant): Promise<void> {
  const host: Host = nodeHost();
  await using embedded = await openEmbedded({
    directory,
    host: { ...host, clock: { ...host.clock, now: () => time } },
  });
  const { accessLog } = embedded;
  await accessLog.append({
    id: randomUUID(),
    type: "AccessRefused",
    data: '{"provider":"openai","reason":"no-key"}',
    metadata: {
      requestId: "r",
      actor: "caller.018f4b1e-0000-7000-8000-000000000000",
      actorType: "service",
      owner: "team.default",
      time,
      schemaVersion: "1",
      $correlationId: "c",
      $causationId: "c",
    },
  });
}
