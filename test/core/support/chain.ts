import { createHash } from "node:crypto";
import type { RecordedEvent } from "@keyledger/core";
import { expect } from "vitest";

const sha256 = (bytes: Uint8Array | string): Buffer => createHash("sha256").update(bytes).digest();

function lengthPrefixed(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(part.length);
      return [length, part];
    }),
  );
}

/** The hash an event must have, computed from the published formula alone. */
export function hashOf(event: RecordedEvent, prevHash: string): string {
  const { hash: _hash, prevHash: _prevHash, ...metadata } = event.metadata;
  const members = Object.keys(metadata)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${JSON.stringify(metadata[name])}`);
  const parts = [
    Buffer.from(prevHash, "hex"),
    Buffer.from(event.stream),
    Buffer.from(String(event.revision)),
    Buffer.from(event.id),
    Buffer.from(event.type),
    sha256(event.data),
    sha256(`{${members.join(",")}}`),
  ];
  return sha256(lengthPrefixed(parts)).toString("hex");
}

/** All events of one stream, chained from the first, revision by revision. */
export function expectUnbrokenChain(events: readonly RecordedEvent[]): void {
  let prevHash = "0".repeat(64);
  for (const [revision, event] of events.entries()) {
    expect(event.revision).toBe(revision);
    expect(event.metadata.prevHash).toBe(prevHash);
    expect(event.metadata.hash).toBe(hashOf(event, prevHash));
    prevHash = event.metadata.hash ?? "";
  }
}
