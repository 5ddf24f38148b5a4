import { CHAIN_START, canonicalJson, chained, type NewEvent } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { MemoryEventLog } from "../../core/support/memory-feeds.ts";

const { crypto, random } = nodeHost();

/** One event of a keyring, chained, with all the metadata that events have. */
export function newEvent(
  { stream, revision, prevHash }: { stream: string; revision: number; prevHash: string },
  changes: { readonly data?: string; readonly time?: string } = {},
): NewEvent {
  const id = random.uuid();
  const event = {
    id,
    type: "KeyProbed",
    data: canonicalJson({
      code: "ok",
      keyId: id,
      outcome: "valid",
      secretVersion: random.uuid(),
    }),
    metadata: {
      $correlationId: random.uuid(),
      actor: "user.ann",
      actorType: "team-admin",
      owner: stream.replace(/^keyring-/, ""),
      requestId: random.uuid(),
      schemaVersion: "1",
      time: "2026-01-02T03:04:05.678Z",
    },
    ...(changes.data !== undefined && { data: changes.data }),
  };
  if (changes.time !== undefined) event.metadata.time = changes.time;
  return { ...event, metadata: chained(crypto, prevHash, { ...event, stream, revision }) };
}

/** Events of many owners by turns, each stream chained and contiguous. */
export function* newEvents(
  count: number,
  owners: number,
  changesOf: (nth: number) => Parameters<typeof newEvent>[1] = () => ({}),
): Generator<{ readonly stream: string; readonly revision: number; readonly event: NewEvent }> {
  const heads = new Map<string, { revision: number; hash: string }>();
  for (let nth = 0; nth < count; nth++) {
    const stream = `keyring-team.${(nth * 7919) % owners}`;
    const head = heads.get(stream) ?? { revision: -1, hash: CHAIN_START };
    const revision = head.revision + 1;
    const event = newEvent({ stream, revision, prevHash: head.hash }, changesOf(nth));
    heads.set(stream, { revision, hash: event.metadata.hash ?? "" });
    yield { stream, revision, event };
  }
}

/** A feed in memory that holds such events. */
export function newFeed(...spec: Parameters<typeof newEvents>): MemoryEventLog {
  const log = new MemoryEventLog();
  for (const { stream, revision, event } of newEvents(...spec)) log.add(event, stream, revision);
  return log;
}
