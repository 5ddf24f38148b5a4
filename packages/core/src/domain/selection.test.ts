import { describe, expect, it } from "vitest";
import type { KeyAdded, KeyringEvent } from "./events.ts";
import { byok, keyAdded, keyringAfter, timeAt, uuid } from "./given.test-support.ts";
import { keyIdOf, PLATFORM, type Question, select } from "./selection.ts";

const [red, blue] = [uuid(0xaaaa), uuid(0xbbbb)];

const question = (changes: Partial<Question> = {}): Question => ({
  provider: "openai",
  policy: "mode",
  gateOpen: true,
  model: null,
  userId: null,
  callerKey: null,
  workspaceId: null,
  skip: new Set(),
  now: timeAt(500),
  ...changes,
});

/** What Resolve finds: ids in order of trial (`neo` = the platform), or why nobody serves. */
function asked(history: readonly KeyringEvent[], changes: Partial<Question> = {}) {
  const selection = select(keyringAfter(...history), question(changes));
  const { platformFallbackAllowed } = selection;
  if ("refused" in selection) return { refused: selection.refused, platformFallbackAllowed };
  const { chosen, alternatives, reason } = selection;
  const order = [chosen, ...alternatives].map((candidate) => keyIdOf(candidate) ?? "neo");
  return { order, reason, platformFallbackAllowed };
}

const ownFirst = { policy: "own-keys-first" } as const;

const quarantined = ({ keyId }: KeyAdded): KeyringEvent => ({
  type: "KeyHealthChanged",
  keyId,
  health: "quarantined",
  because: "rejected_twice",
});

describe("the platform serves alone", () => {
  it.for([
    ["mode", {}],
    ["own-keys-first", ownFirst],
  ] as const)("where the gate is off, under the policy %s", ([, policy]) => {
    const key = keyAdded({ byokOnly: true, requiredForItsModels: true });
    expect(asked([key, byok], { gateOpen: false, ...policy })).toStrictEqual({
      order: ["neo"],
      reason: "GATE_OFF",
      platformFallbackAllowed: true,
    });
  });

  it.for([
    ["no key", []],
    ["an enabled key and mode neo", [keyAdded()]],
    ["a stored mode byok without an enabled key", [keyAdded({ disabled: true }), byok]],
  ] as const)("under the policy mode with %s", ([, history]) => {
    expect(asked(history)).toStrictEqual({
      order: ["neo"],
      reason: "MODE_NEO",
      platformFallbackAllowed: true,
    });
  });
});

describe("the policy mode, in mode byok", () => {
  it("tries the non-fallback keys in their order, then the fallback keys in theirs", () => {
    const fallbackLate = keyAdded({ fallback: true, sortOrder: 1 });
    const fallbackEarly = keyAdded({ fallback: true, sortOrder: 0 });
    const late = keyAdded({ sortOrder: 1 });
    const early = keyAdded({ sortOrder: 0 });
    expect(asked([fallbackLate, fallbackEarly, late, early, byok])).toStrictEqual({
      order: [early, late, fallbackEarly, fallbackLate].map(({ keyId }) => keyId),
      reason: "FIRST_CANDIDATE",
      platformFallbackAllowed: false,
    });
  });

  it("never falls back to the platform", () => {
    const key = keyAdded();
    const { keyId } = key;
    expect(asked([key, byok], { skip: new Set([keyId]) })).toStrictEqual({
      refused: "all-skipped",
      platformFallbackAllowed: false,
    });
    expect(asked([key, byok], { provider: "mistral" })).toStrictEqual({
      refused: "no-key",
      platformFallbackAllowed: false,
    });
  });

  it("is answered by a fallback key alone where there is no other", () => {
    const key = keyAdded({ fallback: true });
    expect(asked([key, byok])).toMatchObject({ order: [key.keyId], reason: "FIRST_CANDIDATE" });
  });
});

describe("the policy own-keys-first", () => {
  const own = keyAdded();
  const fallback = keyAdded({ fallback: true });

  it.for([
    ["neo", []],
    ["byok", [byok]],
  ] as const)("puts the platform between own and fallback keys, in mode %s", ([, mode]) => {
    expect(asked([own, fallback, ...mode], ownFirst)).toStrictEqual({
      order: [own.keyId, "neo", fallback.keyId],
      reason: "FIRST_CANDIDATE",
      platformFallbackAllowed: true,
    });
  });

  it("starts with the platform where there is no own key", () => {
    expect(asked([fallback], ownFirst)).toStrictEqual({
      order: ["neo", fallback.keyId],
      reason: "PLATFORM",
      platformFallbackAllowed: true,
    });
    expect(asked([], ownFirst)).toMatchObject({ order: ["neo"], reason: "PLATFORM" });
  });

  it("goes on to the platform, then to the fallback keys, as they are skipped", () => {
    const skip = (...skipped: readonly string[]) =>
      asked([own, fallback], { ...ownFirst, skip: new Set(skipped) });
    expect(skip(own.keyId)).toMatchObject({ order: ["neo", fallback.keyId], reason: "PLATFORM" });
    expect(skip(own.keyId, PLATFORM)).toMatchObject({
      order: [fallback.keyId],
      reason: "NEXT_CANDIDATE",
    });
    expect(skip(own.keyId, PLATFORM, fallback.keyId)).toStrictEqual({
      refused: "all-skipped",
      platformFallbackAllowed: true,
    });
  });

  it("skips what comes later without touching what comes first", () => {
    expect(asked([own, fallback], { ...ownFirst, skip: new Set([fallback.keyId]) })).toMatchObject({
      order: [own.keyId, "neo"],
      reason: "NEXT_CANDIDATE",
    });
  });

  it("says why no key serves where the platform was skipped", () => {
    const skip = new Set([PLATFORM]);
    expect(asked([], { ...ownFirst, skip })).toMatchObject({ refused: "no-key" });
    expect(asked([keyAdded({ disabled: true })], { ...ownFirst, skip })).toMatchObject({
      refused: "all-disabled",
    });
  });

  describe("is without the platform", () => {
    it("where a key is for own keys only", () => {
      const exclusive = keyAdded({ byokOnly: true });
      expect(asked([exclusive, fallback], ownFirst)).toStrictEqual({
        order: [exclusive.keyId, fallback.keyId],
        reason: "FIRST_CANDIDATE",
        platformFallbackAllowed: false,
      });
    });

    it("even where that key cannot serve right now", () => {
      for (const hindrance of [
        { expiresAt: timeAt(1) },
        { allowedModels: ["other"] },
        { allowedUsers: ["ann"] },
      ]) {
        const exclusive = keyAdded({ byokOnly: true, ...hindrance });
        expect(asked([exclusive], ownFirst)).toMatchObject({ platformFallbackAllowed: false });
        expect(asked([exclusive], ownFirst)).toHaveProperty("refused");
      }
      const sick = keyAdded({ byokOnly: true });
      expect(asked([sick, quarantined(sick)], ownFirst)).toStrictEqual({
        refused: "quarantined",
        platformFallbackAllowed: false,
      });
    });

    it("but not because of a disabled key, or of one nobody asked about", () => {
      for (const history of [
        [keyAdded({ byokOnly: true, disabled: true })],
        [keyAdded({ byokOnly: true, provider: "mistral" })],
        [keyAdded({ byokOnly: true, workspaceId: red })],
        // No command makes such a key; the log of somebody else may hold one.
        [keyAdded({ byokOnly: true, fallback: true })],
      ]) {
        expect(asked(history, ownFirst)).toMatchObject({ platformFallbackAllowed: true });
      }
    });

    it.for([
      ["any model, where the key allows all", null, null, false],
      ["the key's model", ["gpt-5"], "gpt-5", false],
      ["another model", ["gpt-5"], "o3", true],
      ["no model in particular", ["gpt-5"], null, true],
    ] as const)("where a key is required for %s", ([, allowedModels, model, isAllowed]) => {
      for (const isFallback of [false, true]) {
        const required = keyAdded({
          requiredForItsModels: true,
          allowedModels,
          fallback: isFallback,
        });
        expect(asked([required], { ...ownFirst, model })).toMatchObject({
          platformFallbackAllowed: isAllowed,
        });
      }
    });

    it("which a disabled key cannot require", () => {
      const disabled = keyAdded({ requiredForItsModels: true, disabled: true });
      expect(asked([disabled], ownFirst)).toMatchObject({ platformFallbackAllowed: true });
    });
  });
});

describe("a key of a workspace", () => {
  const global = keyAdded({ sortOrder: 0 });
  const ofRed = keyAdded({ workspaceId: red, sortOrder: 1 });
  const history = [global, ofRed, byok];

  it.for([
    ["that workspace sees it, and the ones bound to none", red, [global, ofRed]],
    ["another workspace sees only those bound to none", blue, [global]],
    ["no workspace sees only those bound to none", null, [global]],
  ] as const)("is for that workspace alone: %s", ([, workspaceId, visible]) => {
    expect(asked(history, { workspaceId })).toMatchObject({
      order: visible.map(({ keyId }) => keyId),
    });
  });

  it("counts as no key for everybody else", () => {
    expect(asked([ofRed, byok], { workspaceId: blue })).toMatchObject({ refused: "no-key" });
  });
});

describe("an allow-list", () => {
  const lists = [
    ["allowedModels", "model"],
    ["allowedUsers", "userId"],
    ["allowedCallerKeys", "callerKey"],
  ] as const;

  it.for(lists)("%s admits what it names, and nothing that is left out", ([list, field]) => {
    const key = keyAdded({ [list]: ["a", "b"] });
    const ask = (value: string | null) => asked([key, byok], { [field]: value });
    expect(ask("a")).toMatchObject({ order: [key.keyId] });
    expect(ask("b")).toMatchObject({ order: [key.keyId] });
    for (const other of ["c", "A", "", null]) {
      expect(ask(other)).toMatchObject({ refused: "not-allowed" });
    }
  });

  it.for(lists)("%s that is not there restricts nothing", ([list, field]) => {
    const key = keyAdded({ [list]: null });
    expect(asked([key, byok], { [field]: "whatever" })).toMatchObject({ order: [key.keyId] });
    expect(asked([key, byok], { [field]: null })).toMatchObject({ order: [key.keyId] });
  });

  it("that is empty admits nobody", () => {
    const key = keyAdded({ allowedModels: [] });
    expect(asked([key, byok], { model: "a" })).toMatchObject({ refused: "not-allowed" });
  });

  it("must admit together with the others", () => {
    const key = keyAdded({ allowedModels: ["m"], allowedUsers: ["u"], allowedCallerKeys: ["c"] });
    const all = { model: "m", userId: "u", callerKey: "c" };
    expect(asked([key, byok], all)).toMatchObject({ order: [key.keyId] });
    for (const field of ["model", "userId", "callerKey"]) {
      expect(asked([key, byok], { ...all, [field]: null })).toMatchObject({
        refused: "not-allowed",
      });
    }
  });

  it("takes one key out and leaves the others", () => {
    const picky = keyAdded({ allowedModels: ["m"] });
    const open = keyAdded({ sortOrder: 1 });
    expect(asked([picky, open, byok], { model: "x" })).toMatchObject({ order: [open.keyId] });
    expect(asked([picky, open, byok], { model: "m" })).toMatchObject({
      order: [picky.keyId, open.keyId],
    });
  });
});

describe("a key serves no more", () => {
  it("from the very instant it expires", () => {
    const key = keyAdded({ expiresAt: timeAt(500) });
    const at = (now: string) => asked([key, byok], { now });
    expect(at(timeAt(499))).toMatchObject({ order: [key.keyId] });
    expect(at(timeAt(500))).toMatchObject({ refused: "expired" });
    expect(at(timeAt(501))).toMatchObject({ refused: "expired" });
  });

  it("while it is in quarantine", () => {
    const key = keyAdded();
    expect(asked([key, quarantined(key), byok])).toMatchObject({ refused: "quarantined" });
  });

  it("and says so by what took the last candidate", () => {
    const disabled = keyAdded({ disabled: true });
    const barred = keyAdded({ allowedModels: ["m"] });
    const expired = keyAdded({ expiresAt: timeAt(1) });
    const sick = keyAdded();
    const enabledElsewhere = keyAdded({ provider: "mistral" });
    const rest = [enabledElsewhere, byok];
    expect(asked([disabled, ...rest])).toMatchObject({ refused: "all-disabled" });
    expect(asked([disabled, barred, ...rest])).toMatchObject({ refused: "not-allowed" });
    expect(asked([disabled, barred, expired, ...rest])).toMatchObject({ refused: "expired" });
    expect(asked([disabled, barred, expired, sick, quarantined(sick), ...rest])).toMatchObject({
      refused: "quarantined",
    });
  });

  it("though a key its provider refused still does: quarantine is what stops it", () => {
    const key = keyAdded();
    const { keyId, secretVersion } = key;
    const rejected = {
      type: "KeyProbed",
      keyId,
      secretVersion,
      outcome: "rejected",
      code: "invalid",
    } as const;
    expect(asked([key, rejected, byok])).toMatchObject({ order: [keyId] });
  });
});

describe("skipping", () => {
  it("goes through the candidates in order until none is left", () => {
    const keys = [keyAdded(), keyAdded({ sortOrder: 1 }), keyAdded({ fallback: true })];
    const history = [...keys, byok];
    const skip = new Set<string>();
    const served: string[] = [];
    for (;;) {
      const found = asked(history, { skip });
      if (!("order" in found)) {
        expect(found.refused).toBe("all-skipped");
        break;
      }
      expect(found.reason).toBe(skip.size === 0 ? "FIRST_CANDIDATE" : "NEXT_CANDIDATE");
      const [first] = found.order;
      if (first === undefined) throw new Error("an order names at least one candidate");
      served.push(first);
      skip.add(first);
    }
    expect(served).toStrictEqual(keys.map(({ keyId }) => keyId));
  });

  it("of ids that are unknown changes nothing but the reason", () => {
    const key = keyAdded();
    expect(asked([key, byok], { skip: new Set([uuid(1), PLATFORM]) })).toMatchObject({
      order: [key.keyId],
      reason: "NEXT_CANDIDATE",
    });
  });
});
