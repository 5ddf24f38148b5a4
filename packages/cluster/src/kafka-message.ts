import { type AuditRecord, Corrupted, isUuid, type Owner, type Uuid } from "@keyledger/core";

/**
 * Audit record → Kafka message: CloudEvents 1.0 in binary mode, the attributes as headers, the record as value. Nothing
 * here depends on the run that sends it, so a replay is byte for byte what was sent first. An attribute that would be
 * empty is left out, as CloudEvents asks.
 */
export interface KafkaMessage {
  /** Decides the partition, so that all events of one stream stand in one, in order. */
  readonly key: string;
  readonly value: Uint8Array;
  readonly headers: Readonly<Record<string, string>>;
  /** The event's own time: what a topic's retention goes by. Milliseconds since 1970, as decimal text. */
  readonly timestamp: string;
}

/** What became of one record: itself; or, where it cannot be published, a marker in its place and an entry for people. */
export type Published =
  | { readonly message: KafkaMessage; readonly deadLetter?: undefined }
  | { readonly message: KafkaMessage; readonly deadLetter: KafkaMessage };

/** Why a record cannot be published. */
export type Poison = "malformed" | "not-json" | "too-large";

export interface MessageSource {
  readonly feed: "changes" | "access";
  readonly deploymentId: Uuid;
}

/** Key, value and headers of one message. The brokers' default limit for a whole batch is 1,048,588 bytes. */
export const MESSAGE_BYTES_MAX = 1_000_000;

/** @throws {Corrupted} where not even stream and revision are there: without them no gap could be marked. */
export function publish(record: AuditRecord, source: MessageSource): Published {
  const poison = poisonIn(record);
  if (poison === undefined) {
    const message = auditMessage(record, source);
    if (messageBytes(message) <= MESSAGE_BYTES_MAX) return { message };
  }
  return poisoned(record, source, poison ?? "too-large");
}

/** Bytes a message takes in a batch, give or take a few for its lengths. */
export function messageBytes({ key, value, headers }: KafkaMessage): number {
  let bytes = key.length + value.byteLength + FRAME_BYTES;
  for (const name in headers) bytes += name.length + Buffer.byteLength(headers[name] ?? "") + 4;
  return bytes;
}

const FRAME_BYTES = 32;

function auditMessage(record: AuditRecord, { deploymentId }: MessageSource): KafkaMessage {
  const { stream, eventId, type, schemaVersion, time, actor } = record;
  const key = keyOf(stream);
  const revision = String(record.revision);
  return {
    key,
    value: Buffer.from(recordJson(record)),
    headers: present({
      stream,
      revision,
      position: record.position,
      "content-type": "application/json",
      ce_specversion: "1.0",
      ce_id: eventId,
      ce_source: `/keyledger/${deploymentId}`,
      ce_type: `${TYPE_PREFIX}.${dotted(type)}.v${schemaVersion}`,
      ce_subject: subjectOf(record),
      ce_time: time,
      ce_dataschema: "urn:keyledger:proto:keyledger.v1.AuditRecord",
      ce_correlationid: record.correlationId,
      ce_causationid: record.causationId,
      ce_sequence: sequence(revision),
      ce_partitionkey: key,
      ce_authtype: authTypeOf(actor),
      ce_authid: actor,
      ce_traceparent: record.traceparent,
      ce_dataclassification: "confidential",
      // The log stamps an event when it records it: there is no second time that a replay would not change.
      ce_recordedtime: time,
      ce_keyledgerhash: record.hash,
    }),
    timestamp: timestampOf(time),
  };
}

function poisoned(record: AuditRecord, { feed, deploymentId }: MessageSource, code: Poison) {
  const { stream, position } = record;
  if (stream === "" || !Number.isSafeInteger(record.revision) || record.revision < 0) {
    throw new Corrupted(`an event of the feed ${feed} has no place in a stream`);
  }
  const key = keyOf(stream);
  const revision = String(record.revision);
  const timestamp = timestampOf(record.time);
  const event = (type: string, value: object): KafkaMessage => ({
    key,
    value: Buffer.from(JSON.stringify(value)),
    headers: {
      stream,
      revision,
      position,
      "content-type": "application/json",
      ce_specversion: "1.0",
      ce_id: `${stream}/${revision}`,
      ce_source: `/keyledger/${deploymentId}`,
      ce_type: type,
      ce_subject: `streams/${stream}`,
      ce_sequence: sequence(revision),
      ce_partitionkey: key,
    },
    timestamp,
  });
  return {
    message: event(GAP_MARKER, { code, position, revision, stream }),
    // By form only: whatever made the record poison must not get out through the entry about it.
    deadLetter: event(DEAD_LETTER, {
      code,
      feed,
      hash: HASH.test(record.hash) ? record.hash : "",
      position,
      revision,
      stream,
    }),
  };
}

const TYPE_PREFIX = "io.keyledger";
/** Stands on the main topic in place of an event that cannot be published, so that revisions stay contiguous. */
export const GAP_MARKER = `${TYPE_PREFIX}.audit.gap.v1`;
export const DEAD_LETTER = `${TYPE_PREFIX}.audit.dead-letter.v1`;

const TYPE = /^[A-Z][A-Za-z0-9]{0,63}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/;
const HASH = /^[0-9a-f]{64}$/;
const POSITION = /^[0-9a-f]{2,128}$/;
const STREAM = /^[a-z]+-[A-Za-z0-9_.:-]{1,240}$/;
/** Actors, ids of requests and trace contexts: what becomes a header is printable ASCII. */
const HEADER = /^[\x20-\x7e]{0,256}$/;

function poisonIn(record: AuditRecord): Poison | undefined {
  const isFormed =
    STREAM.test(record.stream) &&
    Number.isSafeInteger(record.revision) &&
    record.revision >= 0 &&
    POSITION.test(record.position) &&
    isUuid(record.eventId) &&
    TYPE.test(record.type) &&
    Number.isSafeInteger(record.schemaVersion) &&
    record.schemaVersion > 0 &&
    TIME.test(record.time) &&
    HASH.test(record.hash) &&
    [record.actor, record.correlationId, record.causationId, record.traceparent].every((text) =>
      HEADER.test(text),
    );
  if (!isFormed) return "malformed";
  return dataOf(record) === undefined ? "not-json" : undefined;
}

/** @returns `undefined` where the data is no JSON object. */
function dataOf({ data }: AuditRecord): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(data);
    return value !== null && typeof value === "object" && !Array.isArray(value)
      ? { ...value }
      : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The JSON form of `keyledger.v1.AuditRecord`, as every protobuf library reads it and as the audit service answers it,
 * with sorted names; members are there even when empty.
 */
const recordJson = (record: AuditRecord): string =>
  JSON.stringify({
    actor: record.actor,
    actorType: record.actorType,
    causationId: record.causationId,
    correlationId: record.correlationId,
    dataDigest: record.dataDigest,
    dataJson: record.data,
    eventId: record.eventId,
    hash: record.hash,
    metadataDigest: record.metadataDigest,
    owner: record.owner && ownerJson(record.owner),
    position: record.position,
    prevHash: record.prevHash,
    requestId: record.requestId,
    revision: String(record.revision),
    schemaVersion: record.schemaVersion,
    stream: record.stream,
    time: record.time,
    traceparent: record.traceparent,
    type: record.type,
  });

const ownerJson = ({ kind, id }: Owner) => ({ id, kind: `OWNER_KIND_${kind.toUpperCase()}` });

const KEYRING = "keyring-";

/**
 * The owner whose keyring a stream is, or the stream's name. Read from the name alone: an access record names an owner
 * too, but its stream is the node's, and one stream must never be spread over two partitions.
 */
export const keyOf = (stream: string): string =>
  stream.startsWith(KEYRING) ? stream.slice(KEYRING.length) : stream;

/** `KeyHealthChanged` → `key.health.changed` */
const dotted = (type: string): string => type.replace(/(?<!^)(?=[A-Z])/g, ".").toLowerCase();

function subjectOf(record: AuditRecord): string {
  const { owner, stream } = record;
  if (owner === null) return `streams/${stream}`;
  const keyId = dataOf(record)?.keyId;
  const about = `owners/${owner.kind}.${owner.id}`;
  return typeof keyId === "string" && isUuid(keyId) ? `${about}/keys/${keyId}` : about;
}

/** Values of the CloudEvents extension "Auth Context". */
function authTypeOf(actor: string): string {
  if (actor.startsWith("user.")) return "app_user";
  return actor.startsWith("caller.") ? "api_key" : "system";
}

/** 20 digits, enough for every uint64: sequences are compared as text. */
const sequence = (revision: string): string => revision.padStart(20, "0");

function timestampOf(time: string): string {
  const ms = Date.parse(time);
  return String(Number.isNaN(ms) ? 0 : ms);
}

const present = (headers: Readonly<Record<string, string>>): Readonly<Record<string, string>> =>
  Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== ""));
