import type { Figure, Goal } from "./figure.ts";
import { interleave } from "./interleave.ts";
import type { Load } from "./load.ts";
import type { LoadJob } from "./load-job.ts";
import type { Effort } from "./options.ts";

interface Server {
  readonly pid: number;
  readonly address: string;
}

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
  const sample = ({ pid, address }: Server) =>
    load.on({ pid }, { ...job(), address, ms: effort.sampleMs });
  const { subject, baseline } = await interleave(effort, {
    subject: () => sample(server),
    baseline: () => sample(echo),
  });
  report({
    name: `${name}, server CPU`,
    unit: "µs/call",
    subject: subject.map(({ cpuMicrosPerCall }) => cpuMicrosPerCall),
    baseline: {
      name: echo.name,
      samples: baseline.map(({ cpuMicrosPerCall }) => cpuMicrosPerCall),
    },
    goal: goals.cpu,
  });
  report({
    name: `${name}, 64 in flight`,
    unit: "/s",
    subject: subject.map(({ callsPerSecond }) => callsPerSecond),
    baseline: { name: echo.name, samples: baseline.map(({ callsPerSecond }) => callsPerSecond) },
    goal: goals.rate,
  });
}
