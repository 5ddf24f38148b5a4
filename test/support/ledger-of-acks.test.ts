import { create } from "@bufbuild/protobuf";
import { type AuditRecord, AuditRecordSchema } from "@keyledger/contracts";
import { CHAIN_START, linkHash } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { LedgerOfAcks, type Write } from "./ledger-of-acks.ts";

const OWNER = "team.a";
const { crypto } = nodeHost();

/** Events of one owner as the feed of changes shows them, properly chained. */
function feed(...events: readonly (readonly [requestId: string, type: string, data: object])[]) {
  let prevHash = CHAIN_START;
  return events.map(([requestId, type, data], revision): AuditRecord => {
    const link = {
      prevHash,
      stream: `keyring-${OWNER}`,
      revision,
      id: `00000000-0000-5000-8000-${String(revision).padStart(12, "0")}`,
      type,
      dataDigest: "11".repeat(32),
      metadataDigest: "22".repeat(32),
    };
    const record = create(AuditRecordSchema, {
      ...link,
      revision: BigInt(revision),
      eventId: link.id,
      hash: linkHash(crypto, link),
      requestId,
      actor: type === "SecretShredded" ? "system.reaper" : "caller.1",
      position: position(revision),
      dataJson: JSON.stringify(data),
    });
    prevHash = record.hash;
    return record;
  });
}

const position = (revision: number): string => (revision + 1).toString(16).padStart(16, "0");
const added = { keyId: "k", provider: "openai", secretVersion: "v1", disabled: false };
const rotated = { keyId: "k", secretVersion: "v2", supersededVersion: "v1" };
const deleted = { keyId: "k", secretVersion: "v1" };

/** A ledger with one acknowledged creation of a key. */
function withKey(): { ledger: LedgerOfAcks; creation: Write } {
  const ledger = new LedgerOfAcks();
  const creation = ledger.begin({ requestId: "r1", kind: "create", owner: OWNER, material: "m1" });
  acknowledge(ledger, creation, 0, "v1");
  return { ledger, creation };
}

const acknowledge = (ledger: LedgerOfAcks, write: Write, revision: number, secretVersion = "") =>
  ledger.acknowledge(write, {
    atMs: 100,
    keyId: "k",
    secretVersion,
    revision,
    position: position(revision),
  });

const release = { correlationId: "c", owner: OWNER, keyId: "k", secretVersion: "v1" };

describe("the ledger of acknowledgements", () => {
  it("finds nothing wrong with a log that kept every promise", () => {
    const { ledger } = withKey();
    ledger.releases.push({ ...release, material: "m1", askedAtMs: 50 });
    const rotation = ledger.begin({ requestId: "r2", kind: "rotate", owner: OWNER, keyId: "k" });
    acknowledge(ledger, rotation, 1, "v2");
    ledger.takeChanges(
      feed(
        ["r1", "KeyAdded", added],
        ["r2", "KeyRotated", rotated],
        ["s", "SecretShredded", deleted],
      ),
    );
    expect(ledger.violations()).toStrictEqual([]);
    expect(ledger.missingEvidence()).toStrictEqual([]);
  });

  it("misses an acknowledged write that is not in the log", () => {
    const { ledger } = withKey();
    ledger.takeChanges([]);
    expect(ledger.violations()).toStrictEqual(["the create r1 was acknowledged and is lost"]);
  });

  it("sees a request that took effect twice", () => {
    const { ledger } = withKey();
    const other = { ...added, keyId: "k2", secretVersion: "v9" };
    ledger.takeChanges(
      feed(
        ["r1", "KeyAdded", added],
        ["r2", "ModeSet", { mode: "byok" }],
        ["r1", "KeyAdded", other],
      ),
    );
    expect(ledger.violations()).toContain("the request r1 took effect twice");
  });

  it("sees an effect that nobody asked for, and one that was refused", () => {
    const { ledger } = withKey();
    const refused = ledger.begin({ requestId: "r2", kind: "mode", owner: OWNER });
    refused.outcome = { kind: "refused", reason: "NO_PROVIDER_KEYS" };
    ledger.takeChanges(
      feed(
        ["r1", "KeyAdded", added],
        ["r2", "ModeSet", { mode: "byok" }],
        ["x", "ModeSet", { mode: "neo" }],
      ),
    );
    expect(ledger.violations()).toStrictEqual([
      "ModeSet in keyring-team.a is of no write of ours",
      "the mode r2 was refused (NO_PROVIDER_KEYS) and took effect",
    ]);
  });

  it("sees byok without an enabled key between two appends, and not within one", () => {
    const { ledger } = withKey();
    for (const requestId of ["r2", "r3"])
      ledger.begin({ requestId, kind: requestId === "r2" ? "mode" : "delete", owner: OWNER });
    const upTo = [
      ["r1", "KeyAdded", added],
      ["r2", "ModeSet", { mode: "byok" }],
    ] as const;
    const switched = ["r3", "ModeSet", { mode: "neo" }] as const;
    ledger.takeChanges(feed(...upTo, ["r3", "KeyDeleted", deleted], switched));
    expect(ledger.violations()).toStrictEqual([]);

    const { ledger: torn } = withKey();
    for (const requestId of ["r2", "r3"])
      torn.begin({ requestId, kind: requestId === "r2" ? "mode" : "delete", owner: OWNER });
    torn.takeChanges(feed(...upTo, ["r3", "KeyDeleted", deleted]));
    expect(torn.violations()).toStrictEqual(["team.a is byok without an enabled key"]);
  });

  it("sees material that was resolved after its deletion was acknowledged, and not before", () => {
    const { ledger } = withKey();
    const deletion = ledger.begin({ requestId: "r2", kind: "delete", owner: OWNER, keyId: "k" });
    acknowledge(ledger, deletion, 1);
    ledger.takeChanges(feed(["r1", "KeyAdded", added], ["r2", "KeyDeleted", deleted]));
    ledger.releases.push({ ...release, material: "m1", askedAtMs: 99 });
    expect(ledger.violations()).toStrictEqual([]);
    ledger.releases.push({ ...release, material: "m1", askedAtMs: 101 });
    expect(ledger.violations()).toStrictEqual([
      "what was resolved as k of team.a was resolved after its end was acknowledged (delete)",
    ]);
    expect(ledger.missingEvidence()).toStrictEqual([
      "v1 has 0 pieces of evidence of its wipe, not 1",
    ]);
  });

  it("sees material that is another version's, and releases without an access record", () => {
    const { ledger } = withKey();
    ledger.takeChanges(feed(["r1", "KeyAdded", added]));
    ledger.releases.push({ ...release, material: "m2", askedAtMs: 1 });
    expect(ledger.violations()).toStrictEqual([
      "what was resolved as k of team.a is not the material of its version",
    ]);
    expect(ledger.unrecordedReleases()).toStrictEqual([
      "material of k left without an access record",
    ]);
  });

  it("sees a gap, a changed record and a feed that shrank", () => {
    const { ledger } = withKey();
    ledger.begin({ requestId: "r2", kind: "mode", owner: OWNER });
    const records = feed(["r1", "KeyAdded", added], ["r2", "ModeSet", { mode: "byok" }]);
    const altered = records.map((record) => ({ ...record, dataDigest: "33".repeat(32) }));
    ledger.takeChanges(altered.slice(0, 1));
    expect(ledger.violations()).toStrictEqual(["keyring-team.a@0 was altered"]);
    ledger.retakeChanges([]);
    expect(ledger.violations()).toContain("the feed has 0 records now, and had 1");

    const { ledger: holed } = withKey();
    holed.takeChanges(records.slice(1));
    expect(holed.violations()).toContain("keyring-team.a@1 comes behind -1");
  });
});
