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

/** Runs a tool of the workspace in its folder, until the signal or five minutes end it and all that it started. */
export function run(
  command: string,
  args: readonly string[],
  signal: AbortSignal,
): Promise<Outcome> {
  const stop = AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]);
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd: root,
      // Started by node alone, the tools of the workspace are not on the path yet.
      env: { ...process.env, PATH: `${root}node_modules/.bin:${process.env.PATH ?? ""}` },
      stdio: ["ignore", "pipe", "pipe"],
      // A process group of its own: what npm calls a tool is often a script around it, and both must go.
      detached: true,
    });
    const { pid } = child;
    const end = (): void => {
      // None of these tools has anything to finish, and the compiler takes SIGTERM for a hint.
      if (pid !== undefined) process.kill(-pid, "SIGKILL");
    };
    stop.addEventListener("abort", end);
    const chunks: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => chunks.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => chunks.push(chunk));
    const finish = (isOk: boolean, why: string): void => {
      stop.removeEventListener("abort", end);
      resolve({ isOk, output: (Buffer.concat(chunks).toString().trimEnd() + why).trim() });
    };
    child.on("error", (error) => finish(false, `\n${command}: ${error.message}`));
    child.on("close", (code, ended) => {
      finish(code === 0, ended === null ? "" : `\n${command} was ended by ${ended}`);
    });
  });
}

/** Aborts when the user or the system asks this process to stop; it then ends with the code of a shell for that. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  for (const [name, code] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ] as const) {
    process.once(name, () => {
      process.exitCode = code;
      controller.abort();
    });
  }
  return controller.signal;
}
