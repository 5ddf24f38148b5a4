import { describe, expect, it } from "vitest";
import { KEYS_PER_KEYRING_MAX } from "./decider.ts";
import type { KeyringEvent } from "./events.ts";
import {
  additionOf,
  create,
  deletionOf,
  given,
  keyAdded,
  keyRejected,
  keyringAfter,
  newMaterial,
  probed,
  refused,
  rotationOf,
  sameMaterial,
  unclear,
  upsert,
  uuid,
} from "./given.test-support.ts";

const workspaceId = uuid(0xaaaa);

const fullKeyring = (): readonly KeyringEvent[] =>
  Array.from({ length: KEYS_PER_KEYRING_MAX }, (_, sortOrder) =>
    keyAdded({ provider: sortOrder === 0 ? "openai" : "mistral", sortOrder }),
  );

describe("creating a key", () => {
  it("puts it last in the group of its provider", () => {
    const command = create();
    given(
      keyAdded({ sortOrder: 0 }),
      keyAdded({ sortOrder: 8 }),
      keyAdded({ fallback: true, sortOrder: 20 }),
    )
      .when(command)
      .records(additionOf(command, { sortOrder: 9 }));
  });

  it("counts fallback keys as a group of their own", () => {
    const command = create({ metadata: { fallback: true } });
    given(keyAdded({ sortOrder: 8 }), keyAdded({ fallback: true, sortOrder: 2 }))
      .when(command)
      .records(additionOf(command, { fallback: true, sortOrder: 3 }));
  });

  it("orders keys of all workspaces in one group", () => {
    const command = create({ workspaceId });
    given(keyAdded({ sortOrder: 1 }))
      .when(command)
      .records(additionOf(command, { workspaceId, sortOrder: 2 }));
  });

  it("does not count keys that are deleted", () => {
    const gone = keyAdded({ sortOrder: 8 });
    const command = create();
    given(keyAdded(), gone, deletionOf(gone))
      .when(command)
      .records(additionOf(command, { sortOrder: 1 }));
  });

  it("records everything that was wished for", () => {
    const wished = {
      name: "batch",
      disabled: true,
      allowedModels: ["gpt-5"],
      allowedUsers: ["ann"],
      allowedCallerKeys: ["ck_1"],
      requiredForItsModels: true,
      byokOnly: true,
      declaredZdr: false,
    };
    const command = create({ metadata: wished });
    given().when(command).records(additionOf(command, wished));
  });

  it("makes a second key even of a secret that is there already", () => {
    const key = keyAdded();
    const command = create({ material: sameMaterial(key) });
    given(key)
      .when(command)
      .records(additionOf(command, { sortOrder: 1 }));
  });

  it("takes the owner's expiry before the credential's", () => {
    const expiresAt = "2026-03-01T00:00:00.000Z";
    const command = create({
      material: newMaterial({ expiresAt: "2026-06-01T00:00:00.000Z" }),
      metadata: { expiresAt },
    });
    given().when(command).records(additionOf(command, { expiresAt }));
  });

  it("takes the credential's expiry where the owner sets none", () => {
    const expiresAt = "2026-06-01T00:00:00.000Z";
    const command = create({ material: newMaterial({ expiresAt }) });
    given().when(command).records(additionOf(command, { expiresAt }));
  });

  it("records a finding behind it", () => {
    const command = create({ probe: unclear });
    const added = additionOf(command);
    given().when(command).records(added, probed(added, unclear));
  });

  it("saves nothing that the probe policy refuses, not even of a secret that is there", () => {
    const key = keyAdded();
    given(key)
      .when(create({ material: sameMaterial(key), probe: refused, refusal: keyRejected }))
      .rejects(keyRejected);
  });

  it("refuses a fallback key that forbids the platform", () => {
    given()
      .when(create({ metadata: { fallback: true, byokOnly: true } }))
      .rejects({
        reason: "invalid",
        violations: [{ field: "byok_only", description: "cannot be set on a fallback key" }],
      });
  });
});

describe("a keyring", () => {
  it(`holds ${KEYS_PER_KEYRING_MAX} keys and no more, whatever their provider`, () => {
    const full = fullKeyring();
    given(...full)
      .when(create())
      .rejects("too-many-keys");
    given(...full)
      .when(upsert({ provider: "anthropic" }))
      .rejects("too-many-keys");
    const command = create({ provider: "mistral" });
    given(...full.slice(1))
      .when({ ...command, provider: "openai" })
      .records(additionOf({ ...command, provider: "openai" }));
  });

  it("still takes new material for a key of its own when it is full", () => {
    const full = fullKeyring();
    const primary = keyringAfter(...full)
      .keys.values()
      .next().value;
    const command = upsert();
    expect(primary?.provider).toBe("openai");
    if (primary)
      given(...full)
        .when(command)
        .records(rotationOf(primary, command.material));
  });

  it("has room again after a deletion", () => {
    const full = fullKeyring();
    const [first] = full;
    if (first?.type !== "KeyAdded") throw new Error("the keyring is not made of keys");
    const command = create();
    given(...full, deletionOf(first))
      .when(command)
      .records(additionOf(command));
  });
});
