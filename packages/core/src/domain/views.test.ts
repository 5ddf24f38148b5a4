import { describe, expect, it } from "vitest";
import type { KeyringEvent, ProbeVerdict } from "./events.ts";
import {
  byok,
  deletionOf,
  keyAdded,
  keyringAfter,
  lastKeyGone,
  newMaterial,
  newUuid,
  positionAt,
  probed,
  refused,
  rotationOf,
  team,
  timeAt,
  unclear,
  updated,
  uuid,
  valid,
} from "./given.test-support.ts";
import {
  effectiveMode,
  emptyKeyringView,
  enabledCount,
  primaryOf,
  project,
  shownMode,
  sortedKeys,
} from "./views.ts";

/** The one key of a keyring. */
const onlyKey = (...history: readonly KeyringEvent[]) => {
  const [key] = [...keyringAfter(...history).keys.values()];
  if (!key) throw new Error("the keyring is empty");
  return key;
};

const health = (keyId: string, health: "quarantined" | "valid"): KeyringEvent => ({
  type: "KeyHealthChanged",
  keyId,
  health,
  because: "rejected_twice",
});

describe("the view of a keyring", () => {
  it("starts empty, in mode neo", () => {
    expect(emptyKeyringView(team)).toStrictEqual({
      owner: team,
      keys: new Map(),
      mode: "neo",
      entitlement: null,
      pendingShreds: [],
      revision: null,
      editRevision: null,
      position: null,
    });
  });

  it("shows a key as it was added, at the time it was added", () => {
    const added = keyAdded({ name: "prod", allowedUsers: ["ann"] });
    const { type: _type, ...fields } = added;
    expect(onlyKey(added)).toStrictEqual({
      ...fields,
      isValidated: false,
      lastProbe: null,
      health: "unprobed",
      createdAt: timeAt(0),
      updatedAt: timeAt(0),
    });
  });

  it("shows new material under the old id, with nothing said about it yet", () => {
    const added = keyAdded({ name: "prod", location: "us-east-1" });
    const material = newMaterial({ location: "eu-west-1", expiresAt: timeAt(900) });
    const { secretVersion, fingerprint, label, location, expiresAt } = material;
    expect(onlyKey(added, probed(added, valid), rotationOf(added, material))).toStrictEqual({
      ...onlyKey(added),
      secretVersion,
      fingerprint,
      label,
      location,
      expiresAt,
      updatedAt: timeAt(2),
    });
  });

  it("shows what an update names changed, and nothing else", () => {
    const added = keyAdded({ name: "prod", allowedUsers: ["ann"] });
    expect(onlyKey(added, updated(added, { name: null, disabled: true }))).toStrictEqual({
      ...onlyKey(added),
      name: null,
      disabled: true,
      updatedAt: timeAt(1),
    });
  });

  it("forgets a deleted key, and nothing of the others", () => {
    const [gone, kept] = [keyAdded(), keyAdded()];
    const { keys } = keyringAfter(gone, kept, deletionOf(gone));
    expect([...keys.keys()]).toStrictEqual([kept.keyId]);
  });

  it("changes no view that was handed out before", () => {
    const added = keyAdded();
    const before = keyringAfter(added);
    const at = { revision: 1, position: positionAt(1), time: timeAt(1) };
    project(before, deletionOf(added), at);
    project(before, updated(added, { disabled: true }), at);
    project(before, rotationOf(added, newMaterial()), at);
    expect(before).toStrictEqual(keyringAfter(added));
  });

  it.for<KeyringEvent>([
    updated({ keyId: newUuid() }, { name: "x" }),
    rotationOf({ keyId: newUuid(), secretVersion: newUuid() }, newMaterial()),
    probed({ keyId: newUuid(), secretVersion: newUuid() }, valid),
    health(newUuid(), "quarantined"),
  ])("survives a $type of a key it does not know", (event) => {
    const added = keyAdded();
    expect(keyringAfter(added, event).keys).toStrictEqual(keyringAfter(added).keys);
  });
});

describe("whether a key is validated", () => {
  const added = keyAdded();
  const after = (...outcomes: readonly ProbeVerdict[]) =>
    onlyKey(added, ...outcomes.map((outcome) => probed(added, { outcome, code: "c" })));

  it.for([
    { outcomes: [], isValidated: false, shown: "unprobed" },
    { outcomes: ["valid"], isValidated: true, shown: "valid" },
    { outcomes: ["rejected"], isValidated: false, shown: "rejected" },
    { outcomes: ["indeterminate"], isValidated: false, shown: "pending" },
    { outcomes: ["valid", "indeterminate"], isValidated: true, shown: "valid" },
    { outcomes: ["valid", "rejected"], isValidated: false, shown: "rejected" },
    { outcomes: ["rejected", "indeterminate"], isValidated: false, shown: "rejected" },
    { outcomes: ["rejected", "valid"], isValidated: true, shown: "valid" },
    { outcomes: ["indeterminate", "valid", "indeterminate"], isValidated: true, shown: "valid" },
  ] as const)("is $isValidated, and its health $shown, after $outcomes", (row) => {
    const key = after(...row.outcomes);
    expect({ isValidated: key.isValidated, health: key.health }).toStrictEqual({
      isValidated: row.isValidated,
      health: row.shown,
    });
  });

  it("is open again for new material", () => {
    const key = onlyKey(added, probed(added, valid), rotationOf(added, newMaterial()));
    expect(key.isValidated).toBe(false);
    expect(key.lastProbe).toBeNull();
  });

  it("is not decided by a late probe of material that is superseded", () => {
    const material = newMaterial();
    const rotated = rotationOf(added, material);
    const { keyId } = added;
    const { secretVersion } = material;
    const good = probed({ keyId, secretVersion }, valid);
    expect(onlyKey(added, rotated, good, probed(added, refused)).isValidated).toBe(true);
    expect(onlyKey(added, rotated, probed(added, valid)).isValidated).toBe(false);
  });

  it("does not count as an update of the key", () => {
    const key = onlyKey(added, probed(added, valid), health(added.keyId, "valid"));
    expect(key.updatedAt).toBe(timeAt(0));
  });

  it("leaves a quarantine standing, which new material ends", () => {
    const quarantined = health(added.keyId, "quarantined");
    expect(onlyKey(added, quarantined, probed(added, valid)).health).toBe("quarantined");
    expect(onlyKey(added, quarantined, rotationOf(added, newMaterial())).health).toBe("unprobed");
  });
});

describe("the mode that is shown", () => {
  const key = keyAdded();

  it("is byok only with an enabled key, whatever wrote the log", () => {
    expect(shownMode(keyringAfter(byok))).toBe("neo");
    expect(shownMode(keyringAfter(key, byok))).toBe("byok");
    expect(shownMode(keyringAfter(key, byok, deletionOf(key)))).toBe("neo");
    expect(shownMode(keyringAfter(key, byok, updated(key, { disabled: true })))).toBe("neo");
    expect(shownMode(keyringAfter(keyAdded({ disabled: true }), byok))).toBe("neo");
  });

  it("takes effect only behind an open gate", () => {
    const keyring = keyringAfter(key, byok);
    expect(effectiveMode(keyring, true)).toBe("byok");
    expect(effectiveMode(keyring, false)).toBe("neo");
  });

  it("counts keys that are enabled, expired and quarantined ones among them", () => {
    const other = keyAdded({ expiresAt: timeAt(-900) });
    const keyring = keyringAfter(
      key,
      other,
      keyAdded({ disabled: true }),
      health(other.keyId, "quarantined"),
    );
    expect(enabledCount(keyring)).toBe(2);
  });
});

describe("what is left to shred", () => {
  it("is every superseded and every deleted version until its end is on record", () => {
    const key = keyAdded();
    const material = newMaterial();
    const rotated = rotationOf(key, material);
    const { keyId } = key;
    const { secretVersion } = material;
    const deleted = { ...deletionOf(key), secretVersion };
    const first = { keyId, secretVersion: key.secretVersion };
    const second = { keyId, secretVersion };
    expect(keyringAfter(key).pendingShreds).toStrictEqual([]);
    expect(keyringAfter(key, rotated).pendingShreds).toStrictEqual([first]);
    expect(keyringAfter(key, rotated, deleted).pendingShreds).toStrictEqual([first, second]);
    const shredded = { type: "SecretShredded", ...first, store: "s", method: "m" } as const;
    expect(keyringAfter(key, rotated, deleted, shredded).pendingShreds).toStrictEqual([second]);
  });
});

describe("the edit revision", () => {
  const key = keyAdded();

  it("is that of the last event which is not background work", () => {
    const history = [
      key,
      probed(key, unclear),
      health(key.keyId, "quarantined"),
      {
        type: "SecretShredded",
        keyId: key.keyId,
        secretVersion: newUuid(),
        store: "s",
        method: "m",
      },
    ] as const;
    expect(keyringAfter(...history)).toMatchObject({ revision: 3, editRevision: 0 });
    expect(keyringAfter(...history, byok)).toMatchObject({ revision: 4, editRevision: 4 });
  });

  it.for<KeyringEvent>([
    keyAdded(),
    rotationOf(key, newMaterial()),
    updated(key, { name: "x" }),
    deletionOf(key),
    byok,
    lastKeyGone,
    { type: "EntitlementSet", byok: "off" },
  ])("moves with $type", (event) => {
    expect(keyringAfter(key, event).editRevision).toBe(1);
  });
});

describe("the order of keys", () => {
  it("is by provider, then fallback, then sort order, then age, then id", () => {
    const keys = [
      keyAdded({ provider: "openai", fallback: true, sortOrder: 0 }),
      keyAdded({ provider: "openai", sortOrder: 2 }),
      keyAdded({ provider: "openai", sortOrder: 1 }),
      keyAdded({ provider: "anthropic", sortOrder: 9 }),
      keyAdded({ provider: "openai", sortOrder: 1 }),
    ];
    const [fallback, last, first, other, second] = keys.map(({ keyId }) => keyId);
    expect(sortedKeys(keyringAfter(...keys)).map(({ keyId }) => keyId)).toStrictEqual([
      other,
      first,
      second,
      last,
      fallback,
    ]);
  });

  it("is by id where everything else is the same", () => {
    const [low, high] = [uuid(0xffff01), uuid(0xffff02)];
    const keyring = keyringAfter(keyAdded({ keyId: high }), keyAdded({ keyId: low }));
    const keys = new Map(
      [...keyring.keys].map(([id, key]) => [id, { ...key, createdAt: timeAt(0) }]),
    );
    expect(sortedKeys({ ...keyring, keys }).map(({ keyId }) => keyId)).toStrictEqual([low, high]);
    expect(primaryOf({ ...keyring, keys }, "openai")?.keyId).toBe(low);
  });
});
