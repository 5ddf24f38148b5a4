import { type Child, startChild } from "./child.ts";
import { h2load } from "./h2load.ts";
import type { LoadJob, LoadResult } from "./load-job.ts";
import { has, type Pinning } from "./machine.ts";
import { cpuSeconds, settledCpuSeconds } from "./process-cpu.ts";

/** What one sample of load cost its server. */
export interface LoadSample {
  readonly calls: number;
  /** Those of them that were not answered as they must be. */
  readonly failed: number;
  /** Only those that were. */
  readonly callsPerSecond: number;
  readonly cpuMicrosPerCall: number;
}

/** Makes load from a process of its own. */
export interface Load extends Disposable {
  /** @throws {Error} when most calls failed: figures of failures are none. */
  on(server: { readonly pid: number }, job: LoadJob): Promise<LoadSample>;
}

/** Over which what is answered is more than what is asked for takes. */
const SLACK_MS = 10_000;

const isH2loadThere = (): boolean => has("h2load");

export const loadName = (): string => (isH2loadThere() ? "h2load" : "a Node process");

export function openLoad(where: Pinning | undefined): Load {
  const client: Child<LoadJob, LoadResult> = startChild("load-client", where?.client);
  const isH2load = isH2loadThere();
  const run = (job: LoadJob): Promise<LoadResult> =>
    isH2load && job.bodies.length <= 1
      ? h2load(job, where?.client)
      : client.ask(job, job.ms + SLACK_MS);

  return {
    async on({ pid }, job) {
      const before = cpuSeconds(pid);
      const { calls, failed, seconds } = await run(job);
      const cpu = (await settledCpuSeconds(pid)) - before;
      if (failed >= calls / 2) throw new Error(`${failed} of ${calls} calls failed`);
      return {
        calls,
        failed,
        callsPerSecond: (calls - failed) / seconds,
        cpuMicrosPerCall: (cpu / calls) * 1e6,
      };
    },
    [Symbol.dispose]: () => client[Symbol.dispose](),
  };
}
