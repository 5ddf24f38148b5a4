import { Corrupted, type NewEvent, type RecordedEvent } from "@keyledger/core";
import { type JSONEventData, type JSONType, jsonEvent } from "@kurrent/kurrentdb-client";
import type { KurrentNames } from "./kurrent-names.ts";
import type { LogPosition, Positions } from "./kurrent-position.ts";

/** What the client answers for an event, whichever of its paths it came by. */
export interface Resolved {
  readonly event?:
    | {
        readonly streamId: string;
        readonly revision: bigint;
        readonly id: string;
        readonly type: string;
        readonly data: unknown;
        readonly metadata?: unknown;
        readonly isJson: boolean;
        readonly position?: LogPosition | undefined;
      }
    | undefined;
}

/**
 * The client takes a value and writes its JSON text, so the text given must be the one it will write: canonical, and
 * without names that are whole numbers, which JavaScript puts first.
 * @throws {RangeError}
 */
export function encodeEvent({ id, type, data, metadata }: NewEvent): JSONEventData {
  const value = parseJson(data);
  if (value === undefined || JSON.stringify(value) !== data) {
    throw new RangeError("an event's data is canonical JSON without numeric names");
  }
  return jsonEvent({ id, type, data: value, metadata: { ...metadata } });
}

function parseJson(text: string): JSONType | undefined {
  try {
    const value: JSONType = JSON.parse(text);
    return value;
  } catch {
    return undefined;
  }
}

/** @returns `undefined` for a link whose event is gone. @throws {Corrupted} it is none that we wrote. */
export function decodeEvent(
  { event }: Resolved,
  positions: Positions,
  names: KurrentNames,
): RecordedEvent | undefined {
  if (!event) return undefined;
  const { streamId, revision, id, type, data, metadata, isJson, position } = event;
  const stream = names.fromEngine(streamId);
  if (!isJson || !isTexts(metadata) || !position) {
    throw new Corrupted(`stream ${stream} holds an event of another kind at revision ${revision}`);
  }
  return {
    stream,
    revision: Number(revision),
    position: positions.encode(position),
    id,
    type,
    data: JSON.stringify(data),
    metadata,
  };
}

function isTexts(metadata: unknown): metadata is Readonly<Record<string, string>> {
  return (
    typeof metadata === "object" &&
    metadata !== null &&
    !(metadata instanceof Uint8Array) &&
    Object.values(metadata).every((value) => typeof value === "string")
  );
}
