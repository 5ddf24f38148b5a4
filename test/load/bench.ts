import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openEmbedded } from "@keyledger/embedded";
import { nodeHost } from "@keyledger/runtime";
import { temporaryDirectory } from "../support/keyledger-process.ts";
import { startServers } from "./bench-servers.ts";
import { writeHistory } from "./event-history.ts";
import type { Figure } from "./figure.ts";
import { resolveThroughGrpc } from "./figures/grpc-resolve.ts";
import { upsertThroughGrpc } from "./figures/grpc-upsert.ts";
import { rebuild } from "./figures/rebuild.ts";
import { restList } from "./figures/rest-list.ts";
import { startUp } from "./figures/start-up.ts";
import { upsertAtUseCase } from "./figures/upsert-use-case.ts";
import { loadName } from "./load.ts";
import { machineLine, pinning } from "./machine.ts";
import { effortOf, readOptions } from "./options.ts";
import { type JsonFigure, jsonOf, lineOf, notMeasured } from "./report.ts";

/**
 * Measures, and asserts nothing: a missed goal is marked and no failure. Every figure stands beside a baseline of the
 * same run, since a machine by itself says little. The exit code tells whether all could be measured.
 */
const options = readOptions(process.argv.slice(2));
if ("problem" in options) {
  process.stderr.write(
    `bench: ${options.problem}\nusage: npm run bench -- [--quick] [--json FILE]\n`,
  );
  process.exit(2);
}
const effort = effortOf(options);
const figures: JsonFigure[] = [];

const show = (line: string): void => void process.stdout.write(`${line}\n`);

function report(figure: Figure): void {
  figures.push(jsonOf(figure));
  show(lineOf(figure));
}

/** What cannot be measured leaves the other figures alone. */
async function measure(what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    figures.push(notMeasured(what));
    show(`NOT MEASURED ${what}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = 1;
  }
}

const where = pinning();
show(machineLine(loadName()));
show("median (least to most) beside a baseline of the same run");

await measure("upsert at the use case", () => upsertAtUseCase(effort, report));

await measure("figures over the wire", async () => {
  await using servers = await startServers(where);
  await measure("upsert through gRPC", () => upsertThroughGrpc(servers, effort, report));
  await measure("audited resolve", () => resolveThroughGrpc(servers, effort, report));
  await measure("REST list of 3 keys", () => restList(servers, effort, report));
});

await measure("figures of a long history", async () => {
  await using directory = await temporaryDirectory();
  const host = nodeHost();
  const dataDirectory = join(directory.path, "data");
  {
    await using embedded = await openEmbedded({ directory: dataDirectory, host });
    await writeHistory(embedded.log, host, effort.historyEvents);
  }
  await measure("rebuild of the views", () => rebuild(dataDirectory, host, effort, report));
  await measure("start-up to ready", () =>
    startUp(directory.path, effort.historyEvents, effort, report),
  );
});

if (options.jsonFile !== undefined) {
  await writeFile(options.jsonFile, `${JSON.stringify(figures, null, 2)}\n`);
}
