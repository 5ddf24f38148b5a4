import type { EnvelopeRecord, Secret, SecretRef, SecretStore } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { Canceller } from "../../packages/core/src/application/canceller.ts";
import { createEnvelope } from "../../packages/core/src/application/envelope.ts";
import { createMaterialOpener } from "../../packages/core/src/application/open-material.ts";

const ref: SecretRef = {
  owner: "team.a",
  keyId: "018f0000-0000-7000-8000-000000000001",
  secretVersion: "018f0000-0000-7000-8000-000000000002",
};
const text = (secret: Secret | null) => secret?.use((bytes) => Buffer.from(bytes).toString("utf8"));

/** A store and a key keeper that count what they are asked, with a clock that the test moves. */
async function setUp() {
  const node = nodeHost();
  let nowMs = 0;
  const pauses: (() => void)[] = [];
  const host = {
    ...node,
    clock: { ...node.clock, monotonicMs: () => nowMs },
    pause: () => new Promise<void>((resolve) => pauses.push(resolve)),
  };
  const asked = { gets: 0, unwraps: 0 };
  const handedOut: Uint8Array[] = [];
  const deks = new Map<string, Uint8Array>();
  const envelope = createEnvelope(
    {
      wrap: async (dek) => {
        const id = String(deks.size);
        deks.set(id, dek.slice());
        return { kekId: "k", kekVersion: 1, bytes: Buffer.from(id) };
      },
      unwrap: async (items) => {
        asked.unwraps++;
        return items.map(({ wrapped }) => {
          const dek = deks.get(Buffer.from(wrapped.bytes).toString())?.slice() ?? null;
          if (dek) handedOut.push(dek);
          return dek;
        });
      },
      rewrap: async (items) => items.map(() => null),
      current: async () => ({ id: "k", version: 1 }),
      rotate: async () => ({ id: "k", version: 1 }),
    },
    host,
  );
  let record: EnvelopeRecord | null = await envelope.seal(ref, "openai", Buffer.from("material"));
  const secrets = {
    get: async () => {
      asked.gets++;
      return record && { record, version: "1" };
    },
  } as Partial<SecretStore> as SecretStore;
  return {
    opener: createMaterialOpener({ secrets, envelope, host }),
    asked,
    handedOut,
    shred: () => {
      record = null;
    },
    passes: (ms: number) => {
      nowMs += ms;
    },
    endPause: () => pauses.shift()?.(),
  };
}

describe("a material opener", () => {
  it("asks store and key keeper once while it keeps a data key", async () => {
    const { opener, asked } = await setUp();
    for (let count = 0; count < 5; count++)
      expect(text(await opener.open(ref, "openai"))).toBe("material");
    expect(asked).toStrictEqual({ gets: 1, unwraps: 1 });
  });

  it("makes one opening of many callers at once", async () => {
    const { opener, asked } = await setUp();
    const opened = await Promise.all(Array.from({ length: 20 }, () => opener.open(ref, "openai")));
    expect(opened.map(text)).toStrictEqual(Array(20).fill("material"));
    expect(asked).toStrictEqual({ gets: 1, unwraps: 1 });
  });

  it("asks again once its time is over", async () => {
    const { opener, asked, passes } = await setUp();
    await opener.open(ref, "openai");
    passes(53_000);
    await opener.open(ref, "openai");
    expect(asked.gets).toBe(1);
    passes(14_000);
    await opener.open(ref, "openai");
    expect(asked.gets).toBe(2);
  });

  it("wipes what it kept of a destroyed version and opens it no more", async () => {
    const { opener, handedOut, shred } = await setUp();
    await opener.open(ref, "openai");
    shred();
    opener.forget(ref);
    expect(handedOut.every((dek) => dek.every((byte) => byte === 0))).toBe(true);
    expect(await opener.open(ref, "openai")).toBeNull();
  });

  it("does not keep what was fetched while the version was destroyed", async () => {
    const { opener, shred } = await setUp();
    const opening = opener.open(ref, "openai");
    shred();
    opener.forget(ref);
    await opening;
    expect(await opener.open(ref, "openai")).toBeNull();
  });

  it("opens under the provider it was sealed for only", async () => {
    const { opener } = await setUp();
    expect(await opener.open(ref, "mistral")).toBeNull();
  });

  it("wipes data keys whose time is over, asked or not, and all at the end", async () => {
    const { opener, handedOut, passes, endPause } = await setUp();
    await opener.open(ref, "openai");
    const stop = new Canceller();
    const running = opener.run(stop);
    passes(67_000);
    endPause();
    await expect.poll(() => handedOut[0]?.every((byte) => byte === 0)).toBe(true);
    await opener.open(ref, "openai");
    stop.cancel();
    endPause();
    await running;
    expect(handedOut[1]?.every((byte) => byte === 0)).toBe(true);
  });
});
