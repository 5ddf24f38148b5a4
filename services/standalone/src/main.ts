import { readFileSync } from "node:fs";
import { join } from "node:path";
import { openAuditSink, openEmbedded, openReadModels } from "@keyledger/embedded";
import { openTokenVerifier } from "@keyledger/keyring";
import { httpKeyProbe, parseProbeEndpoints, providerCatalogue } from "@keyledger/providers";
import {
  createLog,
  drain,
  nodeHost,
  refuseLeakyEnvironment,
  untilSignal,
} from "@keyledger/runtime";
import { readStandaloneConfig } from "./config.ts";
import { startStandalone } from "./standalone.ts";
import { explain } from "./terminal.ts";
import { readTlsFiles } from "./tls-files.ts";

/** How long calls in flight may take to finish once the process was told to stop, in milliseconds. */
const GRACE_MS = 10_000;

const reading = readStandaloneConfig(
  {
    argv: process.argv.slice(2),
    env: process.env,
    readFile: (path) => readFileSync(path, "utf8"),
  },
  parseProbeEndpoints,
);
if (reading.kind === "help") {
  process.stdout.write(reading.text);
  process.exit(0);
}
if (reading.kind === "problems") {
  process.stderr.write(reading.text);
  process.exit(2);
}
const leaks = refuseLeakyEnvironment(process.env, process.execArgv);
if (leaks.length > 0) {
  process.stderr.write(`keyledger: this environment would leak secrets\n  ${leaks.join("\n  ")}\n`);
  process.exit(2);
}

const { settings: config } = reading;
const host = nodeHost();
const log = createLog({ level: config.logLevel, clock: host.clock });
// From here on a signal no longer kills: one that comes while starting stops the process right after.
const stopped = untilSignal(host.clock);
const { version } = JSON.parse(
  readFileSync(new URL("../package.json", import.meta.url), "utf8"),
) as { version: string };

try {
  await using opened = new AsyncDisposableStack();
  const embedded = opened.use(
    await openEmbedded({ directory: config.dataDir, keyFile: config.kekFile, host }),
  );
  const models = opened.use(
    openReadModels({
      file: join(config.dataDir, "views.db"),
      deploymentId: embedded.deploymentId,
      onReset: (reason) => log.warn("views-rebuilt", { reason }),
    }),
  );
  if (config.rebuildViews) models.reset();
  const sink = opened.use(await openAuditSink({ directory: join(config.dataDir, "audit") }));
  const tokens = config.jwt && opened.use(await openTokenVerifier(config.jwt, host, log));
  const standalone = await startStandalone(
    config,
    {
      ...embedded,
      models,
      sink,
      host,
      catalogue: providerCatalogue(),
      probe: httpKeyProbe({
        host,
        endpoints: config.probeEndpoints,
        allowInsecureLoopback: config.insecureDev,
      }),
      verifyToken: tokens?.verify,
      tls: config.tls && readTlsFiles(config.tls),
    },
    { log, terminal: process.stdout, version, stopped },
  );
  log.info("stopping", { because: await stopped });
  const steps = await drain(
    [...(standalone?.stopSteps ?? []), { name: "stores", run: () => opened.disposeAsync() }],
    GRACE_MS,
    host,
  );
  for (const { name, end, error } of steps) {
    if (end !== "done") log.warn("stop-step", { step: name, end }, error);
  }
  const isClean = steps.every(({ end }) => end === "done");
  log.info("stopped", { clean: isClean });
  // Whatever a peer still holds open must not keep the process alive.
  process.exit(isClean ? 0 : 1);
} catch (error) {
  process.stderr.write(`keyledger: ${explain(error)}\n`);
  log.error("start-failed", {}, error);
  process.exit(1);
}
