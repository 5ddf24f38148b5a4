import { join } from "node:path";
import {
  Canceller,
  createLedger,
  type EventLog,
  type Host,
  type KeyProbe,
  type Ledger,
  type SecretStore,
} from "@keyledger/core";
import { openEmbedded, openReadModels } from "@keyledger/embedded";
import { providerCatalogue } from "@keyledger/providers";

/** The use cases over the embedded adapters in a directory, the views being kept at the end of the log. */
export interface EmbeddedLedger extends AsyncDisposable {
  readonly ledger: Ledger;
  readonly log: EventLog;
  readonly secrets: SecretStore;
}

// The policy below asks no provider.
const neverAsked: KeyProbe = {
  probe: () => Promise.reject(new Error("a provider was asked although probes are off")),
};

export async function openLedger(directory: string, host: Host): Promise<EmbeddedLedger> {
  const embedded = await openEmbedded({ directory, host });
  const models = openReadModels({
    file: join(directory, "views.db"),
    deploymentId: embedded.deploymentId,
    onReset: () => {},
  });
  const ledger = createLedger(
    { ...embedded, models, host, catalogue: providerCatalogue(), probe: neverAsked },
    {
      probePolicy: { isOn: false, onRejected: "reject", onIndeterminate: "store" },
      byokDefault: "on",
    },
  );
  const stop = new Canceller();
  const following = ledger.projector.run(stop);
  return {
    ledger,
    log: embedded.log,
    secrets: embedded.secrets,
    async [Symbol.asyncDispose]() {
      stop.cancel();
      await following;
      models[Symbol.dispose]();
      await embedded[Symbol.asyncDispose]();
    },
  };
}
