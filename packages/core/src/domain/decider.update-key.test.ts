import { describe, it } from "vitest";
import {
  byok,
  deletionOf,
  given,
  keyAdded,
  keyRejected,
  lastKeyGone,
  newMaterial,
  probed,
  refused,
  rotationOf,
  sameMaterial,
  update,
  updated,
  uuid,
  valid,
} from "./given.test-support.ts";

const workspaceId = uuid(0xaaaa);

describe("updating a key", () => {
  it("needs the key", () => {
    const gone = keyAdded();
    given()
      .when(update(gone, { name: "x" }))
      .rejects("key-not-found");
    given(gone, deletionOf(gone))
      .when(update(gone, { name: "x" }))
      .rejects("key-not-found");
  });

  it("records only what really changes", () => {
    const key = keyAdded({ name: "prod", disabled: false, sortOrder: 3 });
    given(key)
      .when(update(key, { name: "prod", disabled: false, sortOrder: 4, declaredZdr: true }))
      .records(updated(key, { sortOrder: 4, declaredZdr: true }));
  });

  it("records nothing where nothing changes", () => {
    const key = keyAdded({ name: "prod", allowedModels: ["a", "b"], declaredZdr: false });
    given(key)
      .when(
        update(key, {
          name: "prod",
          location: null,
          sortOrder: 0,
          fallback: false,
          disabled: false,
          allowedModels: ["a", "b"],
          allowedUsers: null,
          allowedCallerKeys: null,
          requiredForItsModels: false,
          byokOnly: false,
          declaredZdr: false,
          expiresAt: null,
        }),
      )
      .records();
    given(key).when(update(key, {})).records();
  });

  it.for([
    ["another value", ["a", "c"]],
    ["another order", ["b", "a"]],
    ["one value less", ["a"]],
    ["one value more", ["a", "b", "c"]],
    ["no restriction any more", null],
  ] as const)("sees an allow-list with %s as changed", ([, allowedModels]) => {
    const key = keyAdded({ allowedModels: ["a", "b"] });
    given(key).when(update(key, { allowedModels })).records(updated(key, { allowedModels }));
  });

  it("tells a declaration of `no` from none", () => {
    const key = keyAdded({ declaredZdr: false });
    given(key)
      .when(update(key, { declaredZdr: null }))
      .records(updated(key, { declaredZdr: null }));
  });

  it("leaves what is not named as it is, though it is set", () => {
    const key = keyAdded({ name: "prod", location: "eu-west-1", allowedUsers: ["ann"] });
    given(key)
      .when(update(key, { name: null }))
      .records(updated(key, { name: null }));
  });

  describe("that toggles fallback", () => {
    it("moves it to the end of the other group", () => {
      const key = keyAdded({ sortOrder: 0 });
      given(key, keyAdded({ sortOrder: 9 }), keyAdded({ fallback: true, sortOrder: 5 }))
        .when(update(key, { fallback: true }))
        .records(updated(key, { fallback: true, sortOrder: 6 }));
    });

    it("moves it back to the end of the first", () => {
      const key = keyAdded({ fallback: true, sortOrder: 5 });
      given(key, keyAdded({ sortOrder: 9 }))
        .when(update(key, { fallback: false }))
        .records(updated(key, { fallback: false, sortOrder: 10 }));
    });

    it("names no sort order where the end of the other group is where it stood", () => {
      const key = keyAdded({ sortOrder: 0 });
      given(key)
        .when(update(key, { fallback: true }))
        .records(updated(key, { fallback: true }));
    });

    it("puts it where the caller says", () => {
      const key = keyAdded({ sortOrder: 4 });
      given(key, keyAdded({ fallback: true, sortOrder: 5 }))
        .when(update(key, { fallback: true, sortOrder: 1 }))
        .records(updated(key, { fallback: true, sortOrder: 1 }));
    });

    it("leaves the order alone where fallback stays what it is", () => {
      const key = keyAdded({ fallback: true, sortOrder: 2 });
      given(key, keyAdded({ fallback: true, sortOrder: 9 }))
        .when(update(key, { fallback: true }))
        .records();
    });
  });

  describe("that forbids the platform on a fallback key", () => {
    const wrong = {
      reason: "invalid",
      violations: [{ field: "byok_only", description: "cannot be set on a fallback key" }],
    } as const;

    it("is refused whichever of the two comes last", () => {
      const fallback = keyAdded({ fallback: true });
      given(fallback)
        .when(update(fallback, { byokOnly: true }))
        .rejects(wrong);
      const exclusive = keyAdded({ byokOnly: true });
      given(exclusive)
        .when(update(exclusive, { fallback: true }))
        .rejects(wrong);
      const plain = keyAdded();
      given(plain)
        .when(update(plain, { fallback: true, byokOnly: true }))
        .rejects(wrong);
    });

    it("is fine where the other goes in the same update", () => {
      const exclusive = keyAdded({ byokOnly: true, sortOrder: 0 });
      given(exclusive)
        .when(update(exclusive, { fallback: true, byokOnly: false }))
        .records(updated(exclusive, { fallback: true, byokOnly: false }));
    });
  });

  describe("with new material", () => {
    it("rotates, updates and records the finding in one append", () => {
      const key = keyAdded({ name: "old" });
      const command = update(key, { name: "new" }, { probe: valid });
      const { material } = command.rotation ?? { material: newMaterial() };
      given(key)
        .when(command)
        .records(
          rotationOf(key, material),
          updated(key, { name: "new" }),
          probed({ keyId: key.keyId, secretVersion: material.secretVersion }, valid),
        );
    });

    it("takes the owner's expiry before the credential's", () => {
      const key = keyAdded();
      const expiresAt = "2026-03-01T00:00:00.000Z";
      const material = newMaterial({ expiresAt: "2026-06-01T00:00:00.000Z" });
      given(key)
        .when(update(key, { expiresAt }, { material }))
        .records(rotationOf(key, material, { expiresAt }));
    });

    it("clears the expiry where the owner says so, and has nothing to do when told again", () => {
      const key = keyAdded({ expiresAt: "2026-03-01T00:00:00.000Z" });
      const material = newMaterial({ expiresAt: "2026-06-01T00:00:00.000Z" });
      const rotated = rotationOf(key, material, { expiresAt: null });
      given(key)
        .when(update(key, { expiresAt: null }, { material }))
        .records(rotated);
      given(key, rotated)
        .when(update(key, { expiresAt: null }, { material }))
        .records();
    });

    it("only updates where the secret is the one that is there", () => {
      const key = keyAdded({ name: "old" });
      given(key)
        .when(update(key, { name: "new" }, { material: sameMaterial(key) }))
        .records(updated(key, { name: "new" }));
    });

    it("moves a key to the other group as well", () => {
      const key = keyAdded({ sortOrder: 0 });
      const material = newMaterial();
      given(key, keyAdded({ fallback: true, sortOrder: 2 }))
        .when(update(key, { fallback: true }, { material }))
        .records(rotationOf(key, material), updated(key, { fallback: true, sortOrder: 3 }));
    });

    it("switches to neo where the same append disables the last enabled key", () => {
      const key = keyAdded();
      const material = newMaterial();
      given(key, byok)
        .when(update(key, { disabled: true }, { material }))
        .records(rotationOf(key, material), updated(key, { disabled: true }), lastKeyGone);
    });

    it("changes nothing where the probe policy refuses it", () => {
      const key = keyAdded();
      given(key)
        .when(update(key, { name: "new" }, { probe: refused, refusal: keyRejected }))
        .rejects(keyRejected);
    });

    it("keeps the key whose own secret is refused now, and records it", () => {
      const key = keyAdded();
      const rotation = { material: sameMaterial(key), probe: refused, refusal: keyRejected };
      given(key)
        .when(update(key, { name: "new" }, rotation))
        .refuses(keyRejected, probed(key, refused));
    });
  });
});

describe("disabling a key", () => {
  it("switches to neo in the same append where it was the last enabled one", () => {
    const key = keyAdded();
    given(key, byok)
      .when(update(key, { disabled: true }))
      .records(updated(key, { disabled: true }), lastKeyGone);
  });

  it("does not count keys that are disabled already", () => {
    const key = keyAdded();
    given(key, keyAdded({ disabled: true, sortOrder: 1 }), byok)
      .when(update(key, { disabled: true }))
      .records(updated(key, { disabled: true }), lastKeyGone);
  });

  it.for([
    ["of another provider", { provider: "mistral" }],
    ["that is a fallback", { fallback: true }],
    ["that is bound to a workspace", { workspaceId }],
    ["that is expired", { expiresAt: "2020-01-01T00:00:00.000Z" }],
    ["that allows no model asked for", { allowedModels: ["none"] }],
  ] as const)("leaves the mode alone while there is an enabled key %s", ([, other]) => {
    const key = keyAdded();
    given(key, keyAdded(other), byok)
      .when(update(key, { disabled: true }))
      .records(updated(key, { disabled: true }));
  });

  it("leaves the mode alone while there is an enabled key in quarantine", () => {
    const [key, other] = [keyAdded(), keyAdded({ sortOrder: 1 })];
    const { keyId } = other;
    given(
      key,
      other,
      { type: "KeyHealthChanged", keyId, health: "quarantined", because: "rejected" },
      byok,
    )
      .when(update(key, { disabled: true }))
      .records(updated(key, { disabled: true }));
  });

  it("has no mode to switch where it is neo", () => {
    const key = keyAdded();
    given(key)
      .when(update(key, { disabled: true }))
      .records(updated(key, { disabled: true }));
  });

  it("again records nothing, in whatever mode", () => {
    const key = keyAdded({ disabled: true });
    given(key, keyAdded({ sortOrder: 1 }), byok)
      .when(update(key, { disabled: true }))
      .records();
  });

  it("and enabling it again does not bring byok back", () => {
    const key = keyAdded();
    given(key, byok, updated(key, { disabled: true }), lastKeyGone)
      .when(update(key, { disabled: false }))
      .records(updated(key, { disabled: false }));
  });
});
