import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const START = fileURLToPath(new URL("../../services/standalone/start.mjs", import.meta.url));

export interface Keys {
  readonly operator_key: string;
  readonly service_key: string;
  readonly team_key: string;
}

export interface KeyledgerProcess extends AsyncDisposable {
  readonly directory: string;
  readonly dataDirectory: string;
  readonly grpc: string;
  readonly http: string;
  readonly metrics: string;
  readonly pid: number;
  readonly keys: Keys;
  /** Everything it wrote to standard output and standard error so far. */
  output(): string;
  /** Sends a signal and waits for its end. */
  end(
    signal?: "SIGTERM" | "SIGINT" | "SIGKILL",
  ): Promise<{ code: number | null; signal: string | null }>;
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

/**
 * Starts the standalone process on free ports and waits until it is ready.
 * @param directory holds data, ready file and keys; the caller removes it.
 */
export async function startKeyledger(
  directory: string,
  args: readonly string[] = ["--probe=off"],
  {
    env = {},
    readyWithinMs = 20_000,
  }: { env?: Readonly<Record<string, string>>; readyWithinMs?: number } = {},
): Promise<KeyledgerProcess> {
  const dataDirectory = join(directory, "data");
  const readyFile = join(directory, "ready.json");
  const keysFile = join(directory, "keys.json");
  await rm(readyFile, { force: true });
  const child = spawn(
    process.execPath,
    [
      START,
      `--data-dir=${dataDirectory}`,
      "--grpc-listen=127.0.0.1:0",
      "--http-listen=127.0.0.1:0",
      "--metrics-listen=127.0.0.1:0",
      `--ready-file=${readyFile}`,
      `--init-keys-file=${keysFile}`,
      ...args,
    ],
    { env: cleanEnvironment(env), stdio: ["ignore", "pipe", "pipe"] },
  );
  let written = "";
  const note = (chunk: Buffer) => {
    written += chunk.toString("utf8");
  };
  child.stdout.on("data", note);
  child.stderr.on("data", note);
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once("exit", (code, signal) => resolve({ code, signal }));
  });
  const ready = await untilReady(child, readyFile, readyWithinMs, () => written);
  const end = async (signal: "SIGTERM" | "SIGINT" | "SIGKILL" = "SIGTERM") => {
    if (child.exitCode === null && child.signalCode === null) child.kill(signal);
    return ended;
  };
  return {
    directory,
    dataDirectory,
    grpc: ready.grpc,
    http: ready.http,
    metrics: ready.metrics,
    pid: ready.pid,
    keys: JSON.parse(readFileSync(keysFile, "utf8")) as Keys,
    output: () => written,
    end,
    async [Symbol.asyncDispose]() {
      await end("SIGKILL");
    },
  };
}

async function untilReady(
  child: ChildProcess,
  readyFile: string,
  withinMs: number,
  output: () => string,
): Promise<{ grpc: string; http: string; metrics: string; pid: number }> {
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
