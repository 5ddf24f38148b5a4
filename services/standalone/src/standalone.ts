import { resolve as absolute } from "node:path";
import { type AuditApp, auditApp } from "@keyledger/audit";
import {
  type AuditSink,
  Canceller,
  createLedger,
  type Ledger,
  type LedgerPorts,
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
import { type Background, startBackground } from "./background.ts";
import { type Addresses, banner } from "./banner.ts";
import { type StandaloneConfig, warningsOf } from "./config.ts";
import { ensureFirstKeys, forgetFirstKeys } from "./init-keys.ts";
import type { Terminal } from "./terminal.ts";
import { viewsCaughtUp } from "./views-caught-up.ts";

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

/**
 * All services in one process: views brought up to the log, background work and listeners started, first keys made.
 * @returns `undefined` where it was told to stop before it was ready.
 */
export async function startStandalone(
  config: StandaloneConfig<unknown>,
  ports: StandalonePorts,
  options: { log: Log; terminal: Terminal; version: string; stopped: Promise<unknown> },
): Promise<Standalone | undefined> {
  const { log, terminal, stopped } = options;
  const ledger = createLedger(ports, {
    probePolicy: config.probePolicy,
    byokDefault: config.byokDefault,
  });
  const relays = auditApp({
    feeds: { changes: ports.log, access: ports.accessLog },
    sink: ports.sink,
    host: ports.host,
  }).relays;
  const { accessRetentionMs } = config;
  const background = startBackground(ports, { ledger, relays, log, accessRetentionMs });
  try {
    const ended = background.viewsEnded;
    if (await viewsCaughtUp(ledger.projector, { ended, stopped, terminal })) {
      return await serve(config, ports, options, { ledger, relays, background });
    }
  } catch (error) {
    await background.stop();
    throw error;
  }
  await background.stop();
  return undefined;
}

/** Listens first and makes the first keys then: a start that finds its port taken must not have made any. */
async function serve(
  config: StandaloneConfig<unknown>,
  ports: StandalonePorts,
  { log, terminal, version }: { log: Log; terminal: Terminal; version: string },
  {
    ledger,
    relays,
    background,
  }: { ledger: Ledger; relays: AuditApp["relays"]; background: Background },
): Promise<Standalone> {
  const { host, tls } = ports;
  const startedAt = host.clock.now();

  // Told to anybody: what exactly is wrong stands in the log and in GetStatus.
  const notReady = (): readonly string[] =>
    ledger.isFresh() ? [] : ["the views are not at the end of the log"];
  const problems = (): readonly string[] => [
    ...[ledger.projector.state(), relays.changes.state(), relays.access.state()].flatMap(
      ({ problem }) => problem ?? [],
    ),
    ...background.ended().map((part) => `${part} ended: see the log line background-work-ended`),
  ];
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
      problems: problems(),
    };
  };

  const metrics = createMetrics(METHOD_NAMES);
  metrics.observe({
    shredBacklog: () => ports.models.pendingShredCount(),
    projectionLagSeconds: background.lagSeconds,
  });
  const onFault = (method: string, error: unknown, reason: string) =>
    log.error("call-failed", { method, reason }, error);
  const app = keyringApp(ledger, {
    authenticate: createAuthenticator({
      callerKeys: ledger.callerKeys,
      verifyToken: ports.verifyToken,
      mac: ledger.mac,
    }),
    host,
    observe: metrics.requestDone,
    onFault,
    status,
  });
  const onMain = [app.keyring, app.audit, ...(config.adminListen ? [] : [app.admin])];

  const grpc = await listenGrpc({
    listen: showHostPort(config.grpcListen),
    tls,
    services: [...onMain, app.resolve],
    withReflection: config.reflection,
    onFault,
  });
  const admin =
    config.adminListen &&
    (await listenGrpc({
      listen: showHostPort(config.adminListen),
      tls,
      services: [app.admin],
      withReflection: config.reflection,
      onFault,
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
  await edge.app.register(connectPlugin(onMain, stopping, onFault));
  await edge.app.register(
    restPlugin({
      client: localClient<KeyringClient>(app.keyring),
      dialects: config.dialects,
      onInternalError: (error, errorId) => log.error("rest-failed", { errorId }, error),
    }),
  );
  await edge.app.listen(config.httpListen);
  const scrape = await listenForMetrics(metrics, config.metricsListen);

  const first = await ensureFirstKeys({
    callerKeys: ledger.callerKeys,
    models: ports.models,
    deploymentId: ports.deploymentId,
    dataDirectory: config.dataDir,
    file: config.initKeysFile,
    host,
  });

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

function boundAddress(bound: unknown, asked: string): string {
  const isInfo = typeof bound === "object" && bound !== null && "port" in bound;
  return isInfo ? `${asked.slice(0, asked.lastIndexOf(":"))}:${String(bound.port)}` : asked;
}
