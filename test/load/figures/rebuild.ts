import { join } from "node:path";
import { Canceller, createProjector, type EventLog, type Host } from "@keyledger/core";
import { openEmbedded, openReadModels } from "@keyledger/embedded";
import { temporaryDirectory } from "../../support/keyledger-process.ts";
import type { Figure } from "../figure.ts";
import { interleave } from "../interleave.ts";
import type { Effort } from "../options.ts";

/** The views built from nothing over a whole log; beside it what parsing the stored JSON of the same events takes. */
export async function rebuild(
  dataDirectory: string,
  host: Host,
  effort: Effort,
  report: (figure: Figure) => void,
): Promise<void> {
  await using directory = await temporaryDirectory();
  await using embedded = await openEmbedded({ directory: dataDirectory, host });
  const { log, deploymentId } = embedded;
  const texts = await storedTexts(log);
  const events = texts.length / 2;
  let built = 0;
  const build = async (): Promise<number> => {
    using models = openReadModels({
      file: join(directory.path, `views-${built++}.db`),
      deploymentId,
      onReset: () => {},
    });
    const stop = new Canceller();
    const projector = createProjector({ log, models, host });
    projector.onProgress(({ isCaughtUp }) => {
      if (isCaughtUp) stop.cancel();
    });
    const startedAt = performance.now();
    await projector.run(stop);
    const seconds = (performance.now() - startedAt) / 1_000;
    if (models.checkpoint() !== (await log.head())) throw new Error("the views are not complete");
    return events / seconds;
  };
  const parse = async (): Promise<number> => {
    const startedAt = performance.now();
    for (const text of texts) JSON.parse(text);
    return events / ((performance.now() - startedAt) / 1_000);
  };

  const samples = await interleave(effort, { subject: build, baseline: parse });
  report({
    name: `rebuild of the views, ${events.toLocaleString("en")} events`,
    unit: "/s",
    subject: samples.subject,
    baseline: { name: "JSON.parse", samples: samples.baseline },
    goal: { kind: "at-least", bound: 100_000 },
  });
}

/** Data and metadata of every event. */
async function storedTexts(log: EventLog): Promise<readonly string[]> {
  const texts: string[] = [];
  for (let after = log.zero; ; ) {
    const page = await log.read({ after, limit: 10_000 });
    for (const { data, metadata } of page.events) texts.push(data, JSON.stringify(metadata));
    if (page.atEnd) return texts;
    after = page.next;
  }
}
