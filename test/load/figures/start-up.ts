import { AdminService } from "@keyledger/contracts";
import { grpcClient } from "../../support/grpc-client.ts";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../../support/keyledger-process.ts";
import type { Figure } from "../figure.ts";
import { interleave } from "../interleave.ts";
import type { Effort } from "../options.ts";

/** From the start of the process to readiness, with the views present; beside it the start of an empty directory. */
export async function startUp(
  directory: string,
  events: number,
  effort: Effort,
  report: (figure: Figure) => void,
): Promise<void> {
  await bringUpToDate(directory);
  const { subject, baseline } = await interleave(
    { ...effort, rounds: effort.starts },
    {
      subject: () => secondsToReady(directory),
      baseline: async () => {
        await using empty = await temporaryDirectory();
        return secondsToReady(empty.path);
      },
    },
  );
  report({
    name: `start-up to ready, ${events.toLocaleString("en")} events`,
    unit: "s",
    subject,
    baseline: { name: "empty directory", samples: baseline },
    goal: { kind: "at-most", bound: 2 },
  });
}

async function secondsToReady(directory: string): Promise<number> {
  const startedAt = performance.now();
  await using keyledger = await startKeyledger(directory);
  const seconds = (performance.now() - startedAt) / 1_000;
  await keyledger.end("SIGTERM");
  return seconds;
}

/** Builds the views and delivers the audit feed, as a process that ran before would have done. */
async function bringUpToDate(directory: string): Promise<void> {
  await using keyledger = await startKeyledger(directory, ["--probe=off"], {
    readyWithinMs: 60_000,
  });
  const until = performance.now() + 60_000;
  while (!(await isUpToDate(keyledger))) {
    if (performance.now() > until) throw new Error("the audit feed was not delivered in time");
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await keyledger.end("SIGTERM");
}

async function isUpToDate({ grpc, keys }: KeyledgerProcess): Promise<boolean> {
  using admin = grpcClient(AdminService, grpc, { key: keys.operator_key });
  const { followers } = await admin.getStatus({});
  return followers.every(({ caughtUp }) => caughtUp);
}
