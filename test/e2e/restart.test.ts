import { generateKeyPairSync } from "node:crypto";
import {
  AdminService,
  type AuditRecord,
  Entitlement,
  Feed,
  KeyringService,
  Mode,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
  Role,
} from "@keyledger/contracts";
import { expect, it } from "vitest";
import { brokenLinks, readFeed } from "../support/audit-feed.ts";
import { failing, grpcClient } from "../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { patiently } from "../support/patiently.ts";

const team = { kind: OwnerKind.TEAM, id: "default" };
const user = { kind: OwnerKind.USER, id: "u-1" };
const organization = { kind: OwnerKind.ORGANIZATION, id: "o-1" };
const SIGNALS = ["SIGTERM", "SIGKILL"] as const;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

/** Every service, as the three first callers reach it. */
function clientsOf({ grpc, keys }: KeyledgerProcess) {
  const own = grpcClient(KeyringService, grpc, { key: keys.team_key });
  const operator = grpcClient(KeyringService, grpc, { key: keys.operator_key });
  const resolver = grpcClient(ResolveService, grpc, { key: keys.service_key });
  const admin = grpcClient(AdminService, grpc, { key: keys.operator_key });
  const all = { own, operator, resolver, admin };
  return {
    ...all,
    [Symbol.dispose]: () => {
      for (const client of Object.values(all)) client[Symbol.dispose]();
    },
  };
}

/** What people and gateways see of it all. */
async function shown(keyledger: KeyledgerProcess) {
  using clients = clientsOf(keyledger);
  const { own, operator, resolver, admin } = clients;
  const resolve = async (
    owner: typeof team | typeof user,
    provider: string,
    skipKeyIds: string[] = [],
  ) => {
    const policy = ResolvePolicy.OWN_KEYS_FIRST;
    const answer = await patiently(() => resolver.resolve({ owner, provider, policy, skipKeyIds }));
    return { ...answer, material: text(answer.material) };
  };
  const first = await resolve(team, "openai");
  return {
    keys: await own.listKeys({ limit: 500 }),
    usersKeys: await operator.listKeys({ owner: user }),
    mode: await own.getMode({}),
    first,
    second: await resolve(team, "openai", [first.keyId]),
    users: await resolve(user, "google-vertex"),
    callers: await admin.listApiKeys({ includeEnded: true }),
  };
}

it("everything outlives SIGTERM and SIGKILL: keys, modes, callers, material, positions and the order of events", async () => {
  await using directory = await temporaryDirectory();
  const serviceAccount = JSON.stringify({
    type: "service_account",
    project_id: "a-project",
    private_key_id: "0123456789abcdef",
    private_key: generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey.export({
      type: "pkcs8",
      format: "pem",
    }),
    client_email: "a@a-project.iam.gserviceaccount.com",
  });
  let before: Awaited<ReturnType<typeof shown>>;
  let revoked: string;
  let issued: string;
  const repeats = new Map<string, unknown>();
  let positions: readonly string[];
  let changes: readonly AuditRecord[];

  /** Requests whose repeat must be answered like the first time, each in a life of its own or later. */
  const repeatable = {
    upsert: ({ own }: ReturnType<typeof clientsOf>) =>
      own.upsertKey({
        provider: "openai",
        secret: Buffer.from("sk-restart-upsert-0123456789"),
        name: "first",
        requestId: "req-upsert",
        expectedRevision: { expected: { case: "none", value: true } },
      }),
    create: ({ own }: ReturnType<typeof clientsOf>) =>
      own.createKey({
        provider: "openai",
        secret: Buffer.from("sk-restart-create-0123456789"),
        allowedModels: { values: ["gpt-5"] },
        fallback: true,
        requestId: "req-create",
        expectedRevision: { expected: { case: "revision", value: 0n } },
      }),
    remove: ({ own }: ReturnType<typeof clientsOf>) =>
      own.deleteKey({
        target: { case: "soleKeyOfProvider", value: "mistral" },
        requestId: "req-delete",
      }),
    mode: ({ own }: ReturnType<typeof clientsOf>) =>
      own.setMode({ mode: Mode.BYOK, requestId: "req-mode" }),
    entitle: ({ admin }: ReturnType<typeof clientsOf>) =>
      admin.setEntitlement({
        owner: organization,
        byok: Entitlement.OFF,
        requestId: "req-entitle",
      }),
  } as const;

  {
    await using keyledger = await startKeyledger(directory.path);
    using clients = clientsOf(keyledger);
    const { own, operator, admin } = clients;
    for (const name of ["upsert", "create"] as const)
      repeats.set(name, await repeatable[name](clients));
    await own.upsertKey({ provider: "mistral", secret: Buffer.from("mistral-key-01234567") });
    for (const name of ["mode", "remove", "entitle"] as const)
      repeats.set(name, await repeatable[name](clients));
    await operator.upsertKey({
      owner: user,
      provider: "google-vertex",
      secret: Buffer.from(serviceAccount),
    });
    await operator.setMode({ owner: user, mode: Mode.BYOK });
    // No model is asked for below, so the key that is bound to one must be free to serve.
    const created = repeats.get("create") as { key: { keyId: string } };
    await own.updateKey({ keyId: created.key.keyId, allowedModels: { values: [] } });

    const auditor = await admin.issueApiKey({ role: Role.AUDITOR, label: "an auditor" });
    issued = text(auditor.text);
    const late = await admin.issueApiKey({ role: Role.TEAM_ADMIN, owner: team, label: "gone" });
    revoked = text(late.text);
    await admin.revokeApiKey({ callerKeyId: late.apiKey?.callerKeyId ?? "" });

    await expect
      .poll(async () => (await admin.getStatus({})).shredBacklog, { timeout: 5_000 })
      .toBe(0);
    before = await shown(keyledger);
    expect(before.users.material).toBe(serviceAccount);
    changes = (await readFeed(keyledger.grpc, issued, Feed.CHANGES)).records;
    positions = changes.map(({ position }) => position);
    expect(await keyledger.end(SIGNALS[0])).toStrictEqual({ code: 0, signal: null });
  }

  for (const [at, signal] of ([...SIGNALS, "SIGKILL"] as const).entries()) {
    await using keyledger = await startKeyledger(directory.path);
    using clients = clientsOf(keyledger);
    const { own, admin } = clients;

    expect(await shown(keyledger)).toStrictEqual(before);
    const feed = await readFeed(keyledger.grpc, issued, Feed.CHANGES);
    expect(feed.records).toStrictEqual(changes);
    const accesses = (await readFeed(keyledger.grpc, issued, Feed.ACCESS)).records;
    // Three releases each time all is shown: the first time, and once in each life so far.
    expect(accesses.length).toBeGreaterThanOrEqual(3 * (at + 2));
    expect(brokenLinks(accesses)).toStrictEqual([]);

    for (const [name, answer] of repeats)
      expect(await repeatable[name as keyof typeof repeatable](clients), name).toStrictEqual(
        answer,
      );
    expect(
      await failing(
        own.upsertKey({
          provider: "openai",
          secret: Buffer.from("x".repeat(20)),
          requestId: "req-upsert",
        }),
      ),
    ).toMatchObject({ reason: "IDEMPOTENCY_KEY_REUSED" });

    const stale = { expected: { case: "revision", value: 0n } } as const;
    const refusal = await failing(own.setMode({ mode: Mode.NEO, expectedRevision: stale }));
    expect(refusal).toMatchObject({ code: 10, reason: "REVISION_MISMATCH" });
    const { revision = -1n } = await own.getMode({});
    const current = { expected: { case: "revision", value: revision } } as const;
    expect((await own.setMode({ mode: Mode.BYOK, expectedRevision: current })).revision).toBe(
      revision,
    );

    expect(await failing(own.listKeys({}, { key: revoked }))).toMatchObject({ code: 16 });
    for (const minPosition of positions) await own.getMode({ minPosition });
    const middle = positions[positions.length >> 1] ?? "";
    const rest = await readFeed(keyledger.grpc, issued, Feed.CHANGES, middle);
    expect(rest.records.map(({ position }) => position)).toStrictEqual(
      positions.filter((position) => position > middle),
    );
    expect((await admin.getStatus({})).changesPosition).toBe(positions.at(-1));
    const ended = await keyledger.end(signal);
    expect(ended.signal).toBe(signal === "SIGKILL" ? signal : null);
  }
  console.log(
    `restart: ${changes.length} events, ${repeats.size} repeated requests and ${positions.length} positions held through 4 lives`,
  );
}, 60_000);

it("positions of another deployment, of another feed and ahead of the log are refused, after a restart too", async () => {
  await using here = await temporaryDirectory();
  await using elsewhere = await temporaryDirectory();
  const lastPosition = async (directory: string, writes: number) => {
    await using keyledger = await startKeyledger(directory);
    using clients = clientsOf(keyledger);
    let position = "";
    for (let write = 0; write < writes; write++) {
      const secret = Buffer.from(`sk-position-${write}-0123456789`);
      ({ position } = await clients.own.upsertKey({ provider: "openai", secret }));
    }
    await patiently(() => clients.resolver.resolve({ owner: team, provider: "openai" }));
    const { accessPosition } = await clients.admin.getStatus({});
    await keyledger.end();
    return { position, accessPosition };
  };
  const foreign = await lastPosition(elsewhere.path, 3);
  const own = await lastPosition(here.path, 2);

  await using keyledger = await startKeyledger(here.path);
  using clients = clientsOf(keyledger);
  const ahead = (BigInt(`0x${own.position}`) + 1_000n)
    .toString(16)
    .padStart(own.position.length, "0");
  const refused = {
    [foreign.position]: "is no position of this log",
    [own.accessPosition]: "is no position of this log",
    [ahead]: "lies ahead of this log",
    nonsense: "is no position of this log",
  };
  for (const [minPosition, description] of Object.entries(refused)) {
    for (const call of [
      clients.own.getMode({ minPosition }),
      clients.resolver.resolve({ owner: team, provider: "openai", minPosition }),
    ]) {
      const { code, violations } = await failing(call);
      expect({ code, violations }).toStrictEqual({
        code: 3,
        violations: [{ field: "min_position", description }],
      });
    }
  }
  for (const pageToken of [foreign.position, own.accessPosition, ahead]) {
    await expect(
      readFeed(keyledger.grpc, keyledger.keys.team_key, Feed.CHANGES, pageToken),
    ).rejects.toMatchObject({ code: 3 });
  }
  await clients.own.getMode({ minPosition: own.position });
}, 60_000);
