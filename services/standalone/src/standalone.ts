import { resolve as absolute } from "node:path";
import { auditApp } from "@keyledger/audit";
import {
  type AuditSink,
  Canceller,
  createLedger,
  type Ledger,
  type LedgerPorts,
  secondsAfter,
} from "@keyledger/core";
import {
  connectPlugin,
  createAuthenticator,
  type GrpcTls,
  keyringApp,
  listenGrpc,
  localClient,
  METHOD_NAMES,
  type Status,
  type VerifyToken,
} from "@keyledger/keyring";
import { type KeyringClient, restPlugin } from "@keyledger/rest";
import {
  createHttpEdge,
  createMetrics,
  type DrainStep,
  type Log,
  listenForMetrics,
  removeDurably,
  showHostPort,
  writePrivateFile,
} from "@keyledger/runtime";
import { type Addresses, banner } from "./banner.ts";
import { type StandaloneConfig, warningsOf } from "./config.ts";
import { ensureFirstKeys, forgetFirstKeys } from "./init-keys.ts";
import { progressLine, type Terminal } from "./terminal.ts";

/** What the composition root opened. */
export interface StandalonePorts extends LedgerPorts {
  readonly deploymentId: string;
  readonly sink: AuditSink;
  /** Identity by JWT, where it is configured. */
  readonly verifyToken: VerifyToken | undefined;
  readonly tls: GrpcTls | undefined;
}

export interface Standalone {
  readonly addresses: Addresses;
  /** Taken one after the other, these stop everything that was started here. */
  readonly stopSteps: readonly DrainStep[];
}

const RETIRE_EVERY_MS = 60 * 60_000;

/** All services in one process: views brought up to the log, first keys made, background work and listeners started. */
export async function startStandalone(
  config: StandaloneConfig<unknown>,
  ports: StandalonePorts,
  { log, terminal, version }: { log: Log; terminal: Terminal; version: string },
): Promise<Standalone> {
  const { host, tls } = ports;
  const startedAt = host.clock.now();
  const ledger = createLedger(ports, {
    probePolicy: config.probePolicy,
    byokDefault: config.byokDefault,
  });
  const relays = auditApp({
    feeds: { changes: ports.log, access: ports.accessLog },
    sink: ports.sink,
    host,
  }).relays;
  const background = startBackground(config, ports, ledger, relays, log);
  await viewsCaughtUp(ledger, terminal);

  const first = await ensureFirstKeys({
    callerKeys: ledger.callerKeys,
    models: ports.models,
    deploymentId: ports.deploymentId,
    dataDirectory: config.dataDir,
    file: config.initKeysFile,
    host,
  });

  const notReady = (): readonly string[] => {
    const { isCaughtUp, problem } = ledger.projector.state();
    return isCaughtUp ? [] : [problem ?? "the views are catching up with the log"];
  };
  const status = async (): Promise<Status> => {
    const followers = {
      views: ledger.projector.state(),
      "audit-changes": relays.changes.state(),
      "audit-access": relays.access.state(),
    };
    return {
      version,
      deploymentId: ports.deploymentId,
      family: "embedded",
      startedAt,
      changesPosition: await ports.log.head(),
      accessPosition: await ports.accessLog.head(),
      followers: Object.entries(followers).map(([name, { position, isCaughtUp, problem }]) => ({
        name,
        position,
        caughtUp: isCaughtUp,
        problem: problem ?? "",
      })),
      shredBacklog: ports.models.pendingShredCount(),
      ready: notReady().length === 0,
      problems: notReady(),
    };
  };

  const metrics = createMetrics(METHOD_NAMES);
  metrics.observe({
    shredBacklog: () => ports.models.pendingShredCount(),
    projectionLagSeconds: background.lagSeconds,
  });
  const app = keyringApp(ledger, {
    authenticate: createAuthenticator({
      callerKeys: ledger.callerKeys,
      verifyToken: ports.verifyToken,
      mac: ledger.mac,
    }),
    host,
    observe: metrics.requestDone,
    onFault: (method, error) => log.error("call-failed", { method }, error),
    status,
  });
  const onMain = [app.keyring, app.audit, ...(config.adminListen ? [] : [app.admin])];

  const grpc = await listenGrpc({
    listen: showHostPort(config.grpcListen),
    tls,
    services: [...onMain, app.resolve],
    withReflection: config.reflection,
  });
  const admin =
    config.adminListen &&
    (await listenGrpc({
      listen: showHostPort(config.adminListen),
      tls,
      services: [app.admin],
      withReflection: config.reflection,
    }));

  const stopping = new Canceller();
  const edge = createHttpEdge({
    tls: tls && {
      cert: tls.certificate.toString("utf8"),
      key: tls.key.toString("utf8"),
      clientCa: tls.clientCa?.toString("utf8"),
    },
    notReady,
  });
  await edge.app.register(connectPlugin(onMain, stopping));
  await edge.app.register(
    restPlugin({
      client: localClient<KeyringClient>(app.keyring),
      dialects: config.dialects,
      onInternalError: (error, errorId) => log.error("rest-failed", { errorId }, error),
    }),
  );
  await edge.app.listen(config.httpListen);
  const scrape = await listenForMetrics(metrics, config.metricsListen);

  grpc.setReady(true);
  admin?.setReady(true);
  const addresses: Addresses = {
    grpc: grpc.address,
    http: boundAddress(edge.app.server.address(), showHostPort(config.httpListen)),
    metrics: showHostPort(scrape.address),
    admin: admin?.address,
  };
  if (config.readyFile) {
    const { admin: adminAddress, ...main } = addresses;
    const ready = { ...main, ...(adminAddress && { admin: adminAddress }), pid: process.pid };
    await writePrivateFile(config.readyFile, `${JSON.stringify(ready)}\n`);
  }
  await announce();
  log.info("ready", { ...addresses, first: first.kind === "made" });

  return {
    addresses,
    stopSteps: [
      {
        name: "ready file",
        run: async () => {
          if (config.readyFile) await removeDurably(config.readyFile);
        },
      },
      {
        name: "listeners",
        run: async (signal) => {
          stopping.cancel();
          const graceMs = graceUntil(signal);
          await Promise.all([
            grpc.drain(graceMs),
            admin?.drain(graceMs),
            edge.drain(graceMs),
            scrape.close(),
          ]);
        },
      },
      { name: "background work", run: background.stop },
    ],
  };

  /** Keys are shown on a terminal, and only there; else people are told where the file lies. */
  async function announce(): Promise<void> {
    const isShown = first.kind === "made" && terminal.isTTY === true && !config.initKeysFile;
    // A start that was killed right after it made the keys showed them to nobody.
    const leftKeys =
      first.kind === "there-already" && first.file !== undefined
        ? [`The first keys still lie in ${absolute(first.file)}: keep them, then remove it.`]
        : [];
    terminal.write(
      banner({
        version,
        addresses,
        isTls: tls !== undefined,
        dataDirectory: absolute(config.dataDir),
        warnings: [...warningsOf(config), ...leftKeys],
        isFirstStart: first.kind === "made",
        shownKeys: isShown ? first.keys : undefined,
        keysFile: first.kind === "made" && !isShown ? absolute(first.file) : undefined,
      }),
    );
    if (isShown) await forgetFirstKeys(first.file);
  }
}

/** Calls in flight may take this long once the listeners close, in milliseconds; the drain's own grace is a little longer. */
const LISTENERS_GRACE_MS = 8_000;

const graceUntil = (signal: AbortSignal): number => (signal.aborted ? 0 : LISTENERS_GRACE_MS);

/** Views, relays, reaper and collector, until told to stop. One that ends before is on record, and shown in the status. */
function startBackground(
  config: StandaloneConfig<unknown>,
  ports: StandalonePorts,
  ledger: Ledger,
  relays: ReturnType<typeof auditApp>["relays"],
  log: Log,
): { readonly stop: () => Promise<void>; readonly lagSeconds: () => number } {
  const { host } = ports;
  const stop = new Canceller();
  let caughtUpAtMs = host.clock.monotonicMs();
  ledger.projector.onProgress(({ isCaughtUp }) => {
    if (isCaughtUp) caughtUpAtMs = host.clock.monotonicMs();
  });

  const retire = async (): Promise<void> => {
    const { accessRetentionMs } = config;
    while (accessRetentionMs !== undefined && !stop.aborted) {
      await ports.accessLog.retire(secondsAfter(host.clock.now(), -accessRetentionMs / 1_000));
      await host.pause(RETIRE_EVERY_MS, stop);
    }
  };
  const running = Object.entries({
    views: ledger.projector.run(stop),
    "audit-changes": relays.changes.run(stop),
    "audit-access": relays.access.run(stop),
    reaper: ledger.reaper.run(stop),
    collector: ledger.collector.run(stop),
    "data keys": ledger.opener.run(stop),
    retention: retire(),
  }).map(([part, run]) =>
    run.catch((error: unknown) => log.error("background-work-ended", { part }, error)),
  );
  return {
    lagSeconds: () =>
      ledger.projector.state().isCaughtUp ? 0 : (host.clock.monotonicMs() - caughtUpAtMs) / 1_000,
    async stop() {
      stop.cancel();
      await Promise.all(running);
    },
  };
}

/** Nothing is served from views that are behind. A rebuild shows how far it is. */
async function viewsCaughtUp(ledger: Ledger, terminal: Terminal): Promise<void> {
  const progress = progressLine(terminal);
  await new Promise<void>((resolve) => {
    const look = (isCaughtUp: boolean, events: number): void => {
      if (isCaughtUp) resolve();
      else if (events > 0)
        progress.show(`  building the views: ${events.toLocaleString("en")} events`);
    };
    ledger.projector.onProgress((state, events) => look(state.isCaughtUp, events));
    look(ledger.projector.state().isCaughtUp, 0);
  });
  progress.end();
}

function boundAddress(bound: unknown, asked: string): string {
  const isInfo = typeof bound === "object" && bound !== null && "port" in bound;
  return isInfo ? `${asked.slice(0, asked.lastIndexOf(":"))}:${String(bound.port)}` : asked;
}
