import type { KeyringView } from "../domain/views.ts";
import type { Owner, Position } from "../domain/vocabulary.ts";
import type { AccessLog } from "../ports/access-log.ts";
import type { EventLog } from "../ports/event-log.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import type { Kek } from "../ports/kek.ts";
import type { KeyProbe } from "../ports/key-probe.ts";
import type { ProviderCatalogue } from "../ports/provider-catalogue.ts";
import type { ReadModels } from "../ports/read-models.ts";
import type { SecretStore } from "../ports/secret-store.ts";
import { createAuditQueries } from "./audit-queries.ts";
import { createCallerKeys } from "./caller-keys.ts";
import { createCollector } from "./collect.ts";
import { createDeleteKey } from "./delete-key.ts";
import { createEnvelope } from "./envelope.ts";
import { createCommandHandler } from "./handle-command.ts";
import { createKeyringLoader } from "./load-keyring.ts";
import { createMac, type MacRoot } from "./mac.ts";
import { createMaterialOpener } from "./open-material.ts";
import type { ProbePolicy } from "./probe-policy.ts";
import { createProjector } from "./project.ts";
import { createQueries } from "./queries.ts";
import { createReaper } from "./reap.ts";
import { createAccessRecorder } from "./record-access.ts";
import { createResolveKey } from "./resolve-key.ts";
import { createSetEntitlement, createSetMode } from "./set-mode.ts";
import { createShredder } from "./shred.ts";
import { createKeyWriter } from "./write-key.ts";

/** What a process lends to the use cases. */
export interface LedgerPorts {
  readonly log: EventLog;
  readonly accessLog: AccessLog;
  readonly secrets: SecretStore;
  readonly kek: Kek;
  readonly models: ReadModels;
  readonly catalogue: ProviderCatalogue;
  readonly probe: KeyProbe;
  readonly macRoot: MacRoot;
  readonly host: Host;
}

export interface LedgerSettings {
  readonly probePolicy: ProbePolicy;
  /** The feature gate where nothing else is said. */
  readonly byokDefault: "on" | "off";
}

export type Ledger = ReturnType<typeof createLedger>;

/** How long an acknowledgement waits for the views of this process, in milliseconds. */
const SETTLE_WAIT_MS = 2_000;

/** All use cases over one set of ports. Nothing here is opened or closed. */
export function createLedger(ports: LedgerPorts, settings: LedgerSettings) {
  const { log, accessLog, secrets, models, host } = ports;
  const mac = createMac(ports.macRoot, host.crypto);
  const envelope = createEnvelope(ports.kek, host);
  const projector = createProjector({ log, models, host });
  const loader = createKeyringLoader(log);

  // The acknowledgement waits for the view, so that no reader ever has to.
  const settled = (position: Position, signal: CancelSignal) =>
    projector.reached(position, signal, SETTLE_WAIT_MS);
  const handler = createCommandHandler({ log, host, loader, settled });

  const reaper = createReaper({ handler, models, secrets, host });
  // Views that stopped show keys that are gone and callers that are revoked: nothing may be answered from them.
  const isFresh = (): boolean => {
    const { isCaughtUp, problem } = projector.state();
    return isCaughtUp && problem === null;
  };
  const collector = createCollector({ loader, isFresh, models, secrets, host });
  const opener = createMaterialOpener({ secrets, envelope, host });
  const recorder = createAccessRecorder({ accessLog, host });
  const shredder = createShredder({ secrets, host, forget: opener.forget, wake: reaper.wake });

  const isOpen = (view: KeyringView | undefined): boolean =>
    (view?.entitlement ?? settings.byokDefault) === "on";

  return {
    projector,
    reaper,
    collector,
    opener,
    mac,
    keys: createKeyWriter({
      handler,
      models,
      catalogue: ports.catalogue,
      probe: ports.probe,
      policy: settings.probePolicy,
      secrets,
      envelope,
      mac,
      host,
      shredder,
    }),
    deleteKey: createDeleteKey({ handler, shredder, mac, host }),
    setMode: createSetMode({ handler, mac, host }),
    setEntitlement: createSetEntitlement({ handler, mac, host }),
    callerKeys: createCallerKeys({ log, models, mac, host, settled }),
    queries: createQueries({ feed: log, models, projector, clock: host.clock, isGateOpen: isOpen }),
    audit: createAuditQueries({ changes: log, access: accessLog }, host.crypto),
    resolveKey: createResolveKey({
      models,
      opener,
      recorder,
      host,
      isGateOpen: isOpen,
      zero: log.zero,
    }),
    recordRefusal: recorder.recordRefusal,
    /** The views are at the end of the log, as far as this process knows. */
    isFresh,
    /** The feature gate of an owner. */
    isGateOpen: (owner: Owner): boolean => isOpen(models.keyring(owner)),
  };
}
