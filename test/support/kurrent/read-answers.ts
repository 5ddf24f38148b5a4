import { shared, streams, timestamp } from "./generated.ts";
import type { StoredEvent } from "./store.ts";
import { writeUuid } from "./uuid.ts";

const { ReadResp } = streams;

/** Ticks of 100 nanoseconds in a millisecond. */
const TICKS = 10_000n;

export function eventAnswer(event: StoredEvent, structuredIds: boolean): streams.ReadResp {
  const recorded = new ReadResp.ReadEvent.RecordedEvent();
  recorded
    .setId(writeUuid(event.id, structuredIds))
    .setStreamIdentifier(identifier(event.stream))
    .setStreamRevision(String(event.revision))
    .setCommitPosition(String(event.position))
    .setPreparePosition(String(event.position))
    .setCustomMetadata(event.metadata)
    .setData(event.data);
  recorded
    .getMetadataMap()
    .set("type", event.type)
    .set("content-type", event.contentType)
    .set("created", String(BigInt(event.createdMs) * TICKS));
  const read = new ReadResp.ReadEvent();
  read.setEvent(recorded).setCommitPosition(String(event.position));
  return new ReadResp().setEvent(read);
}

export function confirmationAnswer(id: string): streams.ReadResp {
  return new ReadResp().setConfirmation(
    new ReadResp.SubscriptionConfirmation().setSubscriptionId(id),
  );
}

export function checkpointAnswer(position: bigint, nowMs: number): streams.ReadResp {
  const checkpoint = new ReadResp.Checkpoint();
  checkpoint
    .setCommitPosition(String(position))
    .setPreparePosition(String(position))
    .setTimestamp(timestampOf(nowMs));
  return new ReadResp().setCheckpoint(checkpoint);
}

/** @param at revision in a stream, or position where it is about all of them. */
export function caughtUpAnswer(
  at: { readonly revision: bigint } | { readonly position: bigint },
  nowMs: number,
): streams.ReadResp {
  const caughtUp = new ReadResp.CaughtUp().setTimestamp(timestampOf(nowMs));
  if ("revision" in at) {
    if (at.revision >= 0n) caughtUp.setStreamRevision(String(at.revision));
  } else {
    const position = new ReadResp.Position();
    position.setCommitPosition(String(at.position)).setPreparePosition(String(at.position));
    caughtUp.setPosition(position);
  }
  return new ReadResp().setCaughtUp(caughtUp);
}

export const notFoundAnswer = (stream: string): streams.ReadResp =>
  new ReadResp().setStreamNotFound(
    new ReadResp.StreamNotFound().setStreamIdentifier(identifier(stream)),
  );

export const firstAnswer = (revision: bigint): streams.ReadResp =>
  new ReadResp().setFirstStreamPosition(String(revision));

export const lastAnswer = (revision: bigint): streams.ReadResp =>
  new ReadResp().setLastStreamPosition(String(revision));

export const identifier = (stream: string): shared.StreamIdentifier =>
  new shared.StreamIdentifier().setStreamName(Buffer.from(stream, "utf8").toString("base64"));

function timestampOf(ms: number) {
  const at = new timestamp.Timestamp();
  at.fromDate(new Date(ms));
  return at;
}
