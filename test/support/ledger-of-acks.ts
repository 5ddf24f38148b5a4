import type { AuditRecord } from "@keyledger/contracts";
import { ChainCheck } from "./audit-feed.ts";

export type WriteKind = "upsert" | "create" | "rotate" | "update" | "delete" | "mode";

/** A write as its client knows it: what it asked for, and how that ended. */
export interface Write {
  readonly requestId: string;
  readonly kind: WriteKind;
  /** Canonical name: `team.t-1`. */
  readonly owner: string;
  /** The key it was about, where it named one. */
  readonly keyId?: string;
  readonly material?: string;
  readonly mode?: "neo" | "byok";
  outcome: Outcome;
}

/** `unknown`: nobody answered. It may have happened, or happen still when it is sent again. */
export type Outcome =
  | { readonly kind: "unknown" }
  | { readonly kind: "refused"; readonly reason: string }
  | ({ readonly kind: "acknowledged" } & Acknowledgement);

/** What an answer said; the key and its version are empty where it named none. */
export interface Acknowledgement {
  readonly atMs: number;
  readonly keyId: string;
  readonly secretVersion: string;
  readonly revision: number | undefined;
  readonly position: string;
}

/** Material that left the vault. */
export interface Release {
  /** Of the call, and so of its access record. */
  readonly correlationId: string;
  readonly owner: string;
  readonly keyId: string;
  readonly secretVersion: string;
  readonly material: string;
  readonly askedAtMs: number;
}

/** A secret version as the log tells of it. */
interface Version {
  readonly keyId: string;
  /** Of the write that brought it. */
  readonly bornOf: string;
  /** Of the write that superseded or deleted it. */
  endedBy: string | undefined;
  shredded: number;
}

interface Key {
  readonly provider: string;
  secretVersion: string;
  isDisabled: boolean;
}

/** An owner's keyring as the log tells of it. */
export interface LoggedKeyring {
  readonly keys: ReadonlyMap<string, Readonly<Key>>;
  readonly mode: "neo" | "byok";
}

/** The events that one request left. */
interface Effect {
  readonly owner: string;
  readonly types: string[];
  readonly keyId: string;
  readonly lastRevision: number;
  readonly lastPosition: string;
}

const TYPES: Readonly<Record<WriteKind, readonly string[]>> = {
  upsert: ["KeyAdded", "KeyRotated"],
  create: ["KeyAdded"],
  rotate: ["KeyRotated"],
  update: ["KeyUpdated", "KeyUpdated+ModeSet"],
  delete: ["KeyDeleted", "KeyDeleted+ModeSet"],
  mode: ["ModeSet"],
};

/**
 * What clients were told, held against what the audit feeds say. The rules are written down here once more, apart from
 * the product's own code: one event at a time, from what an export carries.
 */
export class LedgerOfAcks {
  readonly writes = new Map<string, Write>();
  readonly releases: Release[] = [];
  readonly #violations: string[] = [];
  readonly #chain = new ChainCheck();
  readonly #effects = new Map<string, Effect>();
  readonly #keyrings = new Map<string, { keys: Map<string, Key>; mode: "neo" | "byok" }>();
  readonly #versions = new Map<string, Version>();
  readonly #deleted = new Set<string>();
  readonly #live = new Map<string, Set<string>>();
  readonly #granted = new Map<string, { readonly keyId: string; readonly secretVersion: string }>();
  readonly #hashes = new Map<string, string>();
  #lastPosition = "";
  /** Whether the owner's last group of events is over is known with the next one only. */
  readonly #openGroup = new Map<string, string>();

  begin(write: Omit<Write, "outcome">): Write {
    const begun: Write = { ...write, outcome: { kind: "unknown" } };
    this.writes.set(write.requestId, begun);
    return begun;
  }

  acknowledge(write: Write, answer: Acknowledgement): void {
    write.outcome = { kind: "acknowledged", ...answer };
    const { owner, kind } = write;
    const live = this.#live.get(owner) ?? new Set();
    if (kind === "create" || kind === "upsert") live.add(answer.keyId);
    if (kind === "delete") live.delete(answer.keyId);
    this.#live.set(owner, live);
  }

  /** Keys of an owner as far as answers told. */
  liveKeys(owner: string): ReadonlySet<string> {
    return this.#live.get(owner) ?? new Set();
  }

  /** An owner's keyring as far as the feed told. */
  keyring(owner: string): LoggedKeyring {
    return this.#keyringOf(owner);
  }

  hasEffect(requestId: string): boolean {
    return this.#effects.has(requestId);
  }

  get streams(): number {
    return this.#chain.streams;
  }

  /** Position of each record of the feed `changes`, in order. */
  get positions(): readonly string[] {
    return [...this.#hashes.keys()];
  }

  /** Secret versions of live keys, and those whose material must be gone, as `<key id> <secret version>`. */
  versions(): { readonly live: ReadonlySet<string>; readonly dead: ReadonlySet<string> } {
    const names = (isDead: boolean) =>
      [...this.#versions]
        .filter(([, { endedBy }]) => (endedBy !== undefined) === isDead)
        .map(([version, { keyId }]) => `${keyId} ${version}`);
    return { live: new Set(names(false)), dead: new Set(names(true)) };
  }

  /** The next records of the feed `changes`. */
  takeChanges(records: readonly AuditRecord[]): void {
    for (const record of records) this.#takeChange(record);
    for (const owner of this.#openGroup.keys()) this.#endGroup(owner);
  }

  /** The whole feed once more: it must be what it was. */
  retakeChanges(records: readonly AuditRecord[]): void {
    const [held, now] = [this.#hashes.size, records.length];
    if (held !== now) this.#violate(`the feed has ${now} records now, and had ${held}`);
    for (const { position, hash, stream, revision } of records) {
      if (this.#hashes.get(position) !== hash)
        this.#violate(`${stream}@${revision} is not what it was`);
    }
  }

  /** The next records of the feed `access`. */
  takeAccess(records: readonly AuditRecord[]): void {
    const chain = new ChainCheck();
    for (const record of records) {
      const broken = chain.add(record);
      if (broken) this.#violate(broken);
      if (record.type !== "AccessGranted") continue;
      const { keyId, secretVersion } = JSON.parse(record.dataJson);
      this.#granted.set(record.correlationId, { keyId, secretVersion });
    }
  }

  /** Everything that was promised and is not so, as far as the records taken tell. */
  violations(): readonly string[] {
    return [
      ...this.#violations,
      ...[...this.writes.values()].flatMap((write) => this.#judgeWrite(write)),
      ...this.releases.flatMap((release) => this.#judgeRelease(release)),
    ];
  }

  /** What must hold once every access record was taken. */
  unrecordedReleases(): readonly string[] {
    return this.releases.flatMap(({ correlationId, keyId, secretVersion }) => {
      const granted = this.#granted.get(correlationId);
      const isRecorded = granted?.keyId === keyId && granted.secretVersion === secretVersion;
      return isRecorded ? [] : [`material of ${keyId} left without an access record`];
    });
  }

  /** What must hold once the backlog of wipes is empty. */
  missingEvidence(): readonly string[] {
    return [...this.#versions].flatMap(([version, { endedBy, shredded }]) => {
      const expected = endedBy === undefined ? 0 : 1;
      return shredded === expected
        ? []
        : [`${version} has ${shredded} pieces of evidence of its wipe, not ${expected}`];
    });
  }

  #violate(text: string): void {
    this.#violations.push(text);
  }

  #keyringOf(owner: string) {
    const known = this.#keyrings.get(owner);
    if (known) return known;
    const fresh = { keys: new Map<string, Key>(), mode: "neo" as const };
    this.#keyrings.set(owner, fresh);
    return fresh;
  }

  #takeChange(record: AuditRecord): void {
    const { stream, position, requestId, type } = record;
    const broken = this.#chain.add(record);
    if (broken) this.#violate(broken);
    if (sequenceOf(position) !== sequenceOf(this.#lastPosition) + 1n)
      this.#violate(`${position} comes behind ${this.#lastPosition}: the feed has a gap`);
    this.#lastPosition = position;
    this.#hashes.set(position, record.hash);
    if (!stream.startsWith("keyring-")) return;

    const owner = stream.slice("keyring-".length);
    if (this.#openGroup.get(owner) !== requestId) {
      this.#endGroup(owner);
      this.#openGroup.set(owner, requestId);
    }
    const data = JSON.parse(record.dataJson);
    this.#apply(owner, type, data, requestId);
    const before = this.#effects.get(requestId);
    const lastRevision = Number(record.revision);
    if (before && (before.owner !== owner || before.lastRevision !== lastRevision - 1))
      this.#violate(`the request ${requestId} took effect twice`);
    this.#effects.set(requestId, {
      owner,
      types: [...(before?.types ?? []), type],
      keyId: before?.keyId || (data.keyId ?? ""),
      lastRevision,
      lastPosition: position,
    });
    const isOurs = this.writes.has(requestId);
    if (!isOurs && !(type === "SecretShredded" && record.actor === "system.reaper"))
      this.#violate(`${type} in ${stream} is of no write of ours`);
  }

  /** Between two appends no reader may see a keyring that uses keys it does not have. */
  #endGroup(owner: string): void {
    const { mode, keys } = this.#keyringOf(owner);
    const isServed = [...keys.values()].some(({ isDisabled }) => !isDisabled);
    if (mode === "byok" && !isServed) this.#violate(`${owner} is byok without an enabled key`);
    this.#openGroup.delete(owner);
  }

  #apply(owner: string, type: string, data: Record<string, string>, requestId: string): void {
    const keyring = this.#keyringOf(owner);
    const keyId = data.keyId ?? "";
    const secretVersion = data.secretVersion ?? "";
    const key = keyring.keys.get(keyId);
    const born = () =>
      this.#versions.set(secretVersion, {
        keyId,
        bornOf: requestId,
        endedBy: undefined,
        shredded: 0,
      });
    const ended = (version: string) => {
      const old = this.#versions.get(version);
      if (!old || old.endedBy !== undefined) this.#violate(`${version} ended and never was`);
      else old.endedBy = requestId;
    };
    if (type === "KeyAdded") {
      born();
      const isDisabled = Boolean(data.disabled);
      keyring.keys.set(keyId, { provider: data.provider ?? "", secretVersion, isDisabled });
    } else if (type === "KeyRotated" && key) {
      born();
      ended(data.supersededVersion ?? "");
      key.secretVersion = secretVersion;
    } else if (type === "KeyDeleted" && key) {
      ended(secretVersion);
      keyring.keys.delete(keyId);
      this.#deleted.add(keyId);
    } else if (type === "KeyUpdated" && key) {
      const { disabled } = data.changes as unknown as { disabled?: boolean };
      if (disabled !== undefined) key.isDisabled = disabled;
    } else if (type === "ModeSet") {
      keyring.mode = data.mode === "byok" ? "byok" : "neo";
    } else if (type === "SecretShredded") {
      const version = this.#versions.get(secretVersion);
      if (version) version.shredded++;
      if (version?.endedBy === undefined) this.#violate(`${secretVersion} was shredded while live`);
    } else {
      this.#violate(`${type} of ${keyId} in ${owner} has nothing it could be about`);
    }
  }

  #judgeWrite(write: Write): readonly string[] {
    const { requestId, kind, owner, outcome, keyId } = write;
    const effect = this.#effects.get(requestId);
    const name = `the ${kind} ${requestId}`;
    if (effect) {
      const types = effect.types.join("+");
      if (effect.owner !== owner) return [`${name} took effect at ${effect.owner}`];
      if (!TYPES[kind].includes(types)) return [`${name} came to ${types}`];
      if (keyId !== undefined && effect.keyId !== keyId) return [`${name} hit another key`];
    }
    if (outcome.kind === "unknown") return [];
    if (outcome.kind === "refused") {
      if (effect) return [`${name} was refused (${outcome.reason}) and took effect`];
      if (outcome.reason === "KEY_NOT_FOUND" && keyId && !this.#deleted.has(keyId))
        return [`${name} found no key, and nobody deleted it`];
      return [];
    }
    // Choosing the mode that is chosen already changes nothing.
    if (!effect) return kind === "mode" ? [] : [`${name} was acknowledged and is lost`];
    if (outcome.revision !== effect.lastRevision)
      return [`${name} was acknowledged at revision ${outcome.revision}, not where it stands`];
    if (outcome.position !== effect.lastPosition)
      return [`${name} was acknowledged at a position where it does not stand`];
    const version = this.#versions.get(outcome.secretVersion);
    const isNamed = !outcome.secretVersion || kind === "update" || version?.bornOf === requestId;
    return isNamed && (outcome.keyId === "" || outcome.keyId === effect.keyId)
      ? []
      : [`${name} was acknowledged with another key or version`];
  }

  #judgeRelease({ keyId, secretVersion, material, owner, askedAtMs }: Release): readonly string[] {
    const version = this.#versions.get(secretVersion);
    const name = `what was resolved as ${keyId} of ${owner}`;
    if (version?.keyId !== keyId) return [`${name} is of a version that the log does not know`];
    const birth = this.writes.get(version.bornOf);
    if (birth?.owner !== owner) return [`${name} is another owner's`];
    if (birth.material !== material) return [`${name} is not the material of its version`];
    const end = version.endedBy === undefined ? undefined : this.writes.get(version.endedBy);
    const isOver = end?.outcome.kind === "acknowledged" && end.outcome.atMs < askedAtMs;
    return isOver ? [`${name} was resolved after its end was acknowledged (${end.kind})`] : [];
  }
}

/** Positions of the embedded log end in a number of 16 hex digits that rises by one. */
const sequenceOf = (position: string): bigint =>
  position === "" ? 0n : BigInt(`0x${position.slice(-16)}`);
