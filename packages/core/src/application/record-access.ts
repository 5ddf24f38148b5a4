import type { AccessEvent } from "../domain/events.ts";
import { type Owner, ownerName, type Stamp } from "../domain/vocabulary.ts";
import type { AccessLog } from "../ports/access-log.ts";
import { AuditUnavailable } from "../ports/faults.ts";
import type { Host } from "../ports/host.ts";
import { Canceller } from "./canceller.ts";
import { encodeData } from "./event-codec.ts";
import { metadataOf } from "./metadata.ts";

/** Puts on record who asked for what: every Resolve of a known caller leaves one record. */
export interface AccessRecorder {
  /** Durable once resolved. @throws {AuditUnavailable} it is not, or not in time. */
  record(event: AccessEvent, stamp: Stamp): Promise<void>;
  /** A call that was refused before anybody looked for a key. It stays refused even where it cannot be recorded. */
  recordRefusal(owner: Owner | null, reason: string, stamp: Stamp): Promise<void>;
}

/** A record that takes longer counts as failed, in milliseconds: a hanging log must not hang every gateway. */
const AUDIT_WAIT_MS = 250;

export function createAccessRecorder({
  accessLog,
  host,
}: {
  accessLog: AccessLog;
  host: Host;
}): AccessRecorder {
  async function record(event: AccessEvent, stamp: Stamp): Promise<void> {
    const written = accessLog.append({
      id: host.random.uuid(),
      type: event.type,
      data: encodeData(event),
      metadata: metadataOf(stamp, { owner: event.owner, requestMac: "" }),
    });
    const timer = new Canceller();
    const isLate = host.pause(AUDIT_WAIT_MS, timer).then(() => "late" as const);
    try {
      if ((await Promise.race([written, isLate])) === "late") throw new AuditUnavailable();
    } catch (error) {
      // What comes too late is still written, or fails unheard.
      written.catch(() => {});
      throw error instanceof AuditUnavailable ? error : new AuditUnavailable({ cause: error });
    } finally {
      timer.cancel();
    }
  }

  return {
    record,
    recordRefusal: (owner, reason, stamp) =>
      record(
        {
          type: "AccessRefused",
          owner: owner && ownerName(owner),
          // Nothing of a request that nobody checked is kept.
          provider: "",
          model: null,
          userId: null,
          callerKey: null,
          workspaceId: null,
          purpose: "",
          service: stamp.actor,
          source: null,
          keyId: null,
          secretVersion: null,
          reason,
          revisionSeen: null,
          leaseSeconds: null,
        },
        stamp,
      ).catch(() => {}),
  };
}
