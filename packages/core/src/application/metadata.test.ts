import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { canonicalJson } from "../domain/canonical-json.ts";
import type { Stamp } from "../domain/vocabulary.ts";
import { Corrupted } from "../ports/faults.ts";
import { member, metadataOf } from "./metadata.ts";

const anyStamp: fc.Arbitrary<Stamp> = fc.record(
  {
    actor: fc.string(),
    actorType: fc.constantFrom("user", "operator", "system"),
    requestId: fc.string(),
    time: fc.string(),
    correlationId: fc.string(),
    causationId: fc.string(),
    traceparent: fc.string(),
  },
  { requiredKeys: ["actor", "actorType", "requestId", "time", "correlationId"] },
);

describe("the metadata of an event", () => {
  it("holds who, when and why as text", () => {
    const stamp: Stamp = {
      actor: "user.ann",
      actorType: "team-admin",
      requestId: "r1",
      time: "2026-01-01T00:00:00.000Z",
      correlationId: "c1",
      causationId: "e1",
      traceparent: "00-1-2-01",
    };
    expect(metadataOf(stamp, { owner: "team.red", requestMac: "root:mac" })).toStrictEqual({
      $causationId: "e1",
      $correlationId: "c1",
      actor: "user.ann",
      actorType: "team-admin",
      owner: "team.red",
      requestId: "r1",
      requestMac: "root:mac",
      schemaVersion: "1",
      time: "2026-01-01T00:00:00.000Z",
      traceparent: "00-1-2-01",
    });
  });

  it("leaves out what there is not", () => {
    const stamp: Stamp = {
      actor: "system.reaper",
      actorType: "system",
      requestId: "r1",
      time: "t",
      correlationId: "c1",
    };
    expect(Object.keys(metadataOf(stamp, { owner: null, requestMac: "" }))).toStrictEqual([
      "$correlationId",
      "actor",
      "actorType",
      "requestId",
      "schemaVersion",
      "time",
    ]);
  });

  it("names its members in the order of canonical JSON", () => {
    fc.assert(
      fc.property(anyStamp, fc.option(fc.string()), fc.string(), (stamp, owner, requestMac) => {
        const metadata = metadataOf(stamp, { owner, requestMac });
        expect(JSON.stringify(metadata)).toBe(canonicalJson(metadata));
      }),
    );
  });

  it("without a member that every event has is corrupted", () => {
    expect(member({ actor: "user.ann" }, "actor")).toBe("user.ann");
    expect(member({ actor: "" }, "actor")).toBe("");
    expect(() => member({ actor: "user.ann" }, "time")).toThrow(Corrupted);
  });
});
