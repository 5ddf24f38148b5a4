import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type CallerKeyView,
  CHAIN_START,
  chained,
  decodeData,
  emptyKeyringView,
  encodeData,
  type KeyringEvent,
  type KeyringView,
  type LedgerEvent,
  project,
  type RecordedEvent,
  shownMode,
} from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { changesOf } from "../../packages/core/src/application/project.ts";
import { hashOf } from "../core/support/chain.ts";

/**
 * What each release stored, as it stored it. A line is one event; the lines of a stream are in order. These files are
 * never changed: a release that stores something new adds a file of its own.
 */
const files = globSync("*.jsonl", { cwd: import.meta.dirname }).toSorted((a, b) =>
  a.localeCompare(b, "en", { numeric: true }),
);

const read = (file: string): readonly RecordedEvent[] =>
  readFileSync(join(import.meta.dirname, file), "utf8")
    .trimEnd()
    .split("\n")
    .map((line, nth) => ({ ...JSON.parse(line), position: String(nth + 1).padStart(6, "0") }));

/** A type that is added to the events and not here does not compile; one that no file holds fails below. */
const types: Record<LedgerEvent["type"], true> = {
  KeyAdded: true,
  KeyRotated: true,
  KeyUpdated: true,
  KeyDeleted: true,
  KeyProbed: true,
  KeyHealthChanged: true,
  ModeSet: true,
  EntitlementSet: true,
  SecretShredded: true,
  ApiKeyIssued: true,
  ApiKeyRevoked: true,
  AccessGranted: true,
  AccessRefused: true,
};

const { crypto } = nodeHost();
const isOfKeyring = ({ stream }: RecordedEvent): boolean => stream.startsWith("keyring-");

function viewsOf(events: readonly RecordedEvent[]) {
  const { keyrings, callerKeys } = changesOf(
    events.filter(({ stream }) => !stream.startsWith("access-")),
    { keyring: () => undefined, callerKey: () => undefined },
  );
  return { keyrings, callerKeys };
}

describe("the stored events of all releases", () => {
  it("hold every type there is", () => {
    const stored = new Set(files.flatMap((file) => read(file).map(({ type }) => type)));
    expect([...stored].toSorted()).toStrictEqual(Object.keys(types).toSorted());
  });

  it("end with what is stored today", () => {
    for (const { type, data } of read(files.at(-1) ?? "")) {
      expect(encodeData(decodeData(type, data))).toBe(data);
    }
  });
});

describe.for(files)("what was stored in %s", (file) => {
  const events = read(file);

  it("can still be read, every event of it", () => {
    for (const { type, data } of events) expect(decodeData(type, data).type).toBe(type);
  });

  it("is still chained: each event verifies, by our own hand and by another", () => {
    const last = new Map<string, RecordedEvent>();
    for (const event of events) {
      const before = last.get(event.stream);
      const prevHash = before?.metadata.hash ?? CHAIN_START;
      expect(event.revision).toBe((before?.revision ?? -1) + 1);
      expect(event.metadata.prevHash).toBe(prevHash);
      expect(event.metadata.hash).toBe(hashOf(event, prevHash));
      const { hash, prevHash: _prevHash, ...metadata } = event.metadata;
      expect(chained(crypto, prevHash, { ...event, metadata }).hash).toBe(hash);
      last.set(event.stream, event);
    }
  });

  it("can still be folded, event by event as in one go", () => {
    const { keyrings } = viewsOf(events);
    for (const keyring of keyrings) {
      const name = `keyring-${keyring.owner.kind}.${keyring.owner.id}`;
      const folded = events
        .filter(({ stream }) => stream === name)
        .reduce<KeyringView>((view, { type, data, revision, position, metadata }) => {
          const event = decodeData(type, data) as KeyringEvent;
          return project(view, event, { revision, position, time: metadata.time ?? "" });
        }, emptyKeyringView(keyring.owner));
      expect(keyring).toStrictEqual(folded);
    }
    expect(events.some(isOfKeyring)).toBe(true);
  });
});

describe("release 0.1", () => {
  const events = read("0.1.jsonl");
  const before = (revision: number) =>
    viewsOf(events.filter((event) => isOfKeyring(event) && event.revision < revision)).keyrings[0];

  it("tells the same story as then", () => {
    const keyring = before(12);
    expect(keyring && shownMode(keyring)).toBe("byok");
    expect([...(keyring?.keys.values() ?? [])]).toStrictEqual([
      {
        keyId: "0190f3a2-7c1e-7b3a-9f00-00000000a001",
        provider: "openai",
        secretVersion: "0190f3a2-7c1e-7b3a-9f00-00000000b003",
        fingerprint: "5f0c9c3e-1b1f-4c39-8d5a-7d5f7f0a1b2c:dGhyZWUuLi4uLi4u",
        label: "sk-...abcd",
        workspaceId: null,
        name: "Schlüssel für „prod“ 🔑",
        location: null,
        sortOrder: 0,
        fallback: false,
        disabled: false,
        allowedModels: null,
        allowedUsers: null,
        allowedCallerKeys: null,
        requiredForItsModels: false,
        byokOnly: false,
        declaredZdr: true,
        expiresAt: "2026-12-31T23:59:59.999Z",
        isValidated: false,
        lastProbe: { outcome: "rejected", code: "invalid_api_key" },
        health: "quarantined",
        createdAt: "2026-01-01T00:00:01.000Z",
        updatedAt: "2026-01-01T00:00:06.000Z",
      },
      {
        keyId: "0190f3a2-7c1e-7b3a-9f00-00000000a002",
        provider: "amazon-bedrock",
        secretVersion: "0190f3a2-7c1e-7b3a-9f00-00000000b002",
        fingerprint: "5f0c9c3e-1b1f-4c39-8d5a-7d5f7f0a1b2c:dHdvLi4uLi4uLi4u",
        label: "ABSK...1234",
        workspaceId: "0190f3a2-7c1e-7b3a-9f00-00000000d001",
        name: "fallback",
        location: "us-east-1",
        sortOrder: 1_000_000,
        fallback: false,
        disabled: false,
        allowedModels: null,
        allowedUsers: ["ann"],
        allowedCallerKeys: null,
        requiredForItsModels: false,
        byokOnly: false,
        declaredZdr: null,
        expiresAt: null,
        isValidated: false,
        lastProbe: null,
        health: "unprobed",
        createdAt: "2026-01-01T00:00:02.000Z",
        updatedAt: "2026-01-01T00:00:04.000Z",
      },
    ]);
    expect(keyring).toMatchObject({
      mode: "byok",
      entitlement: "on",
      pendingShreds: [],
      revision: 11,
      editRevision: 7,
    });
  });

  it("ends as it ended then", () => {
    const { keyrings, callerKeys } = viewsOf(events);
    expect(keyrings.map(shownMode)).toStrictEqual(["neo"]);
    expect(keyrings).toMatchObject([
      {
        owner: { kind: "team", id: "red" },
        mode: "neo",
        revision: 14,
        editRevision: 14,
        pendingShreds: [
          {
            keyId: "0190f3a2-7c1e-7b3a-9f00-00000000a001",
            secretVersion: "0190f3a2-7c1e-7b3a-9f00-00000000b003",
          },
        ],
      },
    ]);
    const [first, second] = callerKeys;
    expect(first).toMatchObject<Partial<CallerKeyView>>({
      owner: { kind: "team", id: "red" },
      role: "team-admin",
      expiresAt: "2027-01-01T00:00:00.000Z",
      revokedAt: "2026-01-01T00:00:13.000Z",
    });
    expect(second).toMatchObject<Partial<CallerKeyView>>({
      owner: null,
      role: "service",
      revokedAt: null,
    });
  });
});
