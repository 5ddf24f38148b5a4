import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const START = fileURLToPath(new URL("../../services/standalone/start.mjs", import.meta.url));

export interface Keys {
  readonly operator_key: string;
  readonly service_key: string;
  readonly team_key: string;
}

/** How a process came to its end. */
export interface End {
  readonly code: number | null;
  readonly signal: string | null;
}

type StopSignal = "SIGTERM" | "SIGINT" | "SIGKILL";

/** A process that was started, whether it ever gets ready or not. */
export interface LaunchedProcess extends AsyncDisposable {
  readonly pid: number;
  readonly dataDirectory: string;
  readonly readyFile: string;
  readonly ended: Promise<End>;
  /** Everything it wrote to standard output and standard error so far. */
  output(): string;
  /** The same, byte for byte. */
  written(): { readonly stdout: Buffer; readonly stderr: Buffer };
  /** The addresses, once it serves. Fails when it ended, or took longer. */
  ready(withinMs?: number): Promise<Addresses>;
  /** Sends a signal and waits for its end. */
  end(signal?: StopSignal): Promise<End>;
}

export interface Addresses {
  readonly grpc: string;
  readonly http: string;
  readonly metrics: string;
  readonly pid: number;
}

export interface KeyledgerProcess extends AsyncDisposable, Addresses {
  readonly directory: string;
  readonly dataDirectory: string;
  readonly readyFile: string;
  readonly keys: Keys;
  readonly ended: Promise<End>;
  /** Everything it wrote to standard output and standard error so far. */
  output(): string;
  /** The same, byte for byte. */
  written(): { readonly stdout: Buffer; readonly stderr: Buffer };
  /** Sends a signal and waits for its end. */
  end(signal?: StopSignal): Promise<End>;
}

/** A directory that goes away with its owner. */
export async function temporaryDirectory(): Promise<{ path: string } & AsyncDisposable> {
  const path = await mkdtemp(join(tmpdir(), "keyledger-test-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

/** The environment of a child: nothing of Keyledger's own settings, whatever the shell holds. */
const cleanEnvironment = (extra: Readonly<Record<string, string>>): NodeJS.ProcessEnv => ({
  ...Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith("KEYLEDGER_")),
  ),
  ...extra,
});

/** A flag may stand once only. */
const isGiven = (flag: string, args: readonly string[]): boolean =>
  args.some((arg) => arg.startsWith(flag.slice(0, flag.indexOf("=") + 1)));

const READY_WITHIN_MS = 20_000;

export interface LaunchOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Instead of `node start.mjs`; the flags come behind it. */
  readonly command?: readonly [string, ...string[]];
  readonly cwd?: string;
  /** The leader of a process group of its own, as a shell makes of what is typed into it. */
  readonly isGroupLeader?: boolean;
  /** By default `ready.json` in the directory: two processes on one directory need two. */
  readonly readyFile?: string;
}

/**
 * Starts the standalone process, on free ports where `args` names none.
 * @param directory holds data and ready file; the caller removes it.
 */
export function launchKeyledger(
  directory: string,
  args: readonly string[],
  {
    env = {},
    command = [process.execPath, START],
    cwd,
    isGroupLeader = false,
    readyFile = join(directory, "ready.json"),
  }: LaunchOptions = {},
): LaunchedProcess {
  const dataDirectory = join(directory, "data");
  rmSync(readyFile, { force: true });
  const [program, ...before] = command;
  const defaults = [
    `--data-dir=${dataDirectory}`,
    "--grpc-listen=127.0.0.1:0",
    "--http-listen=127.0.0.1:0",
    "--metrics-listen=127.0.0.1:0",
    `--ready-file=${readyFile}`,
  ];
  const child = spawn(
    program,
    [...before, ...defaults.filter((flag) => !isGiven(flag, args)), ...args],
    { env: cleanEnvironment(env), stdio: ["ignore", "pipe", "pipe"], cwd, detached: isGroupLeader },
  );
  const chunks: { readonly name: "stdout" | "stderr"; readonly bytes: Buffer }[] = [];
  for (const name of ["stdout", "stderr"] as const)
    child[name].on("data", (bytes: Buffer) => void chunks.push({ name, bytes }));
  const joined = (names: readonly string[]) =>
    Buffer.concat(chunks.filter(({ name }) => names.includes(name)).map(({ bytes }) => bytes));
  const output = () => joined(["stdout", "stderr"]).toString("utf8");
  // Not at its exit: what it wrote last is here only when its streams have closed too.
  const ended = new Promise<End>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve({ code, signal }));
  });
  const end = async (signal: StopSignal = "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return ended;
  };
  return {
    pid: child.pid ?? -1,
    dataDirectory,
    readyFile,
    ended,
    output,
    written: () => ({ stdout: joined(["stdout"]), stderr: joined(["stderr"]) }),
    ready: (withinMs = READY_WITHIN_MS) => untilReady(child, readyFile, withinMs, output),
    end,
    async [Symbol.asyncDispose]() {
      await end("SIGKILL");
    },
  };
}

/**
 * Starts the standalone process on free ports and waits until it is ready.
 * @param directory holds data, ready file and keys; the caller removes it.
 */
export async function startKeyledger(
  directory: string,
  args: readonly string[] = ["--probe=off"],
  {
    readyWithinMs = READY_WITHIN_MS,
    ...options
  }: LaunchOptions & { readonly readyWithinMs?: number } = {},
): Promise<KeyledgerProcess> {
  const keysFile = join(directory, "keys.json");
  const launched = launchKeyledger(directory, [`--init-keys-file=${keysFile}`, ...args], options);
  const { grpc, http, metrics, pid } = await launched.ready(readyWithinMs);
  return {
    directory,
    dataDirectory: launched.dataDirectory,
    readyFile: launched.readyFile,
    grpc,
    http,
    metrics,
    pid,
    keys: JSON.parse(readFileSync(keysFile, "utf8")) as Keys,
    ended: launched.ended,
    output: launched.output,
    written: launched.written,
    end: launched.end,
    [Symbol.asyncDispose]: () => launched[Symbol.asyncDispose](),
  };
}

async function untilReady(
  child: ChildProcess,
  readyFile: string,
  withinMs: number,
  output: () => string,
): Promise<Addresses> {
  const until = performance.now() + withinMs;
  while (!existsSync(readyFile)) {
    if (child.exitCode !== null || child.signalCode !== null) {
      throw new Error(`keyledger ended before it was ready:\n${output()}`);
    }
    if (performance.now() > until) {
      child.kill("SIGKILL");
      throw new Error(`keyledger was not ready within ${withinMs} ms:\n${output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return JSON.parse(readFileSync(readyFile, "utf8"));
}
