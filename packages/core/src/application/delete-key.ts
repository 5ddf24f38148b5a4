import type { KeyringEvent } from "../domain/events.ts";
import type { Uuid } from "../domain/vocabulary.ts";
import { ownerName } from "../domain/vocabulary.ts";
import type { Host } from "../ports/host.ts";
import { type Answer, requestMac, type WriteCall } from "./call.ts";
import type { CommandHandler } from "./handle-command.ts";
import type { Mac } from "./mac.ts";
import { releasedBy } from "./seal-material.ts";
import type { Shredder } from "./shred.ts";

export type DeleteTarget = { readonly keyId: Uuid } | { readonly soleKeyOf: string };

export interface DeletedKey {
  readonly keyId: Uuid;
  readonly provider: string;
  readonly autoSwitched: boolean;
  readonly remainingKeys: number;
  readonly wipePending: boolean;
}

/**
 * Append, then destroy the material, then answer. A crash between leaves material that nobody can resolve and the reaper
 * destroys; the other order would leave a live key without material.
 */
export function createDeleteKey({
  handler,
  shredder,
  mac,
  host,
}: {
  handler: CommandHandler;
  shredder: Shredder;
  mac: Mac;
  host: Host;
}): (call: WriteCall, target: DeleteTarget) => Promise<Answer<DeletedKey>> {
  return async (call, target) => {
    const wipe = (events: readonly KeyringEvent[]) =>
      shredder.shred(releasedBy(call.owner, events));
    const outcome = await handler.handle({
      ...call,
      onUnsettled: (events) => void wipe(events),
      requestMac: requestMac({ mac, crypto: host.crypto }, ownerName(call.owner), "DeleteKey", {
        ...target,
        expected: call.expected === undefined ? "any" : String(call.expected),
      }),
      command: () => ({ type: "DeleteKey", target }),
    });
    if ("rejected" in outcome) return outcome;
    const deleted = outcome.events.find((event) => event.type === "KeyDeleted");
    const key = deleted && outcome.before.keys.get(deleted.keyId);
    if (!key) return { rejected: { reason: "key-not-found" } };
    return {
      keyId: key.keyId,
      provider: key.provider,
      autoSwitched: outcome.events.some(({ type }) => type === "ModeSet"),
      remainingKeys: outcome.keyring.keys.size,
      // A repeat finishes what is unfinished: shredding twice changes nothing.
      wipePending: await wipe(outcome.events),
      revision: outcome.keyring.editRevision,
      position: outcome.position,
    };
  };
}
