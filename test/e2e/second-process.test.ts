import { execFileSync } from "node:child_process";
import { renameSync, rmSync, statSync } from "node:fs";
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { KeyringService, OwnerKind, ResolvePolicy, ResolveService } from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { grpcClient } from "../support/grpc-client.ts";
import {
  type End,
  type KeyledgerProcess,
  type LaunchOptions,
  launchKeyledger,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { patiently } from "../support/patiently.ts";

const SECRET = "sk-second-process-0123456789";

async function upsert({ grpc, keys }: KeyledgerProcess): Promise<void> {
  using keyring = grpcClient(KeyringService, grpc, { key: keys.team_key });
  await keyring.upsertKey({ provider: "openai", secret: Buffer.from(SECRET) });
}

async function resolved({ grpc, keys }: KeyledgerProcess): Promise<string> {
  using resolver = grpcClient(ResolveService, grpc, { key: keys.service_key });
  const owner = { kind: OwnerKind.TEAM, id: "default" };
  const policy = ResolvePolicy.OWN_KEYS_FIRST;
  const question = { owner, provider: "openai", policy };
  const { material } = await patiently(() => resolver.resolve(question));
  return Buffer.from(material).toString("utf8");
}

/** A start that must come to nothing. */
async function refusal(
  directory: string,
  args: readonly string[] = [],
  options: LaunchOptions = {},
): Promise<End & { readonly says: string }> {
  await using launched = launchKeyledger(directory, args, options);
  const served = launched.ready().then(
    () => true,
    () => false,
  );
  expect(await served, launched.output()).toBe(false);
  return { ...(await launched.ended), says: launched.output() };
}

/** A stopped deployment with one key in it, that was used. */
async function furnish(directory: string): Promise<string> {
  await using keyledger = await startKeyledger(directory);
  await upsert(keyledger);
  await resolved(keyledger);
  expect(await keyledger.end()).toStrictEqual({ code: 0, signal: null });
  return keyledger.dataDirectory;
}

/** Names, sizes and contents of what lies in a directory: a refused start leaves it as it was. */
const contentsOf = (directory: string): string =>
  execFileSync("sh", ["-c", 'find . -type f ! -name "*-shm" -exec sha256sum {} + | sort -k 2'], {
    cwd: directory,
    encoding: "utf8",
  });

describe("a second process on a data directory", () => {
  it("is refused by name while the first one lives, and the first one does not feel it", async () => {
    await using directory = await temporaryDirectory();
    await using first = await startKeyledger(directory.path);
    await upsert(first);
    const attempts = await Promise.all(
      [1, 2].map((at) => {
        // Its own ready file: the first one's is in use.
        const readyFile = join(directory.path, `ready-${at}.json`);
        return refusal(directory.path, [], { readyFile });
      }),
    );
    for (const { code, says } of attempts) {
      expect(code).toBe(1);
      expect(says).toContain(
        `the data directory ${first.dataDirectory} is in use by another Keyledger process: stop that one first`,
      );
    }
    expect(await resolved(first)).toBe(SECRET);
    await upsert(first);
    // Killed, it leaves no lock behind.
    await first.end("SIGKILL");
    await using next = await startKeyledger(directory.path);
    expect(await resolved(next)).toBe(SECRET);
    await next.end();
    console.log(`second process: ${attempts.length} refused`);
  });

  it("that cannot have its address says which, and leaves the data directory free", async () => {
    await using here = await temporaryDirectory();
    await using there = await temporaryDirectory();
    await using first = await startKeyledger(here.path);
    for (const [flag, address] of [
      ["--grpc-listen", first.grpc],
      ["--http-listen", first.http],
    ] as const) {
      const { code, says } = await refusal(there.path, [`${flag}=${address}`]);
      expect(code).toBe(1);
      expect(says).toMatch(flag === "--grpc-listen" ? /--grpc-listen/ : new RegExp(address));
    }
    await using second = launchKeyledger(there.path, []);
    await second.ready();
    await second.end();
    await first.end();
  });
});

describe("a data directory with a part that is missing or strange", () => {
  const cases: readonly {
    readonly what: string;
    readonly happen: (data: string, other: string) => void;
    readonly says: (data: string) => readonly string[];
  }[] = [
    {
      what: "no key file",
      happen: (data) => rmSync(join(data, "keys")),
      says: (data) => [
        join(data, "keys"),
        "is missing",
        join(data, "log.db"),
        join(data, "secrets.db"),
      ],
    },
    {
      what: "no log",
      happen: (data) => rmSync(join(data, "log.db")),
      says: (data) => [join(data, "log.db"), "cannot be found", join(data, "keys")],
    },
    {
      what: "no secrets",
      happen: (data) => rmSync(join(data, "secrets.db")),
      says: (data) => [join(data, "secrets.db"), "cannot be found", join(data, "keys")],
    },
    {
      what: "another deployment's log",
      happen: (data, other) => renameSync(join(other, "log.db"), join(data, "log.db")),
      says: (data) => ["belong to different deployments", join(data, "log.db"), join(data, "keys")],
    },
    {
      what: "another deployment's secrets",
      happen: (data, other) => renameSync(join(other, "secrets.db"), join(data, "secrets.db")),
      says: (data) => ["belong to different deployments", join(data, "secrets.db")],
    },
    {
      what: "another deployment's keys",
      happen: (data, other) => renameSync(join(other, "keys"), join(data, "keys")),
      says: (data) => ["belong to different deployments", join(data, "keys")],
    },
    {
      what: "no name of the node beside its access log",
      happen: (data) => rmSync(join(data, "node-id")),
      says: (data) => [join(data, "node-id"), "is missing", join(data, "access")],
    },
    {
      what: "a key file that others may read",
      happen: (data) => execFileSync("chmod", ["0640", join(data, "keys")]),
      says: (data) => [join(data, "keys"), "has mode 0640", "make it 0600"],
    },
  ];

  it("is refused with the names of the files, and nothing in it is touched", async () => {
    await using directory = await temporaryDirectory();
    const mine = join(directory.path, "mine");
    const theirs = join(directory.path, "theirs");
    for (const at of [mine, theirs]) {
      execFileSync("mkdir", [at]);
      await furnish(at);
    }
    const refuse = async ({ what, happen, says }: (typeof cases)[number]) => {
      const at = join(directory.path, what.replaceAll(/\W/g, "-"));
      const strangers = `${at}-other`;
      await cp(mine, at, { recursive: true });
      await cp(theirs, strangers, { recursive: true });
      const data = join(at, "data");
      happen(data, join(strangers, "data"));
      const before = contentsOf(data);
      const { code, says: said } = await refusal(at);
      expect(code, what).toBe(1);
      for (const part of says(data)) expect(said, what).toContain(part);
      expect(contentsOf(data), what).toBe(before);
    };
    await Promise.all(cases.map(refuse));
    await using untouched = await startKeyledger(mine);
    expect(await resolved(untouched)).toBe(SECRET);
    await untouched.end();
    expect(statSync(join(mine, "data", "keys")).mode & 0o777).toBe(0o600);
    console.log(`second process: ${cases.length} strange directories refused`);
  }, 60_000);
});
