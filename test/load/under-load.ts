import type { Figure, Goal } from "./figure.ts";
import { interleave } from "./interleave.ts";
import type { Load, LoadSample } from "./load.ts";
import type { LoadJob } from "./load-job.ts";
import type { Effort } from "./options.ts";

interface Server {
  readonly pid: number;
  readonly address: string;
}

/** Calls after which a server runs at its speed. */
const WARM_UP_CALLS = 12_000;

/** The same load on two servers by turns: processor time of the server per call, and calls per second. */
export async function underLoad(
  {
    name,
    load,
    effort,
    server,
    echo,
    job,
    goals,
  }: {
    readonly name: string;
    readonly load: Load;
    readonly effort: Effort;
    readonly server: Server;
    readonly echo: Server & { readonly name: string };
    readonly job: () => Omit<LoadJob, "address" | "ms">;
    readonly goals: { readonly cpu: Goal | null; readonly rate: Goal | null };
  },
  report: (figure: Figure) => void,
): Promise<void> {
  const sample = ({ pid, address }: Server): Promise<LoadSample> =>
    load.on({ pid }, { ...job(), address, ms: effort.sampleMs });
  const warmUp = async (side: Server): Promise<void> => {
    const until = performance.now() + effort.warmUpMs;
    for (let calls = 0; calls < WARM_UP_CALLS && performance.now() < until; ) {
      calls += (await sample(side)).calls;
    }
  };
  await warmUp(echo);
  await warmUp(server);
  const { subject, baseline } = await interleave(effort, {
    subject: () => sample(server),
    baseline: () => sample(echo),
  });
  const figure = (what: string, of: (sample: LoadSample) => number) => ({
    name: `${name}, ${what}`,
    subject: subject.map(of),
    baseline: { name: echo.name, samples: baseline.map(of) },
  });
  const failed = subject.reduce((sum, sample) => sum + sample.failed, 0);
  report({
    ...figure("server CPU", ({ cpuMicrosPerCall }) => cpuMicrosPerCall),
    unit: "µs/call",
    goal: goals.cpu,
  });
  report({
    ...figure("64 in flight", ({ callsPerSecond }) => callsPerSecond),
    unit: "/s",
    goal: goals.rate,
    ...(failed > 0 && {
      note: `${failed} calls failed and are not counted`,
    }),
  });
}
