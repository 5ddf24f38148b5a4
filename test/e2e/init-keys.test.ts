import { execFileSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { AdminService, KeyringService, OwnerKind, ResolveService } from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { failing, grpcClient } from "../support/grpc-client.ts";
import {
  type Addresses,
  type Keys,
  type LaunchedProcess,
  launchKeyledger,
  START,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { patiently } from "../support/patiently.ts";
import { KILL, type SourceEdit, withSourceEdits } from "../support/source-edits.ts";

const NAMES = ["operator_key", "service_key", "team_key"] as const;
const WITHIN = { timeout: 5_000 };

const keysIn = (file: string): Keys => JSON.parse(readFileSync(file, "utf8"));
const defaultFile = ({ dataDirectory }: LaunchedProcess): string =>
  join(dataDirectory, "init-keys.json");

/** Whether each of the three may do what it is for, and nothing of what the others are for. */
async function expectAllWork({ grpc }: Addresses, keys: Keys): Promise<void> {
  using keyring = grpcClient(KeyringService, grpc);
  using resolver = grpcClient(ResolveService, grpc);
  using admin = grpcClient(AdminService, grpc);
  const question = { owner: { kind: OwnerKind.TEAM, id: "default" }, provider: "openai" };
  const team = await keyring.getMode({}, { key: keys.team_key });
  expect(team.owner).toMatchObject({ kind: OwnerKind.TEAM, id: "default" });
  const resolve = () => resolver.resolve(question, { key: keys.service_key });
  expect((await patiently(resolve)).reason).toBe("MODE_NEO");
  const { apiKeys } = await admin.listApiKeys({ includeEnded: true }, { key: keys.operator_key });
  expect(apiKeys).toHaveLength(3);
  for (const key of [keys.team_key, keys.service_key])
    expect((await failing(admin.getStatus({}, { key }))).reason).toBe("ROLE_NOT_ALLOWED");
}

function expectPrivate(file: string, keys: Keys): void {
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(Object.keys(keys).toSorted()).toStrictEqual([...NAMES]);
  for (const name of NAMES) expect(keys[name]).toMatch(/^neo_sk_[A-Za-z0-9]{70}$/);
  expect(new Set(Object.values(keys)).size).toBe(3);
}

describe("the first start", () => {
  it("without a terminal leaves the keys in a private file in the data directory, and says only where", async () => {
    await using directory = await temporaryDirectory();
    await using first = launchKeyledger(directory.path, ["--probe=off", "--log-level=trace"]);
    const addresses = await first.ready();
    const keys = keysIn(defaultFile(first));
    expectPrivate(defaultFile(first), keys);
    await expectAllWork(addresses, keys);
    await first.end();
    expect(first.output()).toContain(`The first keys lie in ${defaultFile(first)}`);
    expect(first.output()).not.toContain("neo_sk_");

    await using second = launchKeyledger(directory.path, ["--probe=off"]);
    await expectAllWork(await second.ready(), keys);
    expect(keysIn(defaultFile(second))).toStrictEqual(keys);
    expect(second.output()).not.toContain("neo_sk_");
    // Until somebody took them, they are worth a word at every start.
    expect(second.output()).toContain(`The first keys still lie in ${defaultFile(second)}`);
    await second.end();

    await rm(defaultFile(second));
    await using third = launchKeyledger(directory.path, ["--probe=off"]);
    await expectAllWork(await third.ready(), keys);
    expect(existsSync(defaultFile(third))).toBe(false);
    expect(third.output()).not.toContain("The first keys");
    await third.end();
  });

  it("leaves them where it is told to, and nowhere else", async () => {
    await using directory = await temporaryDirectory();
    const file = join(directory.path, "elsewhere.json");
    await using first = launchKeyledger(directory.path, [
      "--probe=off",
      `--init-keys-file=${file}`,
    ]);
    const addresses = await first.ready();
    const keys = keysIn(file);
    expectPrivate(file, keys);
    await expectAllWork(addresses, keys);
    expect(existsSync(defaultFile(first))).toBe(false);
    expect(first.output()).not.toContain("neo_sk_");
    await first.end();
  });

  it("refuses a file with the keys of another deployment, and one that others may read", async () => {
    await using directory = await temporaryDirectory();
    await using other = await temporaryDirectory();
    const file = join(directory.path, "keys.json");
    const flag = `--init-keys-file=${file}`;
    await using first = launchKeyledger(directory.path, [flag]);
    await first.ready();
    await first.end();

    await using stranger = launchKeyledger(other.path, [flag]);
    expect((await stranger.ended).code).toBe(1);
    expect(stranger.output()).toContain(`${file} does not hold the first keys of this data`);
    expect(stranger.output()).not.toContain("neo_sk_");

    execFileSync("chmod", ["0644", file]);
    await using careless = launchKeyledger(other.path, [flag]);
    expect((await careless.ended).code).toBe(1);
    expect(careless.output()).toContain("others may read it (mode 0644, needs 0600)");
    await rm(file);
  });
});

describe("a first start that was killed", () => {
  const file = "services/standalone/src/init-keys.ts";
  const issued = 'if ("rejected" in issued) throw foreignFile(file);';
  const afterIssuing = (name: string): SourceEdit => ({
    file,
    find: issued,
    replace: `${issued} if (name === "${name}") ${KILL}`,
  });
  const loop = "for (const name of missing) {";
  const points: Readonly<Record<string, SourceEdit>> = {
    "with the file written and no key issued": { file, find: loop, replace: `${KILL}${loop}` },
    "with one of three keys issued": afterIssuing("operator_key"),
    "with all three issued, and nobody told": afterIssuing("team_key"),
  };

  it.each(Object.entries(points))("%s goes on with the very same keys", async (_point, edit) => {
    await using directory = await temporaryDirectory();
    await using dying = launchKeyledger(directory.path, [], { env: withSourceEdits(edit) });
    expect(await dying.ended).toStrictEqual({ code: null, signal: "SIGKILL" });
    const keys = keysIn(defaultFile(dying));
    expectPrivate(defaultFile(dying), keys);

    await using next = launchKeyledger(directory.path, []);
    await expectAllWork(await next.ready(), keys);
    expect(keysIn(defaultFile(next))).toStrictEqual(keys);
    expect(next.output()).toMatch(/The first keys (still )?lie in /);
    expect(next.output()).not.toContain("neo_sk_");
    await next.end();
  });

  it("before the file was written begins anew", async () => {
    await using directory = await temporaryDirectory();
    const find = "if (!held) await writePrivateFile(";
    const env = withSourceEdits({ file, find, replace: `${KILL}${find}` });
    await using dying = launchKeyledger(directory.path, [], { env });
    expect((await dying.ended).signal).toBe("SIGKILL");
    expect(existsSync(defaultFile(dying))).toBe(false);
    await using next = launchKeyledger(directory.path, []);
    await expectAllWork(await next.ready(), keysIn(defaultFile(next)));
    await next.end();
  });
});

/** util-linux's `script` lends a command a terminal; other systems have another one, or none. */
const hasScript = (): boolean => {
  try {
    return execFileSync("script", ["--version"], { encoding: "utf8" }).includes("util-linux");
  } catch {
    return false;
  }
};
const isLent = hasScript();
if (!isLent)
  console.log("init-keys: no util-linux `script` here, so nothing was started on a terminal");

describe.runIf(isLent)("the first start on a terminal", () => {
  const onTerminal = (
    directory: string,
    env: Readonly<Record<string, string>> = {},
  ): LaunchedProcess =>
    launchKeyledger(directory, ["--probe=off"], {
      env,
      command: ["sh", "-c", 'exec script -qec "exec $*" /dev/null', "sh", process.execPath, START],
    });
  const shownKeys = (output: string): Keys => {
    const shown = (name: string) => new RegExp(`${name}=(neo_sk_\\w+)`).exec(output)?.[1] ?? "";
    const [operator_key, service_key, team_key] = ["OPERATOR", "SERVICE", "TEAM"].map((name) =>
      shown(`${name}_KEY`),
    );
    return {
      operator_key: operator_key ?? "",
      service_key: service_key ?? "",
      team_key: team_key ?? "",
    };
  };
  const stop = async (terminal: LaunchedProcess, { pid }: Addresses) => {
    process.kill(pid, "SIGTERM");
    expect(await terminal.ended).toStrictEqual({ code: 0, signal: null });
  };

  it("shows the keys once and keeps no file", async () => {
    await using directory = await temporaryDirectory();
    await using first = onTerminal(directory.path);
    const addresses = await first.ready();
    await expect.poll(() => first.output(), WITHIN).toContain("Ctrl-C stops it");
    const keys = shownKeys(first.output());
    await expectAllWork(addresses, keys);
    await expect.poll(() => existsSync(defaultFile(first)), WITHIN).toBe(false);
    await stop(first, addresses);
    for (const key of Object.values(keys)) expect(first.output().split(key)).toHaveLength(2);

    await using second = onTerminal(directory.path);
    const again = await second.ready();
    await expect.poll(() => second.output(), WITHIN).toContain("Ctrl-C stops it");
    await expectAllWork(again, keys);
    await stop(second, again);
    expect(second.output()).not.toContain("neo_sk_");
    expect(second.output()).not.toContain("The first keys");
  });

  it("killed before it showed them says at the next start where they lie", async () => {
    await using directory = await temporaryDirectory();
    const find = "await announce();";
    const env = withSourceEdits({
      file: "services/standalone/src/standalone.ts",
      find,
      replace: `${KILL}${find}`,
    });
    await using dying = onTerminal(directory.path, env);
    await dying.ended;
    expect(dying.output()).not.toContain("neo_sk_");
    const keys = keysIn(defaultFile(dying));

    await using next = onTerminal(directory.path);
    const addresses = await next.ready();
    await expect
      .poll(() => next.output(), WITHIN)
      .toContain(`The first keys still lie in ${defaultFile(next)}`);
    await expectAllWork(addresses, keys);
    await stop(next, addresses);
  });
});
