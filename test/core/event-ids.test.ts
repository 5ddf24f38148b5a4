import { createHash } from "node:crypto";
import { type Owner, ownerName } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import {
  accepted,
  callOf,
  eventsOf,
  patience,
  stampOf,
  startProcess,
  team,
  upsert,
} from "./support/deployment.ts";

const NAMESPACE = Buffer.from("6f1c2f0a6f0e4b5f9a433f1d7d0f5b9e", "hex");

/** UUID version 5 over length-prefixed parts, from RFC 9562 alone. */
function uuidV5(...parts: readonly string[]): string {
  const name = parts.flatMap((part) => {
    const length = Buffer.alloc(4);
    length.writeUInt32BE(Buffer.byteLength(part));
    return [length, Buffer.from(part)];
  });
  const digest = createHash("sha1")
    .update(Buffer.concat([NAMESPACE, ...name]))
    .digest();
  digest.writeUInt8((digest.readUInt8(6) & 0x0f) | 0x50, 6);
  digest.writeUInt8((digest.readUInt8(8) & 0x3f) | 0x80, 8);
  return digest
    .toString("hex")
    .slice(0, 32)
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

describe("the id of an event", () => {
  it("comes from owner, actor, request, the stream's revision and the place in the append", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one", { stamp: { requestId: "r-1" } });
    await upsert(process, "sk-two", { stamp: { requestId: "r-2", actor: "caller.x" } });
    expect(eventsOf(process.storage).map(({ id }) => id)).toStrictEqual([
      uuidV5("team.red", "user.ann", "r-1", "none", "0"),
      uuidV5("team.red", "user.ann", "r-1", "none", "1"),
      uuidV5("team.red", "caller.x", "r-2", "1", "0"),
      uuidV5("team.red", "caller.x", "r-2", "1", "1"),
    ]);
  });

  it("is another one for the same request at another owner", async () => {
    await using process = await startProcess();
    const blue: Owner = { kind: "team", id: "blue" };
    for (const owner of [team, blue]) {
      await upsert(process, "sk-one", { owner, stamp: { requestId: "r-1" } });
      expect(eventsOf(process.storage, owner)[0]?.id).toBe(
        uuidV5(ownerName(owner), "user.ann", "r-1", "none", "0"),
      );
    }
  });

  it("of a wipe's evidence comes from the secret version alone", async () => {
    await using process = await startProcess();
    const { secretVersion } = accepted(await upsert(process, "sk-one")).key;
    await upsert(process, "sk-two");
    const stop = new AbortController();
    const reaping = process.ledger.reaper.run(stop.signal);
    await expect.poll(() => process.models.pendingShredCount()).toBe(0);
    stop.abort();
    await reaping;
    expect(eventsOf(process.storage).at(-1)?.id).toBe(uuidV5("shredded", secretVersion));
  });

  it("of a caller key comes from its stream in the owner's stead", async () => {
    await using process = await startProcess();
    const stamp = stampOf(process, { requestId: "r-1" });
    const { key } = accepted(
      await process.ledger.callerKeys.issue(
        { stamp, expected: undefined, signal: patience },
        { role: "team-admin", owner: team, label: "ci", expiresAt: null, random: null },
      ),
    );
    expect(key.callerKeyId).toBe(uuidV5("caller-key", "user.ann", "r-1"));
    expect(process.storage.log.events.at(-1)?.id).toBe(
      uuidV5(`caller-${key.callerKeyId}`, "user.ann", "r-1", "none", "0"),
    );
  });

  it("is a new one when a command is decided again", async () => {
    await using process = await startProcess();
    await upsert(process, "sk-one");
    const same = { stamp: { requestId: "r-1" } };
    // The refusal leaves nothing, so the request may come again later, at another revision.
    await process.ledger.deleteKey(callOf(process, same), { keyId: "none" });
    await process.ledger.setMode(callOf(process), "byok");
    accepted(await process.ledger.setMode(callOf(process, same), "neo"));
    expect(eventsOf(process.storage).at(-1)?.id).toBe(
      uuidV5("team.red", "user.ann", "r-1", "2", "0"),
    );
  });
});
