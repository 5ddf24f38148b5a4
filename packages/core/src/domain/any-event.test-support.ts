import fc from "fast-check";
import type {
  AccessGranted,
  AccessRefused,
  CallerKeyEvent,
  KeyMetadata,
  KeyringEvent,
  LedgerEvent,
} from "./events.ts";
import { timeAt, uuid } from "./given.test-support.ts";
import type { OwnerName } from "./vocabulary.ts";

/** Objects like those of the code itself. */
const record = <T extends object>(members: { [Name in keyof T]: fc.Arbitrary<T[Name]> }) =>
  fc.record<T>(members, { noNullPrototype: true });

/** Few ids, so that events meet the keys of others. */
const keyId = fc.nat({ max: 3 }).map((number) => uuid(0xa0 + number));
const secretVersion = fc.nat({ max: 5 }).map((number) => uuid(0xb0 + number));
/** Whatever a person may type or a foreign system may send, half characters among them. */
const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 8 }),
  fc.string({ unit: "binary", maxLength: 8 }),
  fc.constantFrom("", "\ud800", "\u2028", '"\\', "__proto__"),
);
const instant = fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }).map(timeAt);
const orNull = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const list = orNull(fc.array(text, { maxLength: 3 }));
const integer = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER });
const ownerName = fc.constantFrom<OwnerName[]>("user.ann", "team.red", "organization.a.b");
const mac = text.map((tail) => `root:${tail}`);

const metadata: { [Name in keyof KeyMetadata]: fc.Arbitrary<KeyMetadata[Name]> } = {
  name: orNull(text),
  location: orNull(text),
  sortOrder: integer,
  fallback: fc.boolean(),
  disabled: fc.boolean(),
  allowedModels: list,
  allowedUsers: list,
  allowedCallerKeys: list,
  requiredForItsModels: fc.boolean(),
  byokOnly: fc.boolean(),
  declaredZdr: orNull(fc.boolean()),
  expiresAt: orNull(instant),
};

const access = {
  owner: orNull(ownerName),
  provider: text,
  model: orNull(text),
  userId: orNull(text),
  callerKey: orNull(text),
  workspaceId: orNull(text),
  purpose: text,
  service: text,
  source: orNull(fc.constantFrom("byok", "neo")),
  keyId: orNull(keyId),
  secretVersion: orNull(secretVersion),
  reason: text,
  revisionSeen: orNull(integer),
  leaseSeconds: orNull(integer),
};

/** One arbitrary per type of event: a type that is missing here does not compile. */
export const anyEventOf: {
  [Type in LedgerEvent["type"]]: fc.Arbitrary<Extract<LedgerEvent, { type: Type }>>;
} = {
  KeyAdded: record({
    type: fc.constant("KeyAdded"),
    keyId,
    provider: fc.constantFrom("openai", "mistral"),
    secretVersion,
    fingerprint: mac,
    label: text,
    workspaceId: orNull(keyId),
    ...metadata,
  }),
  KeyRotated: record({
    type: fc.constant("KeyRotated"),
    keyId,
    secretVersion,
    supersededVersion: secretVersion,
    fingerprint: mac,
    label: text,
    location: orNull(text),
    expiresAt: orNull(instant),
  }),
  KeyUpdated: record({
    type: fc.constant("KeyUpdated"),
    keyId,
    changes: fc.record(metadata, { requiredKeys: [], noNullPrototype: true }),
  }),
  KeyDeleted: record({
    type: fc.constant("KeyDeleted"),
    keyId,
    secretVersion,
    because: fc.constantFrom("requested", "keyring-closed"),
  }),
  KeyProbed: record({
    type: fc.constant("KeyProbed"),
    keyId,
    secretVersion,
    outcome: fc.constantFrom("valid", "rejected", "indeterminate"),
    code: text,
  }),
  KeyHealthChanged: record({
    type: fc.constant("KeyHealthChanged"),
    keyId,
    health: fc.constantFrom("unprobed", "valid", "rejected", "pending", "quarantined"),
    because: text,
  }),
  ModeSet: record({
    type: fc.constant("ModeSet"),
    mode: fc.constantFrom("neo", "byok"),
    because: fc.constantFrom("requested", "last-key-gone"),
  }),
  EntitlementSet: record({
    type: fc.constant("EntitlementSet"),
    byok: fc.constantFrom("on", "off"),
  }),
  SecretShredded: record({
    type: fc.constant("SecretShredded"),
    keyId,
    secretVersion,
    store: text,
    method: text,
  }),
  ApiKeyIssued: record({
    type: fc.constant("ApiKeyIssued"),
    callerKeyId: keyId,
    owner: orNull(
      record({
        kind: fc.constantFrom("user", "team", "organization"),
        id: fc.constantFrom("ann", "a.b-c"),
      }),
    ),
    role: fc.constantFrom(
      "user",
      "team-admin",
      "team-member",
      "team-viewer",
      "organization-admin",
      "service",
      "auditor",
      "operator",
    ),
    mac,
    label: text,
    expiresAt: orNull(instant),
  }),
  ApiKeyRevoked: record({ type: fc.constant("ApiKeyRevoked"), callerKeyId: keyId }),
  AccessGranted: record({ type: fc.constant("AccessGranted"), ...access }),
  AccessRefused: record({ type: fc.constant("AccessRefused"), ...access }),
};

export const anyKeyringEvent: fc.Arbitrary<KeyringEvent> = fc.oneof(
  { weight: 4, arbitrary: anyEventOf.KeyAdded },
  { weight: 2, arbitrary: anyEventOf.KeyRotated },
  { weight: 3, arbitrary: anyEventOf.KeyUpdated },
  { weight: 3, arbitrary: anyEventOf.KeyDeleted },
  { weight: 2, arbitrary: anyEventOf.KeyProbed },
  { weight: 2, arbitrary: anyEventOf.KeyHealthChanged },
  { weight: 3, arbitrary: anyEventOf.ModeSet },
  { weight: 1, arbitrary: anyEventOf.EntitlementSet },
  { weight: 2, arbitrary: anyEventOf.SecretShredded },
);

export const anyCallerKeyEvent: fc.Arbitrary<CallerKeyEvent> = fc.oneof(
  anyEventOf.ApiKeyIssued,
  anyEventOf.ApiKeyRevoked,
);

export const anyAccessEvent: fc.Arbitrary<AccessGranted | AccessRefused> = fc.oneof(
  anyEventOf.AccessGranted,
  anyEventOf.AccessRefused,
);
