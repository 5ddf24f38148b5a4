import { spawn } from "node:child_process";

/** The folder of the workspace, with a slash at its end. */
export const root = new URL("..", import.meta.url).pathname;

export interface Outcome {
  readonly isOk: boolean;
  /** What was printed to either stream, in the order it came. */
  readonly output: string;
}

/** Longer than anything here takes on a slow machine. */
const TIMEOUT_MS = 300_000;

/** Runs a tool of the workspace in its folder. It ends with the signal, or after five minutes. */
export function run(
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Outcome> {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      // Started by node alone, the tools of the workspace are not on the path yet.
      env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH ?? ""}` },
      stdio: ["ignore", "pipe", "pipe"],
      signal,
      timeout: TIMEOUT_MS,
    });
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    const output = () => Buffer.concat(chunks).toString().trimEnd();
    child.on("error", (error) => resolve({ isOk: false, output: `${command}: ${error.message}` }));
    child.on("close", (code, endSignal) => {
      const end = endSignal === null ? "" : `\n${command} was ended by ${endSignal}`;
      resolve({ isOk: code === 0, output: output() + end });
    });
  });
}

/** Aborts when the user or the system asks this process to stop, and lets it end with the shell's code for that. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [name, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(name, () => {
      controller.abort();
      process.exitCode = code;
    });
  }
  return controller.signal;
}
