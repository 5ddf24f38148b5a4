import { describe, it } from "vitest";
import type { KeyringEvent } from "./events.ts";
import {
  byok,
  deleteById,
  deleteSoleKeyOf,
  deletionOf,
  given,
  keyAdded,
  lastKeyGone,
  neo,
  newMaterial,
  newUuid,
  rotationOf,
  uuid,
} from "./given.test-support.ts";

const workspaceId = uuid(0xaaaa);

describe("deleting a key", () => {
  it("records which material must go", () => {
    const key = keyAdded();
    const material = newMaterial();
    given(key, rotationOf(key, material)).when(deleteById(key)).records({
      type: "KeyDeleted",
      keyId: key.keyId,
      secretVersion: material.secretVersion,
      because: "requested",
    });
  });

  it("needs the key", () => {
    const key = keyAdded();
    given().when(deleteById(key)).rejects("key-not-found");
    given(key, deletionOf(key)).when(deleteById(key)).rejects("key-not-found");
  });

  it("switches to neo in the same append where it was the last enabled one", () => {
    const key = keyAdded();
    given(key, byok).when(deleteById(key)).records(deletionOf(key), lastKeyGone);
  });

  it("does not count disabled keys", () => {
    const key = keyAdded();
    given(key, keyAdded({ disabled: true, sortOrder: 1 }), byok)
      .when(deleteById(key))
      .records(deletionOf(key), lastKeyGone);
  });

  it("leaves the mode alone where the key was disabled and another is not", () => {
    const key = keyAdded({ disabled: true });
    given(key, keyAdded({ sortOrder: 1 }), byok)
      .when(deleteById(key))
      .records(deletionOf(key));
  });

  it("leaves the mode alone while another enabled key is left, whatever its provider", () => {
    const key = keyAdded();
    given(key, keyAdded({ provider: "mistral" }), byok)
      .when(deleteById(key))
      .records(deletionOf(key));
  });

  it("has no mode to switch where it is neo", () => {
    const key = keyAdded();
    given(key).when(deleteById(key)).records(deletionOf(key));
    given(key, byok, neo).when(deleteById(key)).records(deletionOf(key));
  });

  describe("named as a provider's sole key", () => {
    it("deletes the primary where it is alone, and switches the mode likewise", () => {
      const key = keyAdded();
      given(key, keyAdded({ provider: "mistral" }))
        .when(deleteSoleKeyOf("openai"))
        .records(deletionOf(key));
      given(key, byok).when(deleteSoleKeyOf("openai")).records(deletionOf(key), lastKeyGone);
    });

    it("deletes a disabled primary as well", () => {
      const key = keyAdded({ disabled: true });
      given(key).when(deleteSoleKeyOf("openai")).records(deletionOf(key));
    });

    it.for([
      ["another key", { sortOrder: 1 }],
      ["a fallback key", { fallback: true }],
      ["a key of a workspace", { workspaceId, sortOrder: 1 }],
      ["a disabled key", { disabled: true, sortOrder: 1 }],
    ] as const)(
      "is refused while %s stands beside it, so that nothing goes unseen",
      ([, other]) => {
        given(keyAdded(), keyAdded(other), byok)
          .when(deleteSoleKeyOf("openai"))
          .rejects("other-keys-exist");
      },
    );

    it.for([
      ["nothing", []],
      ["a key of another provider", [keyAdded({ provider: "mistral" })]],
      ["a fallback key", [keyAdded({ fallback: true })]],
      ["a key of a workspace", [keyAdded({ workspaceId })]],
    ] as const)("finds no primary where there is only %s", ([, history]) => {
      given(...history)
        .when(deleteSoleKeyOf("openai"))
        .rejects("key-not-found");
    });
  });
});

describe("the evidence of a wipe", () => {
  const shred = (secretVersion: string) =>
    ({ type: "RecordShred", secretVersion, store: "sqlite", method: "zeros" }) as const;
  const shredded = (keyId: string, secretVersion: string): KeyringEvent => ({
    type: "SecretShredded",
    keyId,
    secretVersion,
    store: "sqlite",
    method: "zeros",
  });

  it("is recorded for the material of a deleted key", () => {
    const key = keyAdded();
    given(key, deletionOf(key))
      .when(shred(key.secretVersion))
      .records(shredded(key.keyId, key.secretVersion));
  });

  it("is recorded for material that was superseded, and for that alone", () => {
    const key = keyAdded();
    const material = newMaterial();
    given(key, rotationOf(key, material))
      .when(shred(key.secretVersion))
      .records(shredded(key.keyId, key.secretVersion));
    given(key, rotationOf(key, material)).when(shred(material.secretVersion)).records();
  });

  it("is recorded once", () => {
    const key = keyAdded();
    given(key, deletionOf(key), shredded(key.keyId, key.secretVersion))
      .when(shred(key.secretVersion))
      .records();
  });

  it("is not recorded for material that nobody gave up", () => {
    const key = keyAdded();
    given(key).when(shred(key.secretVersion)).records();
    given().when(shred(newUuid())).records();
  });
});
