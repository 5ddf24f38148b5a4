import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";

/** Processors for what is measured and for what makes the load; `undefined` where processes cannot be pinned. */
export interface Pinning {
  readonly server: number;
  readonly client: number;
}

/** Two of the processors this process may use. */
export function pinning(): Pinning | undefined {
  const [server, client] = allowedCpus();
  if (server === undefined || client === undefined || !has("taskset")) return undefined;
  return { server, client };
}

/** Puts a running process, all its threads included, on one processor. */
export function pin(pid: number, cpu: number | undefined): void {
  if (cpu !== undefined) execFileSync("taskset", ["-a", "-p", "-c", String(cpu), String(pid)]);
}

/** Words in front of a command line that starts it on one processor. */
export const pinned = (cpu: number | undefined): readonly string[] =>
  cpu === undefined ? [] : ["taskset", "-c", String(cpu)];

/** Whether a command is there. */
export function has(command: string): boolean {
  try {
    execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** What the figures were taken on. */
export function machineLine(loadBy: string): string {
  const models = cpus();
  const where = pinning();
  const placed = where
    ? `servers on cpu ${where.server}, load on cpu ${where.client}`
    : "not pinned to cpus";
  return `node ${process.version}, ${models.length} x ${models[0]?.model.trim() ?? "unknown cpu"}, ${process.platform} ${process.arch}; ${placed}; load by ${loadBy}`;
}

/** Numbers of the processors this process may run on, as Linux tells them: `0-1,4`. */
function allowedCpus(): readonly number[] {
  if (process.platform !== "linux") return [];
  const [, list = ""] =
    /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? [];
  return list.split(",").flatMap((range) => {
    const [first = 0, last = first] = range.split("-").map(Number);
    return Array.from({ length: last - first + 1 }, (_, at) => first + at);
  });
}
