import { readFile } from "node:fs/promises";
import { join } from "node:path";
import {
  type AuditRecord,
  AuditService,
  Feed,
  KeyringService,
  Mode,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
  Source,
} from "@keyledger/contracts";
import { CHAIN_START, linkHash } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { startFakeProviders } from "../support/fake-providers.ts";
import { grpcClient } from "../support/grpc-client.ts";
import { startKeyledger, temporaryDirectory } from "../support/keyledger-process.ts";

const team = { kind: OwnerKind.TEAM, id: "default" };
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString("utf8");

/** One REST request of the team's admin. */
async function rest(
  http: string,
  key: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown>; headers: Headers }> {
  const response = await fetch(`http://${http}${path}`, {
    method,
    headers: { "x-api-key": key, ...(body && { "content-type": "application/json" }) },
    ...(body && { body: JSON.stringify(body) }),
  });
  return {
    status: response.status,
    body: (await response.json()) as Record<string, unknown>,
    headers: response.headers,
  };
}

/** Every record of a feed, read page by page. */
async function everyRecord(grpc: string, key: string, feed: Feed): Promise<AuditRecord[]> {
  using audit = grpcClient(AuditService, grpc, { key });
  const records: AuditRecord[] = [];
  for (let pageToken = ""; ; ) {
    const page = await audit.listRecords({ feed, pageSize: 3, pageToken });
    records.push(...page.records);
    pageToken = page.nextPageToken;
    if (pageToken === "") return records;
  }
}

/** The chain of every stream in a list of records, link by link, from the digests alone. */
function brokenLinks(records: readonly AuditRecord[]): readonly string[] {
  const { crypto } = nodeHost();
  const last = new Map<string, { hash: string; revision: number }>();
  return records.flatMap((record) => {
    const before = last.get(record.stream) ?? { hash: CHAIN_START, revision: -1 };
    const revision = Number(record.revision);
    const hash = linkHash(crypto, {
      prevHash: before.hash,
      stream: record.stream,
      revision,
      id: record.eventId,
      type: record.type,
      dataDigest: record.dataDigest,
      metadataDigest: record.metadataDigest,
    });
    last.set(record.stream, { hash: record.hash, revision });
    const isWhole =
      hash === record.hash && record.prevHash === before.hash && revision === before.revision + 1;
    return isWhole ? [] : [`${record.stream}@${revision}`];
  });
}

describe("a team's first day", () => {
  it("stores, lists, switches, resolves, deletes, falls back and reads it all in the audit log, across a restart", async () => {
    await using directory = await temporaryDirectory();
    await using providers = await startFakeProviders();
    const args = ["--insecure-dev", `--probe-endpoint=openai=${providers.url("openai")}`];
    const secret = "sk-fake-ok.0123456789abcdef";

    {
      await using keyledger = await startKeyledger(directory.path, args);
      const { http, grpc, keys } = keyledger;
      using resolver = grpcClient(ResolveService, grpc, { key: keys.service_key });

      const stored = await rest(http, keys.team_key, "PATCH", "/api/v1/byok/providers/openai", {
        api_key: secret,
        display_name: "production",
      });
      expect(stored.status).toBe(200);
      expect(stored.body).toMatchObject({
        provider_key: { provider: "openai", display_name: "production", is_validated: true },
        validation: { valid: true },
      });

      const refused = await rest(http, keys.team_key, "PATCH", "/api/v1/byok/providers/openai", {
        api_key: "sk-fake-revoked.0123456789",
      });
      expect(refused.status).toBe(400);
      expect(refused.body).toMatchObject({ detail: "key_rejected" });

      const listed = await rest(http, keys.team_key, "GET", "/api/v1/byok/providers");
      expect(listed.body).toMatchObject({ count: 1, configured_keys: 1, mode: "neo" });

      const beforeMode = await resolver.resolve({ owner: team, provider: "openai" });
      expect(beforeMode).toMatchObject({ source: Source.NEO, reason: "MODE_NEO" });
      expect(beforeMode.material).toHaveLength(0);

      const switched = await rest(http, keys.team_key, "PATCH", "/api/v1/byok/mode", {
        mode: "byok",
      });
      expect(switched.body).toMatchObject({
        mode: "byok",
        resource_type: "team",
        resource_id: "default",
      });

      const resolved = await resolver.resolve({ owner: team, provider: "openai", model: "gpt-5" });
      expect(resolved).toMatchObject({ source: Source.BYOK, reason: "FIRST_CANDIDATE" });
      expect(text(resolved.material)).toBe(secret);

      expect(await keyledger.end("SIGTERM")).toStrictEqual({ code: 0, signal: null });
    }

    await using keyledger = await startKeyledger(directory.path, args);
    const { http, grpc, keys } = keyledger;
    using resolver = grpcClient(ResolveService, grpc, { key: keys.service_key });
    using keyring = grpcClient(KeyringService, grpc, { key: keys.team_key });

    const again = await resolver.resolve({ owner: team, provider: "openai" });
    expect(text(again.material)).toBe(secret);

    const deleted = await rest(http, keys.team_key, "DELETE", "/api/v1/byok/providers/openai");
    expect(deleted.body).toStrictEqual({
      auto_switched: true,
      deleted: true,
      provider: "openai",
      remaining_keys: 0,
    });
    expect(await keyring.getMode({})).toMatchObject({ mode: Mode.NEO, configuredKeys: 0 });
    const platform = await resolver.resolve({
      owner: team,
      provider: "openai",
      policy: ResolvePolicy.OWN_KEYS_FIRST,
    });
    expect(platform.source).toBe(Source.NEO);

    await expect
      .poll(
        async () => (await everyRecord(grpc, keys.team_key, Feed.CHANGES)).map(({ type }) => type),
        {
          timeout: 10_000,
        },
      )
      .toStrictEqual([
        "ApiKeyIssued",
        "KeyAdded",
        "KeyProbed",
        "ModeSet",
        "KeyDeleted",
        "ModeSet",
        "SecretShredded",
      ]);
    const changes = await everyRecord(grpc, keys.team_key, Feed.CHANGES);
    expect(brokenLinks(changes)).toStrictEqual([]);

    const accesses = await everyRecord(grpc, keys.team_key, Feed.ACCESS);
    expect(accesses.map(({ type }) => type)).toStrictEqual([
      "AccessGranted",
      "AccessGranted",
      "AccessGranted",
      "AccessGranted",
    ]);
    expect(accesses.map(({ dataJson }) => JSON.parse(dataJson).source)).toStrictEqual([
      "neo",
      "byok",
      "byok",
      "neo",
    ]);

    const jsonl = async (name: string) =>
      (await readFile(join(keyledger.dataDirectory, "audit", `${name}.jsonl`), "utf8"))
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
    await expect
      .poll(async () => (await jsonl("changes")).at(-1)?.type, { timeout: 10_000 })
      .toBe("SecretShredded");
    await expect.poll(async () => (await jsonl("access")).length, { timeout: 10_000 }).toBe(4);
  }, 60_000);
});
