import type { Entitlement, KeyringCommand, KeyringEvent, Mode } from "@keyledger/core";

type Changes = Extract<KeyringEvent, { type: "KeyUpdated" }>["changes"];
type Rotation = Pick<
  Extract<KeyringCommand, { type: "UpsertKey" }>,
  "material" | "probe" | "refusal"
>;

/** One key, as anybody would note it down. */
interface Noted {
  keyId: string;
  provider: string;
  secretVersion: string;
  fingerprint: string;
  label: string;
  workspaceId: string | null;
  name: string | null;
  location: string | null;
  sortOrder: number;
  fallback: boolean;
  disabled: boolean;
  allowedModels: readonly string[] | null;
  allowedUsers: readonly string[] | null;
  allowedCallerKeys: readonly string[] | null;
  requiredForItsModels: boolean;
  byokOnly: boolean;
  declaredZdr: boolean | null;
  expiresAt: string | null;
  isValidated: boolean;
  lastProbe: { outcome: string; code: string } | null;
  createdAt: string;
  updatedAt: string;
}

/**
 * A second opinion on the rules: no events, no folds, only a list of keys that is changed in place. It is written from
 * the rules as they are told, not from the code that it judges.
 */
export class ReferenceKeyring {
  keys: Noted[] = [];
  mode: Mode = "neo";
  entitlement: Entitlement | null = null;
  toWipe: string[] = [];
  /** How many events there must be by now, and which of them was the last that was no background work. */
  events = 0;
  lastEdit: number | null = null;

  /** @returns why the command is refused, or `null` where it is done. */
  run(command: KeyringCommand, now: string): string | null {
    switch (command.type) {
      case "UpsertKey": {
        const primary = this.primary(command.provider);
        if (primary) {
          const changes = command.name === undefined ? {} : { name: command.name };
          return this.#giveMaterial(primary, command, changes, now);
        }
        if (command.refusal) return command.refusal.reason;
        const { expiresAt } = command.material;
        const name = command.name ?? null;
        return this.#add(command, { ...nothingSpecial, workspaceId: null, name, expiresAt }, now);
      }
      case "CreateKey": {
        const { metadata, workspaceId, refusal, material } = command;
        if (metadata.fallback && metadata.byokOnly) return "invalid";
        if (refusal) return refusal.reason;
        const expiresAt = metadata.expiresAt ?? material.expiresAt;
        return this.#add(command, { ...metadata, workspaceId, expiresAt }, now);
      }
      case "UpdateKey": {
        const key = this.keys.find(({ keyId }) => keyId === command.keyId);
        if (!key) return "key-not-found";
        const after = { ...key, ...command.changes };
        if (after.fallback && after.byokOnly) return "invalid";
        const changes: { -readonly [Name in keyof Changes]: Changes[Name] } = {
          ...command.changes,
        };
        if (after.fallback !== key.fallback && changes.sortOrder === undefined) {
          changes.sortOrder = this.#behind(key.provider, after.fallback);
        }
        if (command.rotation) return this.#giveMaterial(key, command.rotation, changes, now);
        this.#change(key, changes, now);
        return null;
      }
      case "DeleteKey": {
        const { target } = command;
        const key =
          "keyId" in target
            ? this.keys.find(({ keyId }) => keyId === target.keyId)
            : this.primary(target.soleKeyOf);
        if (!key) return "key-not-found";
        if ("soleKeyOf" in target && this.#of(target.soleKeyOf).length > 1)
          return "other-keys-exist";
        this.keys = this.keys.filter((other) => other !== key);
        this.toWipe.push(key.secretVersion);
        this.#edited();
        this.#endByokWithoutKeys();
        return null;
      }
      case "SetMode":
        if (command.mode === "byok" && this.#enabled() === 0) return "no-keys-for-byok";
        if (command.mode !== this.mode) this.#edited();
        this.mode = command.mode;
        return null;
      case "SetEntitlement":
        if (command.byok !== this.entitlement) this.#edited();
        this.entitlement = command.byok;
        return null;
      case "RecordShred":
        if (!this.toWipe.includes(command.secretVersion)) return null;
        this.toWipe = this.toWipe.filter((version) => version !== command.secretVersion);
        this.events++;
        return null;
    }
  }

  /** The keys as a list shows them. */
  listed(): Noted[] {
    const rank = ({ provider, fallback, sortOrder, createdAt, keyId }: Noted) => [
      provider,
      fallback ? "1" : "0",
      String(sortOrder).padStart(9, "0"),
      createdAt,
      keyId,
    ];
    return this.keys.toSorted((a, b) => (rank(a).join() < rank(b).join() ? -1 : 1));
  }

  primary(provider: string): Noted | undefined {
    return this.listed().find(
      (key) => key.provider === provider && !key.fallback && key.workspaceId === null,
    );
  }

  #of = (provider: string): Noted[] => this.keys.filter((key) => key.provider === provider);
  #enabled = (): number => this.keys.filter((key) => !key.disabled).length;

  #behind(provider: string, fallback: boolean): number {
    const group = this.#of(provider).filter((key) => key.fallback === fallback);
    return Math.max(-1, ...group.map(({ sortOrder }) => sortOrder)) + 1;
  }

  #edited(): void {
    this.lastEdit = this.events;
    this.events++;
  }

  #endByokWithoutKeys(): void {
    if (this.mode === "neo" || this.#enabled() > 0) return;
    this.mode = "neo";
    this.#edited();
  }

  #add(
    { newKeyId, provider, material, probe }: Rotation & { newKeyId: string; provider: string },
    wished: Omit<typeof nothingSpecial, "sortOrder" | "location" | "expiresAt"> & {
      workspaceId: string | null;
      expiresAt: string | null;
    },
    now: string,
  ): string | null {
    if (this.keys.length >= 500) return "too-many-keys";
    const key: Noted = {
      ...nothingSpecial,
      ...wished,
      keyId: newKeyId,
      provider,
      secretVersion: material.secretVersion,
      fingerprint: material.fingerprint,
      label: material.label,
      location: material.location,
      sortOrder: this.#behind(provider, wished.fallback),
      isValidated: false,
      lastProbe: null,
      createdAt: now,
      updatedAt: now,
    };
    this.keys.push(key);
    this.#edited();
    this.#judge(key, probe);
    return null;
  }

  #giveMaterial(
    key: Noted,
    { material, probe, refusal }: Rotation,
    changes: Changes,
    now: string,
  ): string | null {
    const isSame = key.fingerprint === material.fingerprint;
    if (refusal) {
      if (isSame && probe?.outcome === "rejected") this.#judge(key, probe);
      return refusal.reason;
    }
    if (isSame) {
      const expiry = material.expiresAt === null ? {} : { expiresAt: material.expiresAt };
      this.#change(key, { location: material.location, ...expiry, ...changes }, now);
      this.#judge(key, probe);
      return null;
    }
    this.toWipe.push(key.secretVersion);
    const expiresAt = "expiresAt" in changes ? changes.expiresAt : material.expiresAt;
    Object.assign(key, {
      secretVersion: material.secretVersion,
      fingerprint: material.fingerprint,
      label: material.label,
      location: material.location,
      expiresAt,
      isValidated: false,
      lastProbe: null,
      updatedAt: now,
    });
    this.#edited();
    this.#change(key, changes, now);
    this.#judge(key, probe);
    return null;
  }

  #change(key: Noted, changes: Changes, now: string): void {
    const before = JSON.stringify(key);
    Object.assign(key, changes);
    if (JSON.stringify(key) === before) return;
    key.updatedAt = now;
    this.#edited();
    this.#endByokWithoutKeys();
  }

  #judge(key: Noted, probe: Rotation["probe"]): void {
    if (!probe) return;
    const { outcome, code } = probe;
    if (key.lastProbe?.outcome === outcome && key.lastProbe.code === code) return;
    key.lastProbe = { outcome, code };
    if (outcome !== "indeterminate") key.isValidated = outcome === "valid";
    this.events++;
  }
}

const nothingSpecial = {
  name: null as string | null,
  location: null as string | null,
  sortOrder: 0,
  fallback: false,
  disabled: false,
  allowedModels: null as readonly string[] | null,
  allowedUsers: null as readonly string[] | null,
  allowedCallerKeys: null as readonly string[] | null,
  requiredForItsModels: false,
  byokOnly: false,
  declaredZdr: null as boolean | null,
  expiresAt: null as string | null,
};
