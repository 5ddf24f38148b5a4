import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { LoadJob, LoadResult } from "./load-job.ts";
import { pinned } from "./machine.ts";

const run = promisify(execFile);

/**
 * One sample by h2load of nghttp2, in C. It sees HTTP statuses only, not gRPC's: whoever uses it checks what the server
 * answers with a client before and behind.
 */
export async function h2load(job: LoadJob, cpu: number | undefined): Promise<LoadResult> {
  const { protocol, address, path, headers, bodies, inFlight, connections, ms } = job;
  const directory = await mkdtemp(join(tmpdir(), "keyledger-h2load-"));
  try {
    const bodyFile = join(directory, "body");
    await writeFile(bodyFile, bodies[0] ?? "");
    const all = protocol === "grpc" ? { ...GRPC_HEADERS, ...headers } : headers;
    const [command = "h2load", ...args] = [
      ...pinned(cpu),
      "h2load",
      "--threads=1",
      `--duration=${ms}ms`,
      ...(protocol === "grpc"
        ? [
            `--clients=${connections}`,
            `--max-concurrent-streams=${Math.ceil(inFlight / connections)}`,
            `--data=${bodyFile}`,
          ]
        : ["--h1", `--clients=${inFlight}`]),
      ...Object.entries(all).flatMap(([name, value]) => ["--header", `${name}: ${value}`]),
      `http://${address}${path}`,
    ];
    const { stdout } = await run(command, args, { timeout: ms + 10_000 });
    return resultOf(stdout);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

const GRPC_HEADERS = { "content-type": "application/grpc", te: "trailers" };

function resultOf(output: string): LoadResult {
  const [, seconds, unit] = /^finished in ([\d.]+)(us|ms|s), /m.exec(output) ?? [];
  const [, done, failed] =
    /^requests: .* (\d+) done, \d+ succeeded, (\d+) failed/m.exec(output) ?? [];
  if (seconds === undefined || done === undefined || failed === undefined) {
    throw new Error(`h2load said something else than expected:\n${output}`);
  }
  const scale = unit === "s" ? 1 : unit === "ms" ? 1e-3 : 1e-6;
  return { calls: Number(done), failed: Number(failed), seconds: Number(seconds) * scale };
}
