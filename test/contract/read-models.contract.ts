import { randomUUID } from "node:crypto";
import {
  type CallerKeyView,
  emptyKeyringView,
  type KeyringView,
  type KeyView,
  type Owner,
  ownerName,
  type Position,
  type ReadModels,
  type Uuid,
} from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

/** The data of some views: all that are opened from it, one after the other, are the same. */
export interface ReadModelsHome extends Disposable {
  open(): ReadModels & Disposable;
}

export const newOwner = (): Owner => ({ kind: "team", id: randomUUID() });

export const positionAt = (sequence: number): Position =>
  `01${"ab".repeat(16)}${sequence.toString(16).padStart(16, "0")}`;

export const newKey = (changes: Partial<KeyView> = {}): KeyView => ({
  keyId: randomUUID(),
  provider: "openai",
  secretVersion: randomUUID(),
  fingerprint: "a1b2c3d4:ABCDEFGHIJKLMNOP",
  label: "sk-...abcd",
  workspaceId: null,
  isValidated: true,
  lastProbe: { outcome: "valid", code: "ok" },
  health: "valid",
  createdAt: "2026-11-21T11:00:00.000Z",
  updatedAt: "2026-11-21T11:00:01.000Z",
  name: "production",
  location: null,
  sortOrder: 0,
  fallback: false,
  disabled: false,
  allowedModels: null,
  allowedUsers: null,
  allowedCallerKeys: null,
  requiredForItsModels: false,
  byokOnly: false,
  declaredZdr: null,
  expiresAt: null,
  ...changes,
});

const mapOf = (keys: readonly KeyView[]): ReadonlyMap<Uuid, KeyView> =>
  new Map(keys.map((key) => [key.keyId, key]));

export const newKeyring = (owner: Owner, keys: readonly KeyView[], revision = 0): KeyringView => ({
  ...emptyKeyringView(owner),
  keys: mapOf(keys),
  mode: "byok",
  revision,
  editRevision: revision,
  position: positionAt(revision + 1),
});

const newCallerKey = (changes: Partial<CallerKeyView> = {}): CallerKeyView => ({
  callerKeyId: randomUUID(),
  owner: null,
  role: "service",
  mac: "a1b2c3d4:ABCDEFGHIJKLMNOP",
  label: "gateway",
  issuedAt: "2026-11-21T11:00:00.000Z",
  expiresAt: null,
  revokedAt: null,
  revision: 0,
  position: positionAt(1),
  ...changes,
});

const commit = (models: ReadModels, keyrings: readonly KeyringView[], sequence: number): void =>
  models.commit({ keyrings, callerKeys: [] }, positionAt(sequence));

const manyKeys = (count: number): KeyView[] => Array.from({ length: count }, () => newKey());

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }) =>
  fc.record(model, { noNullPrototype: true });
const instant = fc
  .date({ min: new Date(0), max: new Date("2100-01-01"), noInvalidDate: true })
  .map((date) => date.toISOString());
const orNull = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null });
const list = orNull(fc.array(fc.string({ maxLength: 20 }), { maxLength: 5 }));
const text = fc.string({ unit: "binary", maxLength: 30 });

const anyKey: fc.Arbitrary<KeyView> = record({
  keyId: fc.uuid(),
  provider: fc.constantFrom("openai", "amazon-bedrock", "z-ai"),
  secretVersion: fc.uuid(),
  fingerprint: fc.string({ maxLength: 30 }),
  label: text,
  workspaceId: orNull(fc.uuid()),
  isValidated: fc.boolean(),
  lastProbe: orNull(
    record({
      outcome: fc.constantFrom("valid", "rejected", "indeterminate"),
      code: fc.string({ maxLength: 10 }),
    }),
  ),
  health: fc.constantFrom("unprobed", "valid", "rejected", "pending", "quarantined"),
  createdAt: instant,
  updatedAt: instant,
  name: orNull(text),
  location: orNull(text),
  sortOrder: fc.maxSafeInteger(),
  fallback: fc.boolean(),
  disabled: fc.boolean(),
  allowedModels: list,
  allowedUsers: list,
  allowedCallerKeys: list,
  requiredForItsModels: fc.boolean(),
  byokOnly: fc.boolean(),
  declaredZdr: orNull(fc.boolean()),
  expiresAt: orNull(instant),
});

const anyKeyring: fc.Arbitrary<KeyringView> = record({
  owner: record({
    kind: fc.constantFrom("user", "team", "organization"),
    id: fc.uuid(),
  }),
  keys: fc.array(anyKey, { maxLength: 12 }).map(mapOf),
  mode: fc.constantFrom("neo", "byok"),
  entitlement: fc.constantFrom(null, "on", "off"),
  pendingShreds: fc.array(record({ keyId: fc.uuid(), secretVersion: fc.uuid() }), {
    maxLength: 4,
  }),
  revision: orNull(fc.nat()),
  editRevision: orNull(fc.nat()),
  position: orNull(fc.nat().map(positionAt)),
});

const anyCallerKey: fc.Arbitrary<CallerKeyView> = record({
  callerKeyId: fc.uuid(),
  owner: orNull(record({ kind: fc.constantFrom("user", "team", "organization"), id: fc.uuid() })),
  role: fc.constantFrom("user", "team-admin", "service", "auditor", "operator"),
  mac: fc.string({ maxLength: 60 }),
  label: text,
  issuedAt: instant,
  expiresAt: orNull(instant),
  revokedAt: orNull(instant),
  revision: fc.nat(),
  position: fc.nat().map(positionAt),
});

/** What all read models promise. */
export function readModelsContract(name: string, newHome: () => ReadModelsHome): void {
  describe(`${name} keeps the read-models contract`, () => {
    it("is empty at first", () => {
      using home = newHome();
      using models = home.open();
      expect(models.checkpoint()).toBe(null);
      expect(models.keyring(newOwner())).toBe(undefined);
      expect(models.callerKey(randomUUID())).toBe(undefined);
      expect(models.callerKeys({ owner: null, before: null, limit: 10 })).toStrictEqual([]);
      expect(models.ownersWithPendingShreds(10)).toStrictEqual([]);
      expect(models.pendingShredCount()).toBe(0);
    });

    it("gives back every view as it was committed, and again after it was opened anew", () => {
      using home = newHome();
      let sequence = 0;
      fc.assert(
        fc.property(
          fc.uniqueArray(anyKeyring, { maxLength: 6, selector: ({ owner }) => owner.id }),
          fc.uniqueArray(anyCallerKey, { maxLength: 6, selector: (key) => key.callerKeyId }),
          (keyrings, callerKeys) => {
            const checkpoint = positionAt(++sequence);
            for (const round of ["first", "again"]) {
              using models = home.open();
              if (round === "first") models.commit({ keyrings, callerKeys }, checkpoint);
              expect(models.checkpoint()).toBe(checkpoint);
              for (const view of keyrings) expect(models.keyring(view.owner)).toStrictEqual(view);
              for (const view of callerKeys) {
                expect(models.callerKey(view.callerKeyId)).toStrictEqual(view);
              }
            }
          },
        ),
        { numRuns: 40 },
      );
    });

    it("replaces a keyring as a whole: keys added, changed and gone", () => {
      using home = newHome();
      const owner = newOwner();
      const [kept, changed, gone, added] = [newKey(), newKey(), newKey(), newKey()];
      const after = newKeyring(owner, [kept, { ...changed, name: "other" }, added], 1);
      {
        using models = home.open();
        commit(models, [newKeyring(owner, [kept, changed, gone])], 1);
        commit(models, [after], 2);
        expect(models.keyring(owner)).toStrictEqual(after);
      }
      using models = home.open();
      expect(models.keyring(owner)).toStrictEqual(after);
    });

    it("follows any history of any number of keys, opened anew at any time", () => {
      using home = newHome();
      const step = record({
        adds: fc.nat(12),
        drops: fc.nat(12),
        changes: fc.nat(3),
        reopens: fc.boolean(),
      });
      let sequence = 0;
      fc.assert(
        fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
          const owner = newOwner();
          let models = home.open();
          try {
            for (const { adds, drops, changes, reopens } of steps) {
              const before = models.keyring(owner) ?? emptyKeyringView(owner);
              const left = [...before.keys.values()].slice(drops);
              const keys = left.map((key, at) => (at < changes ? { ...key, name: "new" } : key));
              const view = newKeyring(owner, [...keys, ...manyKeys(adds)], ++sequence);
              commit(models, [view], sequence);
              if (reopens) {
                models[Symbol.dispose]();
                models = home.open();
              }
              expect(models.keyring(owner)).toStrictEqual(view);
            }
          } finally {
            models[Symbol.dispose]();
          }
        }),
        { numRuns: 40 },
      );
    });

    it("holds a keyring of 500 keys", () => {
      using home = newHome();
      const owner = newOwner();
      const keys = manyKeys(500);
      const after = newKeyring(owner, [...keys.slice(0, 499), newKey()], 1);
      {
        using models = home.open();
        commit(models, [newKeyring(owner, keys)], 1);
        commit(models, [after], 2);
      }
      using models = home.open();
      expect(models.keyring(owner)).toStrictEqual(after);
    });

    it("tells owners apart by kind and id", () => {
      using home = newHome();
      using models = home.open();
      const id = randomUUID();
      const views = (["user", "team", "organization"] as const).map((kind) =>
        newKeyring({ kind, id }, [newKey({ name: kind })]),
      );
      commit(models, views, 1);
      for (const view of views) expect(models.keyring(view.owner)).toStrictEqual(view);
      expect(models.keyring({ kind: "user", id: `${id}x` })).toBe(undefined);
    });

    it("moves the checkpoint with a page that changed nothing", () => {
      using home = newHome();
      {
        using models = home.open();
        commit(models, [], 7);
        expect(models.checkpoint()).toBe(positionAt(7));
      }
      using models = home.open();
      expect(models.checkpoint()).toBe(positionAt(7));
    });

    it("commits all or nothing, checkpoint included", () => {
      using home = newHome();
      const [known, fresh] = [newOwner(), newOwner()];
      const before = newKeyring(known, [newKey()]);
      const caller = newCallerKey();
      const unwritable: KeyView = {
        ...newKey(),
        get label(): string {
          throw new Error("the disk is full");
        },
      };
      {
        using models = home.open();
        models.commit({ keyrings: [before], callerKeys: [caller] }, positionAt(1));
        const changes = {
          keyrings: [
            newKeyring(known, manyKeys(12), 1),
            newKeyring(fresh, [newKey()]),
            newKeyring(newOwner(), [unwritable]),
          ],
          callerKeys: [{ ...caller, label: "changed" }],
        };
        expect(() => models.commit(changes, positionAt(2))).toThrow("the disk is full");
        expect(models.checkpoint()).toBe(positionAt(1));
        expect(models.keyring(known)).toStrictEqual(before);
        expect(models.keyring(fresh)).toBe(undefined);
        expect(models.callerKey(caller.callerKeyId)).toStrictEqual(caller);
      }
      using models = home.open();
      expect(models.checkpoint()).toBe(positionAt(1));
      expect(models.keyring(known)).toStrictEqual(before);
      expect(models.keyring(fresh)).toBe(undefined);
    });

    it("forgets everything when it is reset, and starts anew", () => {
      using home = newHome();
      const owner = newOwner();
      const caller = newCallerKey();
      {
        using models = home.open();
        const pendingShreds = [{ keyId: randomUUID(), secretVersion: randomUUID() }];
        const view = { ...newKeyring(owner, manyKeys(12)), pendingShreds };
        models.commit({ keyrings: [view], callerKeys: [caller] }, positionAt(9));
        models.reset();
        expect(models.checkpoint()).toBe(null);
        expect(models.keyring(owner)).toBe(undefined);
        expect(models.callerKey(caller.callerKeyId)).toBe(undefined);
        expect(models.callerKeys({ owner: null, before: null, limit: 1 })).toStrictEqual([]);
        expect(models.pendingShredCount()).toBe(0);
      }
      const view = newKeyring(owner, [newKey()]);
      {
        using models = home.open();
        expect(models.checkpoint()).toBe(null);
        commit(models, [view], 1);
      }
      using models = home.open();
      expect(models.keyring(owner)).toStrictEqual(view);
    });

    describe("secret versions to shred", () => {
      it("are counted over all owners, and their owners named up to a limit", () => {
        using home = newHome();
        using models = home.open();
        const pending = (count: number) =>
          Array.from({ length: count }, () => ({
            keyId: randomUUID(),
            secretVersion: randomUUID(),
          }));
        const views = [0, 1, 2, 3, 0].map((count) => ({
          ...newKeyring(newOwner(), [newKey()]),
          pendingShreds: pending(count),
        }));
        commit(models, views, 1);
        expect(models.pendingShredCount()).toBe(6);
        const names = (limit: number) =>
          models.ownersWithPendingShreds(limit).map(ownerName).toSorted();
        const expected = views.slice(1, 4).map(({ owner }) => ownerName(owner));
        expect(names(10)).toStrictEqual(expected.toSorted());
        expect(names(2)).toHaveLength(2);

        commit(
          models,
          views.map((view) => ({ ...view, pendingShreds: [] })),
          2,
        );
        expect(models.pendingShredCount()).toBe(0);
        expect(models.ownersWithPendingShreds(10)).toStrictEqual([]);
      });
    });

    describe("caller keys", () => {
      const minute = (at: number): string => `2026-11-21T11:${String(at).padStart(2, "0")}:00.000Z`;

      it("are listed newest first, page by page, of everybody or of one owner", () => {
        using home = newHome();
        using models = home.open();
        const owners = [newOwner(), newOwner(), null];
        const keys = Array.from({ length: 30 }, (_, at) =>
          newCallerKey({ issuedAt: minute(at), owner: owners[at % 3] ?? null }),
        );
        const shuffled = keys.toSorted((a, b) => a.callerKeyId.localeCompare(b.callerKeyId));
        models.commit({ keyrings: [], callerKeys: shuffled }, positionAt(1));

        const listed = (owner: Owner | null, limit: number): CallerKeyView[] => {
          const found: CallerKeyView[] = [];
          for (let before: Uuid | null = null; ; ) {
            const page = models.callerKeys({ owner, before, limit });
            found.push(...page);
            before = page.at(-1)?.callerKeyId ?? null;
            if (page.length < limit || before === null) return found;
          }
        };
        const newestFirst = keys.toReversed();
        for (const limit of [1, 7, 30, 100]) {
          expect(listed(null, limit)).toStrictEqual(newestFirst);
          for (const owner of owners.slice(0, 2)) {
            const own = newestFirst.filter((key) => key.owner === owner);
            expect(listed(owner ?? null, limit)).toStrictEqual(own);
          }
        }
      });

      it("of the same moment come one after the other, none twice", () => {
        using home = newHome();
        using models = home.open();
        const keys = Array.from({ length: 9 }, () => newCallerKey());
        models.commit({ keyrings: [], callerKeys: keys }, positionAt(1));
        const seen: Uuid[] = [];
        for (let before: Uuid | null = null; seen.length < 20; ) {
          const [next] = models.callerKeys({ owner: null, before, limit: 1 });
          if (next === undefined) break;
          seen.push(next.callerKeyId);
          before = next.callerKeyId;
        }
        expect(seen.toSorted()).toStrictEqual(keys.map((key) => key.callerKeyId).toSorted());
      });

      it("behind one that nobody knows are none", () => {
        using home = newHome();
        using models = home.open();
        models.commit({ keyrings: [], callerKeys: [newCallerKey()] }, positionAt(1));
        const before = randomUUID();
        expect(models.callerKeys({ owner: null, before, limit: 5 })).toStrictEqual([]);
      });

      it("show that they were revoked", () => {
        using home = newHome();
        using models = home.open();
        const key = newCallerKey();
        const revoked = { ...key, revokedAt: minute(9), revision: 1, position: positionAt(2) };
        models.commit({ keyrings: [], callerKeys: [key] }, positionAt(1));
        expect(models.callerKey(key.callerKeyId)).toStrictEqual(key);
        models.commit({ keyrings: [], callerKeys: [revoked] }, positionAt(2));
        expect(models.callerKey(key.callerKeyId)).toStrictEqual(revoked);
        expect(models.callerKeys({ owner: null, before: null, limit: 5 })).toStrictEqual([revoked]);
      });
    });
  });
}
