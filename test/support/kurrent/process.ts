import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { connectControl } from "./control-port.ts";
import type { KurrentControl } from "./stand-in.ts";

export interface KurrentProcess extends AsyncDisposable {
  readonly connectionString: string;
  readonly pid: number;
  readonly control: KurrentControl;
  /** As the kernel does it; resolves when the process is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Another process with the same ports and the same file. */
  startAgain(): Promise<KurrentProcess>;
}

export interface KurrentProcessOptions {
  readonly file: string;
  readonly nodes?: number;
  readonly ports?: readonly number[];
  readonly controlPort?: number;
}

const MAIN = fileURLToPath(new URL("main.ts", import.meta.url));

/** The stand-in as a process of its own, to be killed as a real one is. */
export async function startKurrentProcess(options: KurrentProcessOptions): Promise<KurrentProcess> {
  const { file, nodes = 1, ports, controlPort = 0 } = options;
  const args = [MAIN, "--file", file, "--nodes", `${nodes}`, "--control-port", `${controlPort}`];
  if (ports) args.push("--ports", ports.join(","));
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const ready = await firstLine(child);
  const kill = async (signal: NodeJS.Signals = "SIGKILL"): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await gone;
  };
  return {
    connectionString: ready.connectionString,
    pid: ready.pid,
    control: connectControl(ready.controlPort),
    kill,
    startAgain: () =>
      startKurrentProcess({
        file,
        nodes,
        ports: ready.nodes.map(({ port }) => port),
        controlPort: ready.controlPort,
      }),
    [Symbol.asyncDispose]: () => kill(),
  };
}

interface Ready {
  readonly pid: number;
  readonly connectionString: string;
  readonly nodes: readonly { readonly port: number }[];
  readonly controlPort: number;
}

function firstLine(child: ChildProcess): Promise<Ready> {
  return new Promise((resolve, reject) => {
    if (!child.stdout) return reject(new Error("the stand-in has no output"));
    child.once("exit", (code) => reject(new Error(`the stand-in ended with ${code}`)));
    createInterface(child.stdout).once("line", (line) => resolve(JSON.parse(line)));
  });
}
