import type { KeyringEvent, LedgerEvent } from "../domain/events.ts";
import type { Happened } from "../domain/keyring.ts";
import type { RecordedEvent } from "../ports/event-log.ts";
import { decodeData, decodeKeyringEvent } from "./event-codec.ts";
import { member } from "./metadata.ts";

/** A stored event with its place and circumstances. @throws {Corrupted} */
export const happened = (recorded: RecordedEvent): Happened<LedgerEvent> =>
  around(recorded, decodeData(recorded.type, recorded.data));

/** The same for the stream of a keyring. @throws {Corrupted} */
export const happenedToKeyring = (recorded: RecordedEvent): Happened<KeyringEvent> =>
  around(recorded, decodeKeyringEvent(recorded.type, recorded.data));

const around = <E>({ revision, position, metadata }: RecordedEvent, event: E): Happened<E> => ({
  event,
  revision,
  position,
  time: member(metadata, "time"),
  actor: member(metadata, "actor"),
  requestId: member(metadata, "requestId"),
  requestMac: metadata.requestMac ?? "",
  hash: member(metadata, "hash"),
});
