import { randomUUID } from "node:crypto";
import {
  AdminService,
  AuditService,
  Entitlement,
  Feed,
  KeyringService,
  Mode,
  OwnerKind,
  ResolveService,
  Role,
} from "@keyledger/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Failure, failing, failureOf, grpcClient } from "../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";

/** The table of who may call what, written down a second time: the one in the code must agree with it. */
const WRITES = ["upsertKey", "createKey", "updateKey", "deleteKey", "setMode", "probeKey"] as const;
const READS = ["getKey", "listKeys", "getMode"] as const;
const AUDIT = ["listRecords", "followRecords"] as const;
const ADMIN = [
  "issueApiKey",
  "listApiKeys",
  "revokeApiKey",
  "setEntitlement",
  "getStatus",
] as const;
const METHODS = [...WRITES, ...READS, "resolve", ...AUDIT, ...ADMIN] as const;
type Method = (typeof METHODS)[number];

const OWNERS = {
  user: { kind: OwnerKind.USER, id: "u-1" },
  "team-admin": { kind: OwnerKind.TEAM, id: "default" },
  "team-member": { kind: OwnerKind.TEAM, id: "default" },
  "team-viewer": { kind: OwnerKind.TEAM, id: "default" },
  "organization-admin": { kind: OwnerKind.ORGANIZATION, id: "o-1" },
} as const;
const BOUND = ["user", "team-admin", "organization-admin"] as const;
const ROLES = [...Object.keys(OWNERS), "service", "auditor", "operator"] as const;

/** Exists, and is nobody's of the callers above. */
const FOREIGN = { kind: OwnerKind.TEAM, id: "foreign" };
const ABSENT = { kind: OwnerKind.TEAM, id: "absent" };
const VARIANTS = ["none", "own", "foreign", "absent"] as const;
type Variant = (typeof VARIANTS)[number];

const takesOwner = (method: Method): boolean =>
  !["issueApiKey", "listApiKeys", "revokeApiKey", "getStatus"].includes(method);

function expected(method: Method, role: string, variant: Variant): string {
  const isIn = (list: readonly string[]) => list.includes(method);
  const isBound = (BOUND as readonly string[]).includes(role);
  const isOwners = isIn(WRITES) || isIn(READS);
  const may =
    (isBound && (isOwners || isIn(AUDIT))) ||
    (role === "service" && (isIn(READS) || method === "resolve")) ||
    (role === "auditor" && isIn(AUDIT)) ||
    (role === "operator" && (isOwners || isIn(ADMIN)));
  if (!may) return "ROLE_NOT_ALLOWED";
  if (!takesOwner(method)) return "allowed";
  if (isBound) return variant === "none" || variant === "own" ? "allowed" : "OWNER_NOT_FOUND";
  if (variant === "none" && !isIn(AUDIT)) return "OWNER_REQUIRED";
  return "allowed";
}

describe("authorization over gRPC", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let keyledger: KeyledgerProcess;
  const keys = new Map<string, string>();

  beforeAll(async () => {
    directory = await temporaryDirectory();
    keyledger = await startKeyledger(directory.path);
    using admin = grpcClient(AdminService, keyledger.grpc, { key: keyledger.keys.operator_key });
    const issue = async (name: string, role: Role, owner?: { kind: OwnerKind; id: string }) => {
      const { text } = await admin.issueApiKey({ role, ...(owner && { owner }), label: name });
      keys.set(name, Buffer.from(text).toString("utf8"));
    };
    await issue("user", Role.USER, OWNERS.user);
    await issue("team-admin", Role.TEAM_ADMIN, OWNERS["team-admin"]);
    await issue("team-member", Role.TEAM_MEMBER, OWNERS["team-member"]);
    await issue("team-viewer", Role.TEAM_VIEWER, OWNERS["team-viewer"]);
    await issue("organization-admin", Role.ORGANIZATION_ADMIN, OWNERS["organization-admin"]);
    await issue("service", Role.SERVICE);
    await issue("auditor", Role.AUDITOR);
    await issue("operator", Role.OPERATOR);
    using keyring = grpcClient(KeyringService, keyledger.grpc, {
      key: keyledger.keys.operator_key,
    });
    await keyring.upsertKey({
      owner: FOREIGN,
      provider: "openai",
      secret: Buffer.from("sk-foreign-key-1234"),
    });
  }, 60_000);

  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  /** One call; what it says is compared, and whether it got past the door. */
  async function call(
    method: Method,
    key: string | undefined,
    owner: object | undefined,
  ): Promise<Failure | "answered"> {
    const settings = { key, timeoutMs: 10_000 };
    using keyring = grpcClient(KeyringService, keyledger.grpc, settings);
    using resolver = grpcClient(ResolveService, keyledger.grpc, settings);
    using audit = grpcClient(AuditService, keyledger.grpc, settings);
    using admin = grpcClient(AdminService, keyledger.grpc, settings);
    const named = owner ? { owner } : {};
    const secret = Buffer.from("sk-a-credential-of-nobody");
    const keyId = "018f0000-0000-7000-8000-000000000000";
    const calls: Record<Method, () => Promise<unknown>> = {
      upsertKey: () => keyring.upsertKey({ ...named, provider: "mistral", secret }),
      createKey: () => keyring.createKey({ ...named, provider: "mistral", secret }),
      updateKey: () => keyring.updateKey({ ...named, keyId, disabled: true } as never),
      deleteKey: () => keyring.deleteKey({ ...named, target: { case: "keyId", value: keyId } }),
      setMode: () => keyring.setMode({ ...named, mode: Mode.NEO }),
      probeKey: () => keyring.probeKey({ ...named, provider: "mistral", secret }),
      getKey: () => keyring.getKey({ ...named, keyId }),
      listKeys: () => keyring.listKeys(named),
      getMode: () => keyring.getMode(named),
      resolve: () => resolver.resolve({ ...named, provider: "openai" }),
      listRecords: () => audit.listRecords({ ...named, feed: Feed.CHANGES }),
      followRecords: () =>
        new Promise((resolve, reject) => {
          const stream = audit.followRecords({ ...named, feed: Feed.CHANGES });
          stream.on("error", reject);
          stream.once("data", (message) => {
            stream.cancel();
            resolve(message);
          });
        }),
      issueApiKey: () => admin.issueApiKey({ role: Role.SERVICE, label: "x" }),
      listApiKeys: () => admin.listApiKeys({}),
      revokeApiKey: () => admin.revokeApiKey({ callerKeyId: keyId }),
      setEntitlement: () => admin.setEntitlement({ ...named, byok: Entitlement.ON }),
      getStatus: () => admin.getStatus({}),
    };
    // Awaited here: the clients close when this function ends.
    return await calls[method]().then(
      () => "answered" as const,
      (error: unknown) => failureOf(error),
    );
  }

  const DOOR = new Set([
    "UNAUTHENTICATED",
    "ROLE_NOT_ALLOWED",
    "OWNER_REQUIRED",
    "OWNER_NOT_FOUND",
    "BYOK_NOT_ENABLED",
  ]);
  const outcomeOf = (result: Failure | "answered"): string =>
    result !== "answered" && DOOR.has(result.reason) ? result.reason : "allowed";
  const named = (role: string, variant: Variant): object | undefined =>
    ({
      none: undefined,
      own: OWNERS[role as keyof typeof OWNERS] ?? FOREIGN,
      foreign: FOREIGN,
      absent: ABSENT,
    })[variant];

  it.for(METHODS)("%s answers every role and owner as the table says", async (method) => {
    const seen: Record<string, string> = {};
    const wanted: Record<string, string> = {};
    for (const role of ROLES) {
      for (const variant of VARIANTS) {
        const result = await call(method, keys.get(role), named(role, variant));
        seen[`${role} ${variant}`] = outcomeOf(result);
        wanted[`${role} ${variant}`] = expected(method, role, variant);
      }
    }
    expect(seen).toStrictEqual(wanted);
  });

  it.for(METHODS)("%s needs credentials", async (method) => {
    const wrong = `${keys.get("service")?.slice(0, -4)}0000`;
    for (const key of [undefined, "neo_sk_", wrong, randomUUID()]) {
      expect(await call(method, key, FOREIGN)).toMatchObject({
        code: 16,
        reason: "UNAUTHENTICATED",
      });
    }
  });

  it("says the same of a foreign and of an absent owner, to the letter", async () => {
    for (const method of [...WRITES, ...READS, ...AUDIT]) {
      const foreign = await call(method, keys.get("user"), FOREIGN);
      const absent = await call(method, keys.get("user"), ABSENT);
      expect(foreign).toStrictEqual(absent);
    }
  });

  it("refuses owners whose gate is off before it looks at the role, and lets services see the effective mode", async () => {
    using admin = grpcClient(AdminService, keyledger.grpc, { key: keyledger.keys.operator_key });
    const owner = { kind: OwnerKind.TEAM, id: "gated" };
    const keyOf = async (role: Role) =>
      Buffer.from((await admin.issueApiKey({ role, owner, label: "g" })).text).toString("utf8");
    const [teamAdmin, member] = [await keyOf(Role.TEAM_ADMIN), await keyOf(Role.TEAM_MEMBER)];
    using keyring = grpcClient(KeyringService, keyledger.grpc, { key: teamAdmin });
    await keyring.upsertKey({ provider: "mistral", secret: Buffer.from("m-0123456789abcdef") });
    await keyring.setMode({ mode: Mode.BYOK });
    await admin.setEntitlement({ owner, byok: Entitlement.OFF });

    for (const key of [teamAdmin, member]) {
      expect(await call("listKeys", key, undefined)).toMatchObject({
        code: 7,
        reason: "BYOK_NOT_ENABLED",
      });
    }
    using service = grpcClient(KeyringService, keyledger.grpc, { key: keyledger.keys.service_key });
    expect(await service.getMode({ owner })).toMatchObject({
      mode: Mode.BYOK,
      effectiveMode: Mode.NEO,
      configuredKeys: 1,
    });
    using resolver = grpcClient(ResolveService, keyledger.grpc, {
      key: keyledger.keys.service_key,
    });
    const answer = await resolver.resolve({ owner, provider: "mistral" });
    expect(answer).toMatchObject({ reason: "GATE_OFF", keyId: "" });
    expect(answer.material).toHaveLength(0);

    await admin.setEntitlement({ owner, byok: Entitlement.ON });
    expect((await resolver.resolve({ owner, provider: "mistral" })).material).not.toHaveLength(0);
  });

  it("refuses a revoked caller key from the answer on", async () => {
    using admin = grpcClient(AdminService, keyledger.grpc, { key: keyledger.keys.operator_key });
    const issued = await admin.issueApiKey({ role: Role.AUDITOR, label: "short-lived" });
    const key = Buffer.from(issued.text).toString("utf8");
    expect(await call("listRecords", key, undefined)).toBe("answered");
    await admin.revokeApiKey({ callerKeyId: issued.apiKey?.callerKeyId ?? "" });
    expect(await call("listRecords", key, undefined)).toMatchObject({ reason: "UNAUTHENTICATED" });
  });

  it("shows a caller key's text once", async () => {
    using admin = grpcClient(AdminService, keyledger.grpc, { key: keyledger.keys.operator_key });
    const request = { role: Role.SERVICE, label: "once", requestId: randomUUID() };
    const first = await admin.issueApiKey(request);
    const repeat = await admin.issueApiKey(request);
    expect(first.text).not.toHaveLength(0);
    expect(repeat.text).toHaveLength(0);
    expect(repeat.apiKey).toStrictEqual(first.apiKey);
  });

  it("keeps the request ids of keyrings and of each caller key apart", async () => {
    using admin = grpcClient(AdminService, keyledger.grpc, { key: keyledger.keys.operator_key });
    const owner = { kind: OwnerKind.TEAM, id: "apart" };
    const issue = (label: string) => admin.issueApiKey({ role: Role.TEAM_ADMIN, owner, label });
    const ids = [(await issue("a")).apiKey, (await issue("b")).apiKey].map(
      (apiKey) => apiKey?.callerKeyId ?? "",
    );
    const requestId = "one-id-for-all";
    for (const callerKeyId of ids) {
      const { apiKey } = await admin.revokeApiKey({ callerKeyId, requestId });
      expect(apiKey?.revokedAt).toBeDefined();
    }
    await admin.issueApiKey({ role: Role.TEAM_ADMIN, owner, label: "c", requestId });
    await admin.setEntitlement({ owner, byok: Entitlement.ON, requestId });
  });

  it("leaves a record of every Resolve by a known caller, whatever became of it", async () => {
    const reasons = async () => {
      using audit = grpcClient(AuditService, keyledger.grpc, { key: keys.get("auditor") });
      const { records } = await audit.listRecords({ feed: Feed.ACCESS, pageSize: 500 });
      return records.map(({ dataJson }) => JSON.parse(dataJson).reason as string);
    };
    const before = (await reasons()).length;
    await call("resolve", keys.get("team-admin"), undefined);
    await call("resolve", keys.get("service"), undefined);
    await call("resolve", keys.get("service"), FOREIGN);
    using resolver = grpcClient(ResolveService, keyledger.grpc, { key: keys.get("service") });
    await failing(resolver.resolve({ owner: FOREIGN, provider: "openai", purpose: "Not OK" }));
    await call("resolve", undefined, FOREIGN);
    expect((await reasons()).slice(before)).toStrictEqual([
      "ROLE_NOT_ALLOWED",
      "OWNER_REQUIRED",
      "MODE_NEO",
      "INVALID_FIELDS",
    ]);
  });

  it("lists keys with the longest allow-lists page by page", async () => {
    const owner = { kind: OwnerKind.TEAM, id: "long-lists" };
    using keyring = grpcClient(KeyringService, keyledger.grpc, {
      key: keyledger.keys.operator_key,
    });
    const list = { values: Array.from({ length: 100 }, (_, index) => `${index}`.padEnd(255, "ä")) };
    for (let count = 0; count < 12; count++) {
      await keyring.createKey({
        owner,
        provider: "mistral",
        secret: Buffer.from(`m-0123456789abcdef-${count}`),
        allowedModels: list,
        allowedUsers: list,
      });
    }
    const ids = new Set<string>();
    for (let offset = 0; offset < 12; ) {
      const page = await keyring.listKeys({ owner, offset, limit: 500 });
      expect(page.totalCount).toBe(12);
      for (const { keyId } of page.keys) ids.add(keyId);
      offset += page.keys.length;
      expect(page.keys.length).toBeGreaterThan(0);
    }
    expect(ids.size).toBe(12);
  });
});
