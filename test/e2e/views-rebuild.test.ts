import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  AdminService,
  KeyringService,
  Mode,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
  Role,
} from "@keyledger/contracts";
import { expect, it } from "vitest";
import { dice } from "../support/dice.ts";
import { failing, grpcClient } from "../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { patiently } from "../support/patiently.ts";

const owners = Array.from({ length: 6 }, (_, at) => ({ kind: OwnerKind.TEAM, id: `t-${at}` }));

/** A history with everything that views show: several keys, rotations, deletions, modes, callers that came and went. */
async function makeHistory({ grpc, keys }: KeyledgerProcess): Promise<void> {
  using keyring = grpcClient(KeyringService, grpc, { key: keys.operator_key });
  using admin = grpcClient(AdminService, grpc, { key: keys.operator_key });
  const secretOf = (text: string) => Buffer.from(`sk-views-rebuild-${text}-0123456789`);
  for (const [at, owner] of owners.entries()) {
    for (const provider of ["openai", "anthropic", "mistral"]) {
      await keyring.upsertKey({ owner, provider, secret: secretOf(`${at}-${provider}`) });
    }
    const { key } = await keyring.createKey({
      owner,
      provider: "openai",
      secret: secretOf(`${at}-second`),
      name: `second of ${at}`,
      fallback: at % 2 === 0,
      allowedModels: { values: ["gpt-5"] },
    });
    await keyring.upsertKey({ owner, provider: "openai", secret: secretOf(`${at}-rotated`) });
    if (at % 3 === 0) await keyring.setMode({ owner, mode: Mode.BYOK });
    if (at % 4 === 0)
      await keyring.deleteKey({ owner, target: { case: "keyId", value: key?.keyId ?? "" } });
    const { apiKey } = await admin.issueApiKey({ role: Role.TEAM_ADMIN, owner, label: `a ${at}` });
    if (at % 2 === 0) await admin.revokeApiKey({ callerKeyId: apiKey?.callerKeyId ?? "" });
  }
  await expect
    .poll(async () => (await admin.getStatus({})).shredBacklog, { timeout: 5_000 })
    .toBe(0);
}

async function shown({ grpc, keys }: KeyledgerProcess) {
  using keyring = grpcClient(KeyringService, grpc, { key: keys.operator_key });
  using resolver = grpcClient(ResolveService, grpc, { key: keys.service_key });
  using admin = grpcClient(AdminService, grpc, { key: keys.operator_key });
  const policy = ResolvePolicy.OWN_KEYS_FIRST;
  const perOwner = owners.map(async (owner) => ({
    keys: await keyring.listKeys({ owner, limit: 500 }),
    mode: await keyring.getMode({ owner }),
    resolved: await patiently(() =>
      resolver.resolve({ owner, provider: "openai", policy, model: "gpt-5" }),
    ),
  }));
  const { changesPosition } = await admin.getStatus({});
  return {
    owners: await Promise.all(perOwner),
    callers: await admin.listApiKeys({ includeEnded: true, pageSize: 500 }),
    changesPosition,
  };
}

/** What befalls a file of views between two lives of the process. */
const mishaps: Readonly<Record<string, (file: string) => void>> = {
  "is gone, with what SQLite keeps beside it": (file) => {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${file}${suffix}`, { force: true });
  },
  "is empty": (file) => truncateSync(file, 0),
  "is cut in the middle": (file) => truncateSync(file, readFileSync(file).length >> 1),
  "is another kind of file": (file) => writeFileSync(file, "once upon a time ".repeat(1_000)),
  "has damaged pages": (file) => {
    const bytes = readFileSync(file);
    const chance = dice(4_711);
    for (let page = 1; page * 4_096 < bytes.length; page++) {
      for (let hit = 0; hit < 20; hit++)
        bytes[page * 4_096 + chance.below(4_096)] = chance.below(256);
    }
    writeFileSync(file, bytes);
  },
  "lacks a table": (file) => edit(file, "DROP TABLE keyrings"),
  "belongs to another deployment": (file) =>
    edit(file, "UPDATE checkpoint SET deployment_id = '018f0000-0000-7000-8000-000000000000'"),
  "is of another release": (file) => edit(file, "UPDATE checkpoint SET view_schema = 99"),
};

function edit(file: string, statement: string): void {
  using database = new DatabaseSync(file);
  database.exec(statement);
}

it("views that are lost, damaged or foreign are built again, and everybody gets the same answers", async () => {
  await using directory = await temporaryDirectory();
  const views = join(directory.path, "data", "views.db");
  const before = await (async () => {
    await using keyledger = await startKeyledger(directory.path);
    await makeHistory(keyledger);
    const answers = await shown(keyledger);
    expect(await keyledger.end()).toStrictEqual({ code: 0, signal: null });
    return answers;
  })();

  const startsMs: number[] = [];
  for (const [mishap, happen] of Object.entries(mishaps)) {
    happen(views);
    const startedAt = performance.now();
    await using keyledger = await startKeyledger(directory.path);
    startsMs.push(performance.now() - startedAt);
    expect(await shown(keyledger), `the file ${mishap}`).toStrictEqual(before);
    expect(await keyledger.end(), `the file ${mishap}`).toStrictEqual({ code: 0, signal: null });
    expect(existsSync(views)).toBe(true);
    const isFresh = mishap.startsWith("is gone") || mishap === "is empty";
    expect(keyledger.output().includes('"event":"views-rebuilt"'), mishap).toBe(!isFresh);
  }

  // Damage inside a row shows when the row is read. Whoever needs it is told so, and the next start mends it.
  edit(views, "UPDATE keyrings SET document = '{' WHERE owner = 'team.t-0'");
  {
    await using keyledger = await startKeyledger(directory.path);
    using keyring = grpcClient(KeyringService, keyledger.grpc, {
      key: keyledger.keys.operator_key,
    });
    const first = await failing(keyring.listKeys({ owner: owners[0] ?? {} }));
    expect(first).toMatchObject({ code: 15, reason: "CORRUPTED" });
    expect((await keyring.listKeys({ owner: owners[1] ?? {} })).totalCount).toBeGreaterThan(0);
    await keyledger.end();
  }
  {
    await using keyledger = await startKeyledger(directory.path);
    expect(await shown(keyledger)).toStrictEqual(before);
    await keyledger.end();
  }

  // Views that are wrong without being damaged are beyond any check: that is what the flag is for.
  edit(views, "DELETE FROM keyrings; DELETE FROM keys");
  {
    await using misled = await startKeyledger(directory.path);
    using keyring = grpcClient(KeyringService, misled.grpc, { key: misled.keys.operator_key });
    expect((await keyring.listKeys({ owner: owners[0] ?? {} })).totalCount).toBe(0);
    await misled.end();
  }
  await using rebuilt = await startKeyledger(directory.path, ["--rebuild-views"]);
  expect(await shown(rebuilt)).toStrictEqual(before);
  await rebuilt.end("SIGKILL");
  await using after = await startKeyledger(directory.path);
  expect(await shown(after)).toStrictEqual(before);
  const slowest = Math.max(...startsMs).toFixed(0);
  console.log(
    `views: ${Object.keys(mishaps).length + 1} mishaps and --rebuild-views, slowest start ${slowest} ms`,
  );
}, 60_000);
