import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import {
  AdminService,
  AuditService,
  Feed,
  KeyringService,
  OwnerKind,
  Role,
} from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { readFeed } from "../support/audit-feed.ts";
import { failureOf, type GrpcClient, grpcClient } from "../support/grpc-client.ts";
import { healthClient } from "../support/health-client.ts";
import {
  type KeyledgerProcess,
  type LaunchedProcess,
  launchKeyledger,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { type PatientProvider, startPatientProvider } from "../support/patient-provider.ts";

const CLEAN = { code: 0, signal: null };
const WITHIN = { timeout: 5_000 };

const probing = ({ url }: PatientProvider): readonly string[] => [
  "--insecure-dev",
  `--probe-endpoint=openai=${url}`,
];

const upsert = {
  provider: "openai",
  secret: Buffer.from("sk-a-key-whose-probe-takes-long"),
  requestId: "slow",
};

/** Whether anybody takes connections there. */
const isOpen = (address: string): Promise<boolean> =>
  new Promise((resolve) => {
    const [host = "", port = ""] = address.split(":");
    const socket = connect({ host, port: Number(port) });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });

/** One REST request on a connection that is kept. */
const patch = (
  agent: Agent,
  { http, keys }: KeyledgerProcess,
  body: object,
): Promise<{ status: number; body: string }> =>
  new Promise((resolve, reject) => {
    const sent = request(
      `http://${http}/api/v1/byok/providers/openai`,
      {
        agent,
        method: "PATCH",
        headers: { "x-api-key": keys.team_key, "content-type": "application/json" },
      },
      (response) => {
        let text = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          text += chunk;
        });
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
      },
    );
    sent.on("error", reject);
    sent.end(JSON.stringify(body));
  });

describe("a process that is told to stop", () => {
  it("turns away what is new, finishes what is under way, ends streams and leaves with 0", async () => {
    await using directory = await temporaryDirectory();
    await using provider = await startPatientProvider();
    await using keyledger = await startKeyledger(directory.path, probing(provider));
    const { grpc, http, metrics, keys, readyFile } = keyledger;
    using keyring = grpcClient(KeyringService, grpc, { key: keys.team_key, timeoutMs: 15_000 });
    using audit = grpcClient(AuditService, grpc, { key: keys.team_key });
    using health = healthClient(grpc);
    using agent = disposable(new Agent({ keepAlive: true }));
    expect(await health.check("readiness")).toBe("SERVING");
    const watched = { readiness: health.watch("readiness"), all: health.watch("") };
    const following = [follow(audit), followOverHttp(keyledger)];
    for (const { items } of following) await expect.poll(() => items, WITHIN).toContain("caughtUp");

    const overGrpc = keyring.upsertKey(upsert);
    const overRest = patch(agent.it, keyledger, { api_key: "sk-another-slow-key-0123456789" });
    await expect.poll(() => provider.waiting(), WITHIN).toBe(2);
    expect(existsSync(readyFile)).toBe(true);
    const toldAtMs = performance.now();
    const ended = keyledger.end("SIGTERM");

    await expect
      .poll(() => watched.readiness.seen, WITHIN)
      .toStrictEqual(["SERVING", "NOT_SERVING"]);
    expect(watched.all.seen).toStrictEqual(["SERVING", "NOT_SERVING"]);
    for (const address of [grpc, http, metrics])
      await expect.poll(() => isOpen(address), WITHIN).toBe(false);
    for (const stream of following) await expect.poll(() => stream.end, WITHIN).toBe("ended");
    expect(existsSync(readyFile)).toBe(false);
    // Nobody gave up yet on the two that wait for the provider.
    expect(provider.waiting()).toBe(2);

    provider.answer();
    expect(await overGrpc).toMatchObject({ key: { provider: "openai", isValidated: true } });
    const answered = await overRest;
    expect(answered).toMatchObject({ status: 200 });
    expect(JSON.parse(answered.body)).toMatchObject({ validation: { valid: true } });
    expect(await ended).toStrictEqual(CLEAN);
    const tookMs = performance.now() - toldAtMs;
    // Long before anything would be cut off, whoever still watches.
    expect(tookMs).toBeLessThan(7_000);
    console.log(
      `drain: two slow writes, two health watches and two streams ended in ${tookMs.toFixed(0)} ms`,
    );

    await using again = await startKeyledger(directory.path);
    using later = grpcClient(KeyringService, again.grpc, { key: again.keys.team_key });
    expect((await later.listKeys({})).keys).toHaveLength(1);
  });

  it("is not cut off by the signal that npm sends a second time", async () => {
    await using directory = await temporaryDirectory();
    await using provider = await startPatientProvider();
    await using keyledger = await startKeyledger(directory.path, probing(provider));
    using keyring = grpcClient(KeyringService, keyledger.grpc, { key: keyledger.keys.team_key });
    const slow = keyring.upsertKey(upsert);
    await expect.poll(() => provider.waiting(), WITHIN).toBe(1);

    process.kill(keyledger.pid, "SIGINT");
    await expect.poll(() => keyledger.output(), WITHIN).toContain('"event":"stopping"');
    process.kill(keyledger.pid, "SIGINT");
    await expect.poll(() => isOpen(keyledger.grpc), WITHIN).toBe(false);
    provider.answer();
    expect((await slow).key?.isValidated).toBe(true);
    expect(await keyledger.ended).toStrictEqual(CLEAN);
  });

  it("ends at once for somebody who asks again a while later", async () => {
    await using directory = await temporaryDirectory();
    await using provider = await startPatientProvider();
    await using keyledger = await startKeyledger(directory.path, probing(provider));
    using keyring = grpcClient(KeyringService, keyledger.grpc, { key: keyledger.keys.team_key });
    const slow = keyring.upsertKey(upsert).catch((error: unknown) => failureOf(error).code);
    await expect.poll(() => provider.waiting(), WITHIN).toBe(1);
    process.kill(keyledger.pid, "SIGINT");
    const again = setInterval(() => process.kill(keyledger.pid, "SIGINT"), 300);
    const { code } = await keyledger.ended.finally(() => clearInterval(again));
    expect(code).toBe(130);
    expect(await slow).toBe(14);
  });

  it("leaves nobody without an answer whose write it took, under load", async () => {
    const rounds = 3;
    let answered = 0;
    let turnedAway: readonly string[] = [];
    await using directory = await temporaryDirectory();
    for (let round = 0; round < rounds; round++) {
      await using keyledger = await startKeyledger(directory.path);
      using keyring = grpcClient(KeyringService, keyledger.grpc, {
        key: keyledger.keys.operator_key,
      });
      const writer = async (at: number): Promise<string> => {
        for (;;) {
          const requestId = randomUUID();
          const owner = { kind: OwnerKind.TEAM, id: `t-${at}` };
          const secret = Buffer.from(`sk-under-load-${requestId}`);
          try {
            await keyring.upsertKey({ owner, provider: "openai", secret, requestId });
            answered++;
          } catch (error) {
            expect(failureOf(error).code).toBe(14);
            return requestId;
          }
        }
      };
      const writers = Promise.all(Array.from({ length: 8 }, (_, at) => writer(at)));
      const before = answered;
      await expect.poll(() => answered - before, WITHIN).toBeGreaterThan(40);
      expect(await keyledger.end("SIGTERM")).toStrictEqual(CLEAN);
      turnedAway = [...turnedAway, ...(await writers)];
    }
    await using keyledger = await startKeyledger(directory.path);
    const auditor = await issueAuditor(keyledger);
    const { records } = await readFeed(keyledger.grpc, auditor, Feed.CHANGES);
    const written = new Set(records.map(({ requestId }) => requestId));
    expect(written.size).toBeGreaterThan(answered);
    expect(turnedAway.filter((requestId) => written.has(requestId))).toStrictEqual([]);
    await keyledger.end();
    console.log(
      `drain: ${rounds} stops under 8 writers, ${answered} writes answered, ${turnedAway.length} turned away, none taken and not answered`,
    );
  }, 60_000);
});

describe("npm start", () => {
  const root = fileURLToPath(new URL("../../", import.meta.url));
  const command = ["npm", "start", "--silent", "--"] as const;
  const launch = (directory: string): LaunchedProcess =>
    launchKeyledger(directory, ["--probe=off"], {
      command: [...command],
      cwd: root,
      isGroupLeader: true,
    });
  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0);
    } catch {
      return false;
    }
  };

  it("drains on the Ctrl-C of a terminal, which reaches npm and the process at once", async () => {
    await using directory = await temporaryDirectory();
    await using npm = launch(directory.path);
    const { pid, grpc } = await npm.ready();
    process.kill(-npm.pid, "SIGINT");
    await npm.ended;
    expect(isAlive(pid)).toBe(false);
    expect(await isOpen(grpc)).toBe(false);
    expect(npm.output()).toContain('"event":"stopped","clean":true');
    expect(existsSync(npm.readyFile)).toBe(false);
  });

  it("drains on a SIGTERM that only npm gets, and leaves no orphan", async () => {
    await using directory = await temporaryDirectory();
    await using npm = launch(directory.path);
    const { pid, grpc } = await npm.ready();
    process.kill(npm.pid, "SIGTERM");
    await npm.ended;
    await expect.poll(() => isAlive(pid), WITHIN).toBe(false);
    expect(await isOpen(grpc)).toBe(false);
    expect(npm.output()).toContain('"event":"stopped","clean":true');
    expect(existsSync(npm.readyFile)).toBe(false);
  });
});

interface Following {
  readonly items: string[];
  /** `ended`, or what went wrong. */
  end: string | undefined;
}

function follow(audit: GrpcClient<typeof AuditService>): Following {
  const state: Following = { items: [], end: undefined };
  const stream = audit.followRecords({ feed: Feed.CHANGES });
  stream.on("data", ({ item }: { item: { case?: string } }) => state.items.push(item.case ?? ""));
  stream.on("end", () => {
    state.end ??= "ended";
  });
  stream.on("error", (error: Error) => {
    state.end = error.message;
  });
  return state;
}

function followOverHttp({ http, keys }: KeyledgerProcess): Following {
  const state: Following = { items: [], end: undefined };
  const transport = createConnectTransport({ baseUrl: `http://${http}`, httpVersion: "1.1" });
  const headers = { authorization: `Bearer ${keys.team_key}` };
  const read = async () => {
    const answers = createClient(AuditService, transport).followRecords(
      { feed: Feed.CHANGES },
      { headers },
    );
    for await (const { item } of answers) state.items.push(item.case ?? "");
  };
  void read().then(
    () => {
      state.end = "ended";
    },
    (error: unknown) => {
      state.end = String(error);
    },
  );
  return state;
}

const disposable = (it: Agent) => ({ it, [Symbol.dispose]: () => it.destroy() });

async function issueAuditor({ grpc, keys }: KeyledgerProcess): Promise<string> {
  using admin = grpcClient(AdminService, grpc, { key: keys.operator_key });
  const { text } = await admin.issueApiKey({ role: Role.AUDITOR, label: "drain test" });
  return Buffer.from(text).toString("utf8");
}
