import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { VaultControl } from "./control.ts";
import { remoteControl } from "./control-server.ts";

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

export interface VaultProcessOptions {
  readonly stateFile: string;
  /** 0 = any free one; the one it had, to come back in the same place. */
  readonly port?: number;
  /** Files. */
  readonly tls?: { readonly certFile: string; readonly keyFile: string };
}

/** A stand-in that can be killed. */
export interface VaultProcess extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
  readonly pid: number;
  readonly rootToken: string;
  readonly unsealKey: string;
  readonly control: VaultControl;
  /** Resolves once it has ended. */
  kill(signal?: "SIGKILL" | "SIGTERM"): Promise<void>;
}

const READY_WITHIN_MS = 15_000;

/** @throws {Error} it ended, or was not ready within 15 s. */
export async function startVaultProcess(options: VaultProcessOptions): Promise<VaultProcess> {
  const { stateFile, port = 0, tls } = options;
  const files = tls ? [`--tls-cert=${tls.certFile}`, `--tls-key=${tls.keyFile}`] : [];
  const child = spawn(
    process.execPath,
    [MAIN, `--state=${stateFile}`, `--port=${port}`, ...files],
    { stdio: ["ignore", "pipe", "inherit", "ipc"] },
  );
  const ended = once(child, "exit");
  const kill = async (signal: "SIGKILL" | "SIGTERM" = "SIGKILL"): Promise<void> => {
    child.kill(signal);
    await ended;
  };
  const tooLate = setTimeout(READY_WITHIN_MS, undefined, { ref: false });
  const line = await Promise.race([
    firstLine(child.stdout),
    ended.then(([code]) => Promise.reject(new Error(`the stand-in ended with ${code}`))),
    tooLate.then(() => Promise.reject(new Error("the stand-in was not ready within 15 s"))),
  ]).catch((fault: unknown) => {
    child.kill("SIGKILL");
    throw fault;
  });
  const ready = JSON.parse(line) as Ready;
  return {
    address: ready.address,
    port: Number(new URL(ready.address).port),
    pid: child.pid ?? 0,
    rootToken: ready.rootToken,
    unsealKey: ready.unsealKey,
    control: remoteControl(ready.control),
    kill,
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) await kill();
    },
  };
}

interface Ready {
  readonly address: string;
  readonly control: string;
  readonly rootToken: string;
  readonly unsealKey: string;
}

async function firstLine(output: NodeJS.ReadableStream | null): Promise<string> {
  if (output === null) throw new Error("the stand-in has no output");
  for await (const line of createInterface(output)) return line;
  throw new Error("the stand-in said nothing");
}
