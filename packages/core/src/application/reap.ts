import { type Owner, ownerName } from "../domain/vocabulary.ts";
import { Fault } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import type { ReadModels } from "../ports/read-models.ts";
import type { SecretStore } from "../ports/secret-store.ts";
import { Canceller } from "./canceller.ts";
import type { CommandHandler } from "./handle-command.ts";

/** Destroys what a crash left behind every deletion and rotation, and puts the evidence on record. */
export interface Reaper {
  /** Until the signal aborts. */
  run(signal: CancelSignal): Promise<void>;
  /** There may be work. */
  wake(): void;
}

/** Looks for work this often without being woken, in milliseconds. */
const REAP_EVERY_MS = 1_000;
const OWNERS_AT_ONCE = 100;

export function createReaper({
  handler,
  models,
  secrets,
  host,
}: {
  handler: CommandHandler;
  models: ReadModels;
  secrets: SecretStore;
  host: Host;
}): Reaper {
  let idle = new Canceller();

  async function reapOwner(owner: Owner, signal: CancelSignal): Promise<void> {
    for (const { keyId, secretVersion } of models.keyring(owner)?.pendingShreds ?? []) {
      if (signal.aborted) return;
      await secrets.shred({ owner: ownerName(owner), keyId, secretVersion });
      const id = host.random.uuid();
      await handler.handle({
        owner,
        requestMac: "",
        expected: undefined,
        signal,
        stamp: {
          actor: "system.reaper",
          actorType: "system",
          requestId: id,
          correlationId: id,
          time: host.clock.now(),
        },
        command: () => ({
          type: "RecordShred",
          secretVersion,
          store: secrets.store,
          method: secrets.method,
        }),
      });
    }
  }

  return {
    wake: () => idle.cancel(),

    async run(signal) {
      const stop = () => idle.cancel();
      signal.addEventListener("abort", stop);
      while (!signal.aborted) {
        // Made before the look: what comes meanwhile cuts the next pause short.
        idle = new Canceller();
        const owners = models.ownersWithPendingShreds(OWNERS_AT_ONCE);
        let finished = 0;
        for (const owner of owners) {
          try {
            await reapOwner(owner, signal);
            finished++;
          } catch (error) {
            // The backlog stays on record and is tried again; only a bug may end the reaper.
            if (!(error instanceof Fault)) throw error;
          }
        }
        const isMore = owners.length === OWNERS_AT_ONCE && finished > 0;
        if (!isMore && !signal.aborted) await host.pause(REAP_EVERY_MS, idle);
      }
      signal.removeEventListener("abort", stop);
    },
  };
}
