import { shownMode } from "../domain/views.ts";
import { type Entitlement, type Mode, ownerName } from "../domain/vocabulary.ts";
import type { Host } from "../ports/host.ts";
import { type Answer, requestMac, type WriteCall } from "./call.ts";
import type { CommandHandler } from "./handle-command.ts";
import type { Mac } from "./mac.ts";

interface Parts {
  readonly handler: CommandHandler;
  readonly mac: Mac;
  readonly host: Host;
}

/** Chooses whose keys serve the owner. */
export function createSetMode({
  handler,
  mac,
  host,
}: Parts): (call: WriteCall, mode: Mode) => Promise<Answer<{ readonly mode: Mode }>> {
  return async (call, mode) => {
    const fields = { mode, expected: call.expected === undefined ? "any" : String(call.expected) };
    const outcome = await handler.handle({
      ...call,
      requestMac: requestMac(
        { mac, crypto: host.crypto },
        ownerName(call.owner),
        "SetMode",
        fields,
      ),
      command: () => ({ type: "SetMode", mode }),
    });
    if ("rejected" in outcome) return outcome;
    const { keyring, position } = outcome;
    return { mode: shownMode(keyring), revision: keyring.editRevision, position };
  };
}

/** Opens or closes the feature gate of one owner. */
export function createSetEntitlement({
  handler,
  mac,
  host,
}: Parts): (call: WriteCall, byok: Entitlement) => Promise<Answer<{ readonly byok: Entitlement }>> {
  return async (call, byok) => {
    const fields = { byok, expected: call.expected === undefined ? "any" : String(call.expected) };
    const scope = ownerName(call.owner);
    const outcome = await handler.handle({
      ...call,
      requestMac: requestMac({ mac, crypto: host.crypto }, scope, "SetEntitlement", fields),
      command: () => ({ type: "SetEntitlement", byok }),
    });
    if ("rejected" in outcome) return outcome;
    const { keyring, position } = outcome;
    return { byok: keyring.entitlement ?? byok, revision: keyring.editRevision, position };
  };
}
