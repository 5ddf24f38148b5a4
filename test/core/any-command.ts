import type { KeyringCommand, KeyringView, Rejection } from "@keyledger/core";
import fc from "fast-check";

/** A command that is yet to be told which keys there are. */
export type AnyCommand = (keyring: KeyringView, step: number) => KeyringCommand;

/** Small pools: collisions are what the rules are about. */
const provider = fc.constantFrom("anthropic", "openai");
const instant = fc.constantFrom("2026-02-01T00:00:00.000Z", "2027-02-01T00:00:00.000Z");
const text = fc.constantFrom("a", "b");
const list = fc.option(fc.subarray(["x", "y"]));
const flag = fc.boolean();
const rarely = fc.integer({ min: 0, max: 5 }).map((number) => number === 0);

const uuid = (kind: number, number: number): string =>
  `00000000-0000-7000-800${kind}-${number.toString(16).padStart(12, "0")}`;

const withMaterial = fc
  .record({
    secret: fc.nat({ max: 4 }),
    location: fc.option(text),
    expiresAt: fc.option(instant, { freq: 2 }),
    probe: fc.option(
      fc.record({
        outcome: fc.constantFrom("valid", "rejected", "indeterminate"),
        code: fc.constantFrom("one", "two"),
      }),
    ),
    isStrict: flag,
  })
  .map(({ secret, location, expiresAt, probe, isStrict }) => {
    const refusal: Rejection | null =
      isStrict && probe && probe.outcome !== "valid"
        ? { reason: probe.outcome === "rejected" ? "key-rejected" : "probe-indeterminate" }
        : null;
    return (step: number) => ({
      material: {
        secretVersion: uuid(1, step),
        fingerprint: `root:${secret}`,
        label: `...${secret}`,
        location,
        expiresAt,
      },
      probe,
      refusal,
    });
  });

const wished = fc.record({
  name: fc.option(text),
  fallback: flag,
  disabled: flag,
  allowedModels: list,
  allowedUsers: list,
  allowedCallerKeys: list,
  requiredForItsModels: flag,
  byokOnly: rarely,
  declaredZdr: fc.option(flag),
  expiresAt: fc.option(instant),
});

const changes = fc.record(
  {
    name: fc.option(text),
    location: fc.option(text),
    sortOrder: fc.nat({ max: 3 }),
    fallback: flag,
    disabled: flag,
    allowedModels: list,
    allowedUsers: list,
    allowedCallerKeys: list,
    requiredForItsModels: flag,
    byokOnly: rarely,
    declaredZdr: fc.option(flag),
    expiresAt: fc.option(instant),
  },
  { requiredKeys: [] },
);

/** One of the keys there are, or rarely one that is not there. */
const someKey = fc.nat({ max: 1_000 }).map((number) => (keyring: KeyringView): string => {
  const ids = [...keyring.keys.keys()];
  return (number % 17 === 0 ? undefined : ids[number % (ids.length || 1)]) ?? uuid(9, 0);
});

const upsert = fc
  .record({
    provider,
    name: fc.option(fc.option(text), { nil: undefined }),
    material: withMaterial,
  })
  .map(
    ({ provider, name, material }): AnyCommand =>
      (_keyring, step) => ({
        type: "UpsertKey",
        provider,
        newKeyId: uuid(0, step),
        name,
        ...material(step),
      }),
  );

const create = fc
  .record({
    provider,
    workspaceId: fc.option(fc.constant(uuid(7, 1)), { freq: 2 }),
    metadata: wished,
    material: withMaterial,
  })
  .map(
    ({ provider, workspaceId, metadata, material }): AnyCommand =>
      (_keyring, step) => ({
        type: "CreateKey",
        provider,
        newKeyId: uuid(0, step),
        workspaceId,
        metadata,
        ...material(step),
      }),
  );

const update = fc
  .record({ key: someKey, changes, rotation: fc.option(withMaterial) })
  .map(({ key, changes, rotation }): AnyCommand => {
    if (!rotation)
      return (keyring) => ({ type: "UpdateKey", keyId: key(keyring), changes, rotation: null });
    // With material its location stands there.
    const { location: _location, ...others } = changes;
    return (keyring, step) => ({
      type: "UpdateKey",
      keyId: key(keyring),
      changes: others,
      rotation: rotation(step),
    });
  });

const remove = fc.oneof(
  someKey.map(
    (key): AnyCommand =>
      (keyring) => ({ type: "DeleteKey", target: { keyId: key(keyring) } }),
  ),
  provider.map(
    (soleKeyOf): AnyCommand =>
      () => ({ type: "DeleteKey", target: { soleKeyOf } }),
  ),
);

const setMode = fc.constantFrom("neo", "byok", "byok").map(
  (mode): AnyCommand =>
    () => ({ type: "SetMode", mode }),
);

const setEntitlement = fc.constantFrom("on", "off").map(
  (byok): AnyCommand =>
    () => ({ type: "SetEntitlement", byok }),
);

const recordShred = fc.nat({ max: 1_000 }).map(
  (number): AnyCommand =>
    (keyring) => {
      const { pendingShreds } = keyring;
      const pending =
        number % 11 === 0 ? undefined : pendingShreds[number % (pendingShreds.length || 1)];
      const secretVersion = pending?.secretVersion ?? uuid(1, number);
      return { type: "RecordShred", secretVersion, store: "sqlite", method: "zeros" };
    },
);

export const anyCommand: fc.Arbitrary<AnyCommand> = fc.oneof(
  { weight: 4, arbitrary: upsert },
  { weight: 4, arbitrary: create },
  { weight: 5, arbitrary: update },
  { weight: 4, arbitrary: remove },
  { weight: 3, arbitrary: setMode },
  { weight: 1, arbitrary: setEntitlement },
  { weight: 2, arbitrary: recordShred },
);
