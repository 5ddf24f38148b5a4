import { Corrupted, canonicalJson, type Json } from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeEvent, encodeEvent, type Resolved } from "./kurrent-event.ts";
import { namesIn } from "./kurrent-names.ts";
import { CLUSTER_CHANGES, positionsOf } from "./kurrent-position.ts";

const positions = positionsOf(CLUSTER_CHANGES, "0198c0de-0000-7000-8000-00000000abcd");
const names = namesIn("ns");

const name = fc.string({ unit: "grapheme" }).filter((text) => !/^(0|[1-9]\d*)$/.test(text));
const { json } = fc.letrec<{ json: Json }>((tie) => ({
  json: fc.oneof(
    { maxDepth: 4 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((value) => value + 0),
    fc.string({ unit: "binary" }),
    fc.array(tie("json"), { maxLength: 4 }),
    fc.dictionary(name, tie("json"), { maxKeys: 4, noNullPrototype: true }),
  ),
}));

/** As the client writes it, and as it gives it back. */
function stored(data: unknown, changes: Partial<NonNullable<Resolved["event"]>> = {}): Resolved {
  return {
    event: {
      streamId: "ns.keyring-user.1",
      revision: 7n,
      id: "0198c0de-0000-7000-8000-000000000001",
      type: "ModeSet",
      data: JSON.parse(JSON.stringify(data)),
      metadata: { actor: "user.1" },
      isJson: true,
      position: { commit: 9n, prepare: 9n },
      ...changes,
    },
  };
}

describe("An event in KurrentDB", () => {
  it("keeps its data byte for byte, whatever canonical JSON it is", () => {
    fc.assert(
      fc.property(json, (value) => {
        const data = canonicalJson(value);
        const event = { id: "i", type: "T", data, metadata: {} };
        const encoded = encodeEvent(event);
        expect(JSON.stringify(encoded.data)).toBe(data);
        expect(decodeEvent(stored(encoded.data), positions, names)?.data).toBe(data);
      }),
    );
  });

  it("comes back with its place, under the port's name", () => {
    expect(decodeEvent(stored({ mode: "byok" }), positions, names)).toStrictEqual({
      stream: "keyring-user.1",
      revision: 7,
      position: positions.encode({ commit: 9n, prepare: 9n }),
      id: "0198c0de-0000-7000-8000-000000000001",
      type: "ModeSet",
      data: '{"mode":"byok"}',
      metadata: { actor: "user.1" },
    });
  });

  it.for([
    ["is no JSON", { isJson: false, data: new Uint8Array([1]) }],
    ["has no metadata", { metadata: undefined }],
    ["has metadata that is no JSON", { metadata: new Uint8Array([123]) }],
    ["has metadata of other things than texts", { metadata: { n: 1 } }],
  ] as const)("is not ours when it %s", ([, changes]) => {
    expect(() => decodeEvent(stored({}, changes), positions, names)).toThrow(Corrupted);
  });

  it("is none where a link leads nowhere", () => {
    expect(decodeEvent({}, positions, names)).toBeUndefined();
  });
});

describe("A namespace", () => {
  it("stands before each name with a dot", () => {
    expect(names.toEngine("keyring-team.a-b")).toBe("ns.keyring-team.a-b");
    expect(names.fromEngine("ns.keyring-team.a-b")).toBe("keyring-team.a-b");
    expect(namesIn(undefined).toEngine("keyring-team.a")).toBe("keyring-team.a");
  });

  it.for(["", "a-b", "a.b", "A", "$a", "x".repeat(33)])("is refused as %s", (text) => {
    expect(() => namesIn(text)).toThrow(RangeError);
  });
});
