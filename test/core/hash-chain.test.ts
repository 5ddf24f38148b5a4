import { createHash } from "node:crypto";
import {
  CHAIN_START,
  canonicalJson,
  chained,
  dataDigest,
  linkHash,
  metadataDigest,
  type RecordedEvent,
} from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { hashOf } from "./support/chain.ts";

const { crypto } = nodeHost();

/** The bytes that are hashed, written out by hand from the formula: lengths as uint32, big-endian. */
const VECTORS = [
  {
    title: "the first event of a stream",
    event: {
      stream: "keyring-team.red",
      revision: 0,
      id: "0190f3a2-7c1e-5b3a-9f00-0123456789ab",
      type: "ModeSet",
      data: '{"because":"requested","mode":"neo"}',
      metadata: { actor: "user.ann", $correlationId: "c-1", time: "2026-01-01T00:00:00.000Z" },
    },
    prevHash: "0".repeat(64),
    canonicalMetadata:
      '{"$correlationId":"c-1","actor":"user.ann","time":"2026-01-01T00:00:00.000Z"}',
    hashed: [
      ["00000020", "0".repeat(64)],
      ["00000010", Buffer.from("keyring-team.red").toString("hex")],
      ["00000001", "30"],
      ["00000024", Buffer.from("0190f3a2-7c1e-5b3a-9f00-0123456789ab").toString("hex")],
      ["00000007", Buffer.from("ModeSet").toString("hex")],
      ["00000020", "DATA"],
      ["00000020", "METADATA"],
    ],
    hash: "b2f13d054ba5892bef38c780aee8e712b043842b82e4f541e1e9b9ce25f5d90c",
  },
  {
    title: "an event beyond ten, with text beyond ASCII",
    event: {
      stream: "keyring-user.ann",
      revision: 12,
      id: "0190f3a2-7c1e-5b3a-9f00-0123456789ac",
      type: "KeyUpdated",
      data: '{"changes":{"name":"größe 😀"},"keyId":"k"}',
      metadata: { b: "ü", a: '"', hash: "ignored", prevHash: "ignored" },
    },
    prevHash: "ab".repeat(32),
    canonicalMetadata: '{"a":"\\"","b":"ü"}',
    hashed: [
      ["00000020", "ab".repeat(32)],
      ["00000010", Buffer.from("keyring-user.ann").toString("hex")],
      ["00000002", "3132"],
      ["00000024", Buffer.from("0190f3a2-7c1e-5b3a-9f00-0123456789ac").toString("hex")],
      ["0000000a", Buffer.from("KeyUpdated").toString("hex")],
      ["00000020", "DATA"],
      ["00000020", "METADATA"],
    ],
    hash: "96c3d007f188a791bcf7adfad006e06b4f8c67882fefca01e9096399295d5d9e",
  },
] as const;

const sha256 = (bytes: Buffer | string): string => createHash("sha256").update(bytes).digest("hex");

describe.for(VECTORS)(
  "the hash of $title",
  ({ event, prevHash, canonicalMetadata, hashed, hash }) => {
    const data = sha256(event.data);
    const metadata = sha256(canonicalMetadata);

    it("covers exactly the bytes of the formula", () => {
      const bytes = hashed.flatMap(([length, part]) => [
        length,
        part === "DATA" ? data : part === "METADATA" ? metadata : part,
      ]);
      expect(sha256(Buffer.from(bytes.join(""), "hex"))).toBe(hash);
    });

    it("is what an event is stored with", () => {
      expect(dataDigest(crypto, event.data)).toBe(data);
      expect(metadataDigest(crypto, event.metadata)).toBe(metadata);
      expect(chained(crypto, prevHash, event)).toStrictEqual({ ...event.metadata, prevHash, hash });
      const { stream, revision, id, type } = event;
      const link = {
        prevHash,
        stream,
        revision,
        id,
        type,
        dataDigest: data,
        metadataDigest: metadata,
      };
      expect(linkHash(crypto, link)).toBe(hash);
    });
  },
);

const anyEvent = fc.record({
  stream: fc.string(),
  revision: fc.nat(),
  id: fc.uuid(),
  type: fc.string(),
  data: fc.string({ unit: "grapheme" }),
  metadata: fc.dictionary(
    fc.string().filter((name) => name !== "__proto__"),
    fc.string({ unit: "grapheme" }),
    { noNullPrototype: true },
  ),
});

describe("the chain", () => {
  it("starts from 32 zero bytes", () => {
    expect(CHAIN_START).toBe("00".repeat(32));
  });

  it("is the same by another hand, for whatever event", () => {
    fc.assert(
      fc.property(anyEvent, fc.stringMatching(/^[0-9a-f]{64}$/), (event, prevHash) => {
        const { hash } = chained(crypto, prevHash, event);
        const recorded: RecordedEvent = { ...event, position: "" };
        expect(hashOf(recorded, prevHash)).toBe(hash);
      }),
      { numRuns: 300 },
    );
  });

  it("takes metadata in whatever order it comes, its own two members left out", () => {
    fc.assert(
      fc.property(anyEvent, ({ metadata }) => {
        const turned = Object.fromEntries(Object.entries(metadata).reverse());
        const digest = metadataDigest(crypto, metadata);
        expect(metadataDigest(crypto, turned)).toBe(digest);
        expect(metadataDigest(crypto, { ...metadata, hash: "x", prevHash: "y" })).toBe(
          metadataDigest(crypto, { ...metadata, hash: "z", prevHash: "" }),
        );
        const { hash: _hash, prevHash: _prevHash, ...rest } = metadata;
        expect(digest).toBe(sha256(canonicalJson(rest)));
      }),
      { numRuns: 300 },
    );
  });

  it("changes with every part of an event", () => {
    const { event, prevHash } = VECTORS[0];
    const hashes = [
      chained(crypto, prevHash, event),
      chained(crypto, "1".repeat(64), event),
      chained(crypto, prevHash, { ...event, stream: "keyring-team.redd" }),
      chained(crypto, prevHash, { ...event, revision: 1 }),
      chained(crypto, prevHash, { ...event, id: "0190f3a2-7c1e-5b3a-9f00-0123456789ac" }),
      chained(crypto, prevHash, { ...event, type: "ModeSeT" }),
      chained(crypto, prevHash, { ...event, data: `${event.data} ` }),
      chained(crypto, prevHash, { ...event, metadata: { ...event.metadata, actor: "user.bob" } }),
      chained(crypto, prevHash, { ...event, metadata: { ...event.metadata, extra: "" } }),
    ].map(({ hash }) => hash);
    expect(new Set(hashes).size).toBe(hashes.length);
  });
});
