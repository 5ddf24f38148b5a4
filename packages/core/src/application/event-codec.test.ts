import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyEventOf } from "../domain/any-event.test-support.ts";
import { canonicalJson, type Json } from "../domain/canonical-json.ts";
import type { LedgerEvent } from "../domain/events.ts";
import { keyAdded, keyringAfter } from "../domain/given.test-support.ts";
import { Corrupted } from "../ports/faults.ts";
import { decodeData, decodeKeyringEvent, encodeData } from "./event-codec.ts";

const types = Object.entries(anyEventOf).map(([type, arbitrary]) => ({
  type,
  arbitrary: arbitrary as fc.Arbitrary<LedgerEvent>,
}));

/** What the data of an event is, said once more without the codec: its members, the owner as text. */
function dataOf(event: LedgerEvent): Json {
  const { type: _type, ...members } = event;
  const named: object =
    event.type === "ApiKeyIssued" && event.owner
      ? { ...members, owner: `${event.owner.kind}.${event.owner.id}` }
      : members;
  return JSON.parse(JSON.stringify(named));
}

describe.for(types)("a stored $type", ({ type, arbitrary }) => {
  it("reads back as the event that was stored", () => {
    fc.assert(
      fc.property(arbitrary, (event) => {
        expect(decodeData(type, encodeData(event))).toStrictEqual(event);
      }),
    );
  });

  it("is canonical JSON, though it is made the quick way", () => {
    fc.assert(
      fc.property(arbitrary, (event) => {
        expect(encodeData(event)).toBe(canonicalJson(dataOf(event)));
      }),
      { numRuns: 300 },
    );
  });

  it("that lacks a member, or holds one of another kind, is corrupted", () => {
    fc.assert(
      fc.property(
        arbitrary,
        fc.nat(),
        fc.constantFrom<(Json | undefined)[]>(undefined, 7.5, { a: 1 }, [[]], [1]),
        (event, which, wrong) => {
          const stored: Record<string, unknown> = JSON.parse(encodeData(event));
          const names = Object.keys(stored);
          stored[names[which % names.length] ?? ""] = wrong;
          // An empty set of changes is no member out of place.
          fc.pre(!(type === "KeyUpdated" && typeof wrong === "object" && !Array.isArray(wrong)));
          expect(() => decodeData(type, JSON.stringify(stored))).toThrow(Corrupted);
        },
      ),
      { numRuns: 300 },
    );
  });
});

describe("stored data that is not what was written", () => {
  const key = keyAdded();
  const tampered = (change: object) =>
    JSON.stringify({ ...JSON.parse(encodeData(key)), ...change });

  it.for(["", "{", "null", "[]", "7", '"text"', "true", "{}"])("%j is corrupted", (data) => {
    for (const { type } of types) expect(() => decodeData(type, data)).toThrow(Corrupted);
  });

  it.for([
    { sortOrder: 2 ** 53 },
    { sortOrder: "1" },
    { sortOrder: null },
    { fallback: "true" },
    { fallback: null },
    { keyId: null },
    { allowedModels: "gpt" },
    { allowedModels: [1] },
    { allowedModels: {} },
    { declaredZdr: 0 },
    { name: 7 },
  ])("a KeyAdded with %j is corrupted", (change) => {
    expect(() => decodeData("KeyAdded", tampered(change))).toThrow(Corrupted);
  });

  it.for([
    ["ModeSet", { mode: "both", because: "requested" }],
    ["ModeSet", { mode: "neo", because: "whim" }],
    ["EntitlementSet", { byok: true }],
    ["KeyProbed", { keyId: "k", secretVersion: "s", outcome: "maybe", code: "c" }],
    ["KeyDeleted", { keyId: "k", secretVersion: "s", because: "whim" }],
    ["KeyHealthChanged", { keyId: "k", health: "fine", because: "b" }],
    ["KeyUpdated", { keyId: "k", changes: null }],
    ["KeyUpdated", { keyId: "k", changes: { disabled: "yes" } }],
    ["KeyUpdated", { keyId: "k", changes: { sortOrder: null } }],
  ] as const)("a %s that says %j is corrupted", ([type, stored]) => {
    expect(() => decodeData(type, JSON.stringify(stored))).toThrow(Corrupted);
  });

  it.for(["ann", "users", "service.x", "team.a..b", 7, {}])(
    "a caller key of the owner %j is corrupted",
    (owner) => {
      const stored = {
        callerKeyId: "c",
        expiresAt: null,
        label: "l",
        mac: "m",
        owner,
        role: "service",
      };
      expect(decodeData("ApiKeyIssued", JSON.stringify({ ...stored, owner: null }))).toBeDefined();
      expect(() => decodeData("ApiKeyIssued", JSON.stringify(stored))).toThrow(Corrupted);
    },
  );

  it("a type nobody knows is corrupted, however it is called", () => {
    for (const type of ["KeyTeleported", "", "toString", "__proto__"]) {
      expect(() => decodeData(type, "{}")).toThrow(Corrupted);
    }
  });

  it("is named by type and member, never by value", () => {
    const canary = "sk-canary-0123456789";
    for (const data of [`{"byok":"${canary}"}`, `{"byok":"${canary}`]) {
      expect(() => decodeData("EntitlementSet", data)).toThrow(/EntitlementSet/);
      expect(() => decodeData("EntitlementSet", data)).not.toThrow(canary);
    }
  });
});

describe("an event of a keyring", () => {
  it("is none that belongs to another stream", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyEventOf.ApiKeyIssued, anyEventOf.ApiKeyRevoked, anyEventOf.AccessGranted),
        (event) => {
          expect(() => decodeKeyringEvent(event.type, encodeData(event))).toThrow(Corrupted);
        },
      ),
    );
  });

  it("gives the same key after a round through the store", () => {
    const key = keyAdded({ name: "prod", allowedModels: ["m"] });
    const stored = decodeKeyringEvent(key.type, encodeData(key));
    expect(keyringAfter(stored)).toStrictEqual(keyringAfter(key));
  });
});

describe("a member that a later release may add", () => {
  it("is passed over by this one", () => {
    const key = keyAdded();
    const stored = JSON.stringify({ ...JSON.parse(encodeData(key)), novelty: { a: 1 } });
    expect(decodeData("KeyAdded", stored)).toStrictEqual(key);
  });
});
