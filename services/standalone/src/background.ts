import type { AuditApp } from "@keyledger/audit";
import { Canceller, Fault, type Ledger, type LedgerPorts, secondsAfter } from "@keyledger/core";
import type { Log } from "@keyledger/runtime";

/** Views, relays, reaper, collector, retention: what goes on whether anybody calls or not. */
export interface Background {
  /** Seconds since the views were last seen at the end of the log; 0 = they are. */
  lagSeconds(): number;
  /** Parts that ended before they were told to. */
  ended(): readonly string[];
  /** Rejects when the views stop for good: they met what they cannot read. Never resolves. */
  readonly viewsEnded: Promise<never>;
  stop(): Promise<void>;
}

const RETIRE_EVERY_MS = 60 * 60_000;

export function startBackground(
  { host, accessLog }: Pick<LedgerPorts, "host" | "accessLog">,
  {
    ledger,
    relays,
    log,
    accessRetentionMs,
  }: {
    ledger: Ledger;
    relays: AuditApp["relays"];
    log: Log;
    /** `undefined` = access records are kept for ever. */
    accessRetentionMs: number | undefined;
  },
): Background {
  const stop = new Canceller();
  let caughtUpAtMs = host.clock.monotonicMs();
  ledger.projector.onProgress(({ isCaughtUp }) => {
    if (isCaughtUp) caughtUpAtMs = host.clock.monotonicMs();
  });

  async function retire(): Promise<void> {
    while (accessRetentionMs !== undefined && !stop.aborted) {
      // What the sink has not got yet stays, however old it is.
      if (relays.access.state().isCaughtUp) {
        const before = secondsAfter(host.clock.now(), -accessRetentionMs / 1_000);
        await accessLog.retire(before).catch((error: unknown) => {
          if (!(error instanceof Fault)) throw error;
          log.warn("retention-failed", {}, error);
        });
      }
      await host.pause(relays.access.state().isCaughtUp ? RETIRE_EVERY_MS : 1_000, stop);
    }
  }

  const ended: string[] = [];
  const viewsStopped = Promise.withResolvers<never>();
  // Whoever waits for the views hears of it; where nobody does any more, the log and the status say it.
  viewsStopped.promise.catch(() => {});
  const running = Object.entries({
    views: ledger.projector.run(stop),
    "audit-changes": relays.changes.run(stop),
    "audit-access": relays.access.run(stop),
    reaper: ledger.reaper.run(stop),
    collector: ledger.collector.run(stop),
    "data keys": ledger.opener.run(stop),
    retention: retire(),
  }).map(([part, run]) =>
    run.catch((error: unknown) => {
      ended.push(part);
      log.error("background-work-ended", { part }, error);
      if (part === "views") viewsStopped.reject(error);
    }),
  );
  return {
    ended: () => ended,
    viewsEnded: viewsStopped.promise,
    lagSeconds: () =>
      ledger.projector.state().isCaughtUp ? 0 : (host.clock.monotonicMs() - caughtUpAtMs) / 1_000,
    async stop() {
      stop.cancel();
      await Promise.all(running);
    },
  };
}
