import { describe, expect, it } from "vitest";
import { decide } from "./decider.ts";
import {
  additionOf,
  byok,
  deletionOf,
  given,
  keyAdded,
  keyRejected,
  keyringAfter,
  newMaterial,
  newUuid,
  probed,
  refused,
  rotationOf,
  sameMaterial,
  unclear,
  updated,
  upsert,
  uuid,
  valid,
} from "./given.test-support.ts";

const workspaceId = uuid(0xaaaa);

describe("upserting a key", () => {
  it("makes a provider's first key, at the start of its group", () => {
    const command = upsert({ name: "prod", material: newMaterial({ location: "eu-west-1" }) });
    given()
      .when(command)
      .records(additionOf(command, { name: "prod", location: "eu-west-1" }));
  });

  it("makes a key without a name where none is given", () => {
    const command = upsert({ name: undefined });
    given()
      .when(command)
      .records(additionOf(command, { name: null }));
  });

  it("notes when the credential says that it expires", () => {
    const expiresAt = "2026-06-01T00:00:00.000Z";
    const command = upsert({ material: newMaterial({ expiresAt }) });
    given().when(command).records(additionOf(command, { expiresAt }));
  });

  it("leaves the mode as it is", () => {
    const other = keyAdded({ provider: "mistral" });
    const command = upsert();
    given(other, byok).when(command).records(additionOf(command));
  });

  it("gives the primary new material, and says which version it supersedes", () => {
    const key = keyAdded();
    const command = upsert();
    given(key).when(command).records(rotationOf(key, command.material));
  });

  it("supersedes the version of the last rotation, not of the first", () => {
    const key = keyAdded();
    const first = newMaterial();
    const second = upsert();
    given(key, rotationOf(key, first))
      .when(second)
      .records(
        rotationOf({ keyId: key.keyId, secretVersion: first.secretVersion }, second.material),
      );
  });

  it("lets location and expiry go with the material they belong to", () => {
    const key = keyAdded({ location: "us-east-1", expiresAt: "2026-06-01T00:00:00.000Z" });
    const command = upsert({ material: newMaterial({ location: "eu-west-1" }) });
    given(key)
      .when(command)
      .records(rotationOf(key, command.material, { expiresAt: null }));
  });

  it("renames the key in the same append as it rotates it", () => {
    const key = keyAdded({ name: "old" });
    const command = upsert({ name: "new" });
    given(key)
      .when(command)
      .records(rotationOf(key, command.material), updated(key, { name: "new" }));
  });

  it("keeps keys of other providers out of it", () => {
    const other = keyAdded({ provider: "mistral", sortOrder: 7 });
    const command = upsert();
    given(other)
      .when(command)
      .records(additionOf(command, { sortOrder: 0 }));
  });

  describe("the primary", () => {
    it("is never a key bound to a workspace", () => {
      const bound = keyAdded({ workspaceId, sortOrder: 4 });
      const command = upsert();
      given(bound)
        .when(command)
        .records(additionOf(command, { sortOrder: 5 }));
    });

    it("is never a fallback key", () => {
      const fallback = keyAdded({ fallback: true, sortOrder: 4 });
      const command = upsert();
      given(fallback)
        .when(command)
        .records(additionOf(command, { sortOrder: 0 }));
    });

    it("may be disabled, and an upsert does not enable it again", () => {
      const disabled = keyAdded({ disabled: true });
      const enabled = keyAdded({ sortOrder: 1 });
      const command = upsert();
      given(disabled, enabled).when(command).records(rotationOf(disabled, command.material));
    });

    it("is the key with the smallest sort order, however late it came", () => {
      const first = keyAdded({ sortOrder: 3 });
      const second = keyAdded({ sortOrder: 2 });
      const command = upsert();
      given(first, second).when(command).records(rotationOf(second, command.material));
    });

    it("is the older one of two with the same sort order", () => {
      const [low, high] = [newUuid(), newUuid()];
      const older = keyAdded({ keyId: high });
      const younger = keyAdded({ keyId: low });
      const command = upsert();
      given(older, younger).when(command).records(rotationOf(older, command.material));
    });

    it("is the one with the smaller id where even the time is the same", () => {
      const [low, high] = [newUuid(), newUuid()];
      const keys = [keyAdded({ keyId: high }), keyAdded({ keyId: low })];
      const keyring = keyringAfter(...keys);
      const sameTime = new Map(
        [...keyring.keys].map(([id, key]) => [
          id,
          { ...key, createdAt: "2026-01-01T00:00:00.000Z" },
        ]),
      );
      const decision = decide(upsert(), { ...keyring, keys: sameTime });
      expect(decision).toMatchObject({ accepted: [{ type: "KeyRotated", keyId: low }] });
    });

    it("is gone once it is deleted: the next upsert makes a new key", () => {
      const key = keyAdded();
      const command = upsert();
      given(key, deletionOf(key)).when(command).records(additionOf(command));
    });
  });

  describe("with the secret that is there already", () => {
    it("records nothing while everything is the same", () => {
      const key = keyAdded({ name: "prod", location: "eu-west-1" });
      given(key)
        .when(upsert({ name: "prod", material: sameMaterial(key) }))
        .records();
    });

    it.for([
      ["a new name", "other"],
      ["no name any more", null],
    ] as const)("records %s", ([, name]) => {
      const key = keyAdded({ name: "prod" });
      given(key)
        .when(upsert({ name, material: sameMaterial(key) }))
        .records(updated(key, { name }));
    });

    it("records a new location", () => {
      const key = keyAdded({ location: "us-east-1" });
      given(key)
        .when(upsert({ material: sameMaterial(key, { location: "eu-west-1" }) }))
        .records(updated(key, { location: "eu-west-1" }));
    });

    it("records an expiry that became known", () => {
      const key = keyAdded();
      const expiresAt = "2026-06-01T00:00:00.000Z";
      given(key)
        .when(upsert({ material: sameMaterial(key, { expiresAt }) }))
        .records(updated(key, { expiresAt }));
    });

    it("keeps the expiry that somebody set where the credential says nothing", () => {
      const key = keyAdded({ expiresAt: "2026-06-01T00:00:00.000Z" });
      given(key)
        .when(upsert({ material: sameMaterial(key) }))
        .records();
    });

    it("does not enable the key again", () => {
      const key = keyAdded({ disabled: true });
      given(key)
        .when(upsert({ material: sameMaterial(key) }))
        .records();
    });

    it("rotates where the primary is another key than the one that holds the secret", () => {
      const primary = keyAdded();
      const second = keyAdded({ sortOrder: 1 });
      const command = upsert({ material: sameMaterial(second) });
      given(primary, second).when(command).records(rotationOf(primary, command.material));
    });
  });

  describe("after a probe", () => {
    it("records the finding behind the new key", () => {
      const command = upsert({ probe: valid });
      const added = additionOf(command);
      given().when(command).records(added, probed(added, valid));
    });

    it("records the finding behind a rotation, for the new version, however the old one was", () => {
      const key = keyAdded();
      const command = upsert({ probe: valid });
      const { keyId } = key;
      const { secretVersion } = command.material;
      given(key, probed(key, valid))
        .when(command)
        .records(rotationOf(key, command.material), probed({ keyId, secretVersion }, valid));
    });

    it("stores a key of which nothing is known for sure", () => {
      const command = upsert({ probe: unclear });
      const added = additionOf(command);
      given().when(command).records(added, probed(added, unclear));
    });

    it("records the finding alone where only the outcome changed", () => {
      const key = keyAdded();
      given(key, probed(key, unclear))
        .when(upsert({ material: sameMaterial(key), probe: valid }))
        .records(probed(key, valid));
    });

    it("records the finding alone where only the code changed", () => {
      const key = keyAdded();
      const limited = { outcome: "valid", code: "no_funds" } as const;
      given(key, probed(key, valid))
        .when(upsert({ material: sameMaterial(key), probe: limited }))
        .records(probed(key, limited));
    });

    it("records nothing where outcome and code are the same", () => {
      const key = keyAdded();
      given(key, probed(key, valid))
        .when(upsert({ material: sameMaterial(key), probe: valid }))
        .records();
    });

    it("records the change and the finding in one append", () => {
      const key = keyAdded();
      given(key)
        .when(upsert({ name: "new", material: sameMaterial(key), probe: valid }))
        .records(updated(key, { name: "new" }), probed(key, valid));
    });
  });

  describe("that the probe policy refuses", () => {
    it("saves no new key", () => {
      given()
        .when(upsert({ probe: refused, refusal: keyRejected }))
        .rejects(keyRejected);
    });

    it("leaves the old material alone", () => {
      const key = keyAdded();
      given(key, probed(key, valid))
        .when(upsert({ probe: refused, refusal: keyRejected }))
        .rejects(keyRejected);
    });

    it("keeps the key that holds this very secret, and records that it is refused now", () => {
      const key = keyAdded();
      given(key, probed(key, valid))
        .when(upsert({ material: sameMaterial(key), probe: refused, refusal: keyRejected }))
        .refuses(keyRejected, probed(key, refused));
    });

    it("records the same refusal only once", () => {
      const key = keyAdded();
      given(key, probed(key, refused))
        .when(upsert({ material: sameMaterial(key), probe: refused, refusal: keyRejected }))
        .refuses(keyRejected);
    });

    it("changes nothing else about the kept key", () => {
      const key = keyAdded({ name: "old" });
      given(key)
        .when(
          upsert({
            name: "new",
            material: sameMaterial(key, { location: "eu-west-1" }),
            probe: refused,
            refusal: keyRejected,
          }),
        )
        .refuses(keyRejected, probed(key, refused));
    });

    it("records nothing where the probe proved nothing", () => {
      const key = keyAdded();
      const refusal = { reason: "probe-indeterminate" } as const;
      given(key)
        .when(upsert({ material: sameMaterial(key), probe: unclear, refusal }))
        .rejects(refusal);
    });
  });
});
