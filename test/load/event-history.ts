import {
  CHAIN_START,
  chained,
  type EventLog,
  encodeData,
  type Host,
  type KeyringEvent,
  type NewEvent,
  ownerName,
} from "@keyledger/core";

/** Appends that wait for their commit at once. */
const WAITING = 200;

/**
 * Writes a history as owners leave it: two keys each, one of them edited, rotated and deleted again, with the evidence
 * of every wipe. The chain of hashes is real; only the secrets behind the keys never were.
 */
export async function writeHistory(log: EventLog, host: Host, events: number): Promise<void> {
  const owners = Math.ceil(events / EVENTS_PER_OWNER);
  let next = 0;
  const writer = async (): Promise<void> => {
    while (next < owners) {
      const owner = { kind: "team", id: `history-${next++}` } as const;
      const stream = `keyring-${ownerName(owner)}`;
      await log.append(stream, "none", chain(host, stream, ownerName(owner), lifeOfKeys(host)));
    }
  };
  await Promise.all(Array.from({ length: WAITING }, writer));
}

const EVENTS_PER_OWNER = 10;

function lifeOfKeys({ random }: Host): readonly KeyringEvent[] {
  const added = (provider: string, keyId: string, secretVersion: string): KeyringEvent => ({
    type: "KeyAdded",
    keyId,
    provider,
    secretVersion,
    fingerprint: `${keyId}:abcdefghijklmnop`,
    label: "sk-p...x7Qf",
    workspaceId: null,
    name: null,
    location: null,
    sortOrder: 0,
    fallback: false,
    disabled: false,
    allowedModels: null,
    allowedUsers: null,
    allowedCallerKeys: null,
    requiredForItsModels: false,
    byokOnly: false,
    declaredZdr: null,
    expiresAt: null,
  });
  const shredded = (keyId: string, secretVersion: string): KeyringEvent => ({
    type: "SecretShredded",
    keyId,
    secretVersion,
    store: "sqlite",
    method: "zeros-in-place",
  });
  const [stays, goes] = [random.uuid(), random.uuid()];
  const [first, second, third] = [random.uuid(), random.uuid(), random.uuid()];
  return [
    added("openai", stays, first),
    { type: "ModeSet", mode: "byok", because: "requested" },
    { type: "KeyProbed", keyId: stays, secretVersion: first, outcome: "valid", code: "ok" },
    added("anthropic", goes, second),
    { type: "KeyUpdated", keyId: goes, changes: { name: "a name", disabled: true } },
    { type: "KeyUpdated", keyId: goes, changes: { disabled: false } },
    {
      type: "KeyRotated",
      keyId: goes,
      secretVersion: third,
      supersededVersion: second,
      fingerprint: `${goes}:qrstuvwxyzabcdef`,
      label: "sk-a...9Kd2",
      location: null,
      expiresAt: null,
    },
    shredded(goes, second),
    { type: "KeyDeleted", keyId: goes, secretVersion: third, because: "requested" },
    shredded(goes, third),
  ];
}

function chain(
  { crypto, random, clock }: Host,
  stream: string,
  owner: string,
  events: readonly KeyringEvent[],
): readonly NewEvent[] {
  let prevHash = CHAIN_START;
  return events.map((event, revision) => {
    const id = random.uuid();
    const unchained = {
      id,
      type: event.type,
      data: encodeData(event),
      metadata: {
        $correlationId: id,
        actor: `caller.${id}`,
        actorType: "team-admin",
        owner,
        requestId: id,
        requestMac: `${id}:${"m".repeat(43)}`,
        schemaVersion: "1",
        time: clock.now(),
      },
    };
    const metadata = chained(crypto, prevHash, { ...unchained, stream, revision });
    prevHash = metadata.hash;
    return { ...unchained, metadata };
  });
}
