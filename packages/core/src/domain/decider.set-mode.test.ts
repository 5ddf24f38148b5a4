import { describe, it } from "vitest";
import {
  byok,
  deletionOf,
  given,
  keyAdded,
  lastKeyGone,
  neo,
  probed,
  refused,
  setMode,
  uuid,
} from "./given.test-support.ts";

const workspaceId = uuid(0xaaaa);

describe("setting the mode", () => {
  it("to byok needs an enabled key", () => {
    given().when(setMode("byok")).rejects("no-keys-for-byok");
    given(keyAdded({ disabled: true }))
      .when(setMode("byok"))
      .rejects("no-keys-for-byok");
    const gone = keyAdded();
    given(gone, deletionOf(gone)).when(setMode("byok")).rejects("no-keys-for-byok");
  });

  it.for([
    ["never validated", {}],
    ["a fallback", { fallback: true }],
    ["bound to a workspace", { workspaceId }],
    ["expired", { expiresAt: "2020-01-01T00:00:00.000Z" }],
  ] as const)("to byok takes an enabled key that is %s", ([, key]) => {
    given(keyAdded(key)).when(setMode("byok")).records(byok);
  });

  it("to byok takes an enabled key that its provider refused", () => {
    const key = keyAdded();
    given(key, probed(key, refused)).when(setMode("byok")).records(byok);
  });

  it("to neo is always possible", () => {
    given(keyAdded(), byok).when(setMode("neo")).records(neo);
  });

  it("to what it is records nothing", () => {
    given().when(setMode("neo")).records();
    given(keyAdded(), byok).when(setMode("byok")).records();
    given(keyAdded(), byok, neo).when(setMode("neo")).records();
  });

  it("to byok is possible again after the last key went and a new one came", () => {
    const gone = keyAdded();
    given(gone, byok, deletionOf(gone), lastKeyGone, keyAdded())
      .when(setMode("byok"))
      .records(byok);
  });
});

describe("the entitlement", () => {
  it("is recorded when it is first set and when it changes", () => {
    given()
      .when({ type: "SetEntitlement", byok: "on" })
      .records({ type: "EntitlementSet", byok: "on" });
    given({ type: "EntitlementSet", byok: "on" })
      .when({ type: "SetEntitlement", byok: "off" })
      .records({ type: "EntitlementSet", byok: "off" });
  });

  it("set to what it is records nothing", () => {
    given({ type: "EntitlementSet", byok: "off" })
      .when({ type: "SetEntitlement", byok: "off" })
      .records();
  });

  it("taken away leaves keys and mode as they are", () => {
    given(keyAdded(), byok)
      .when({ type: "SetEntitlement", byok: "off" })
      .records({ type: "EntitlementSet", byok: "off" });
  });
});
