import { join } from "node:path";
import {
  Canceller,
  type Host,
  keyringStream,
  type Ledger,
  type Owner,
  ownerName,
  type RecordedEvent,
  Secret,
} from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { temporaryDirectory } from "../../support/keyledger-process.ts";
import { callsPerSecond } from "../callers.ts";
import { type EmbeddedLedger, openLedger } from "../embedded-ledger.ts";
import type { Figure, Goal } from "../figure.ts";
import { interleave } from "../interleave.ts";
import { madeUpKey } from "../material.ts";
import type { Effort } from "../options.ts";
import { openRawLog, openRawSecrets } from "../raw-sqlite.ts";

const LEVELS: readonly { readonly callers: number; readonly goal: Goal | null }[] = [
  { callers: 1, goal: null },
  { callers: 8, goal: null },
  { callers: 64, goal: { kind: "at-least-times-baseline", bound: 0.3 } },
];

/**
 * Upserts of new keys on owners that have none, at the use case: all that an upsert does but the transport. Beside it
 * the least that such a write could be: the same bytes as one row of a secrets file, then as one row of a log.
 */
export async function upsertAtUseCase(
  effort: Effort,
  report: (figure: Figure) => void,
): Promise<void> {
  await using directory = await temporaryDirectory();
  const host = nodeHost();
  await using embedded = await openLedger(join(directory.path, "ledger"), host);
  using secrets = openRawSecrets(join(directory.path, "raw-secrets.db"));
  using log = openRawLog(join(directory.path, "raw-log.db"));
  const upsert = upserter(embedded.ledger, host);
  const { event, recordBytes } = await storedBy(embedded, await upsert());
  const record = Buffer.alloc(recordBytes, "s");
  const metadata = JSON.stringify(event.metadata);
  let written = 0;
  const write = async (): Promise<void> => {
    // In time's order, as the ids of keys are; the ids of events are digests, in no order.
    const reference = Buffer.from(host.random.uuid().replaceAll("-", ""), "hex");
    const stream = keyringStream({ kind: "team", id: `raw-${written++}` });
    await secrets.put(Buffer.concat([reference, reference, Buffer.from(stream)]), record);
    await log.put(host.random.bytes(16), stream, 0, event.type, event.data, metadata);
  };

  await callsPerSecond(64, effort.warmUpMs, upsert);
  await callsPerSecond(64, effort.sampleMs, write);
  for (const { callers, goal } of LEVELS) {
    const { subject, baseline } = await interleave(effort, {
      subject: () => callsPerSecond(callers, effort.sampleMs, upsert),
      baseline: () => callsPerSecond(callers, effort.sampleMs, write),
    });
    report({
      name: `upsert at the use case, ${callers} ${callers === 1 ? "caller" : "callers"}`,
      unit: "/s",
      subject,
      baseline: { name: "raw SQLite", samples: baseline },
      goal,
    });
  }
}

/** @returns a function that upserts the first key of another owner each time, and tells whose. */
function upserter(ledger: Ledger, host: Host): () => Promise<Owner> {
  let owners = 0;
  return async () => {
    const owner: Owner = { kind: "team", id: `bench-${owners++}` };
    const requestId = host.random.uuid();
    using secret = new Secret(madeUpKey());
    const answer = await ledger.keys.upsertKey(
      {
        owner,
        stamp: {
          actor: "system.bench",
          actorType: "system",
          requestId,
          correlationId: requestId,
          time: host.clock.now(),
        },
        expected: undefined,
        signal: new Canceller(),
        remainingMs: 5_000,
      },
      { provider: "openai", secret, name: undefined, location: undefined },
    );
    if ("rejected" in answer) throw new Error(`an upsert was refused: ${answer.rejected.reason}`);
    return owner;
  };
}

/** What one upsert stored, without what the adapters put around it. */
async function storedBy(
  { log, secrets }: EmbeddedLedger,
  owner: Owner,
): Promise<{ readonly event: RecordedEvent; readonly recordBytes: number }> {
  const [event] = await log.readStream(keyringStream(owner), { from: 0, limit: 1 });
  const { keyId, secretVersion } = JSON.parse(event?.data ?? "{}");
  const held = await secrets.get({ owner: ownerName(owner), keyId, secretVersion });
  if (!event || !held) throw new Error("an upsert did not store what it should");
  const { wrappedDek, iv, ciphertext, tag, contextSha256 } = held.record;
  const parts = [wrappedDek.bytes, iv, ciphertext, tag, contextSha256];
  return { event, recordBytes: parts.reduce((sum, part) => sum + part.length, 0) };
}
