import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  DeleteKeyResponseSchema,
  ErrorInfoSchema,
  type ExpectedRevisionSchema,
  GetModeResponseSchema,
  ListKeysResponseSchema,
  Mode,
  type Owner,
  OwnerKind,
  ProbeKeyResponseSchema,
  ProbeOutcome,
  type ProbeResultSchema,
  type ProviderKey,
  ProviderKeySchema,
  RetryInfoSchema,
  SetModeResponseSchema,
  UpsertKeyResponseSchema,
} from "@keyledger/contracts";
import type { CallOptions, KeyringClient } from "@keyledger/rest";

/** The error a vault answers with. */
export function vaultError(
  reason: string,
  code: Code,
  extra: {
    readonly message?: string;
    readonly violations?: readonly { field: string; description: string; reason?: string }[];
    readonly retryAfterMs?: number;
  } = {},
): ConnectError {
  const { message = "words that must not leave", violations, retryAfterMs } = extra;
  return new ConnectError(message, code, undefined, [
    { desc: ErrorInfoSchema, value: { domain: "keyledger.v1", reason } },
    ...(violations
      ? [{ desc: BadRequestSchema, value: { fieldViolations: [...violations] } }]
      : []),
    ...(retryAfterMs === undefined
      ? []
      : [
          {
            desc: RetryInfoSchema,
            value: {
              retryDelay: {
                seconds: BigInt(Math.floor(retryAfterMs / 1e3)),
                nanos: (retryAfterMs % 1e3) * 1e6,
              },
            },
          },
        ]),
  ]);
}

export interface RecordedCall {
  readonly method: keyof KeyringClient;
  /** The request when it came; its secret as text. */
  readonly request: unknown;
  readonly options: CallOptions;
  /** The secret's bytes as they were handed over, for a look at them later. */
  readonly secret?: Uint8Array;
}

interface Caller {
  readonly owner: Owner | undefined;
  readonly role: "admin" | "member" | "service";
  readonly byok: boolean;
}

const owner = (kind: Owner["kind"], id: string): Owner => ({
  $typeName: "keyledger.v1.Owner",
  kind,
  id,
});
const TEAM = owner(OwnerKind.TEAM, "team-42");

/** Credentials that count, as the `X-Api-Key` header or the `Authorization` header. */
const CALLERS: Readonly<Record<string, Caller>> = {
  team: { owner: TEAM, role: "admin", byok: true },
  "Bearer team": { owner: TEAM, role: "admin", byok: true },
  solo: { owner: owner(OwnerKind.USER, "user-7"), role: "admin", byok: true },
  organization: { owner: owner(OwnerKind.ORGANIZATION, "acme"), role: "admin", byok: true },
  member: { owner: TEAM, role: "member", byok: true },
  "gate-off": { owner: TEAM, role: "admin", byok: false },
  "member-gate-off": { owner: TEAM, role: "member", byok: false },
  service: { owner: undefined, role: "service", byok: true },
};

type Probe = MessageInitShape<typeof ProbeResultSchema>;

/** How the provider of this vault answers to a key, by its text. */
const PROBES: Readonly<Record<string, Probe>> = {
  "sk-revoked": {
    outcome: ProbeOutcome.REJECTED,
    code: "invalid_key",
    message: "The provider does not know this key.",
  },
  "sk-limited": {
    outcome: ProbeOutcome.VALID_LIMITED,
    code: "no_funds",
    message: "The account has no funds.",
  },
  "sk-slow": {
    outcome: ProbeOutcome.UNAVAILABLE,
    code: "timeout",
    message: "The provider did not answer.",
    retryable: true,
  },
  "sk-unprobed": { outcome: ProbeOutcome.UNPROBED },
};
const VALID: Probe = { outcome: ProbeOutcome.VALID, code: "ok", message: "The key works." };

const isDefinitive = ({ outcome }: Probe): boolean =>
  outcome === ProbeOutcome.REJECTED || outcome === ProbeOutcome.BLOCKED;

interface Stored {
  secret: string;
  key: ProviderKey;
}

/** A vault of one owner at a time, in memory: enough rules to have something to translate. */
export class FakeKeyring {
  readonly calls: RecordedCall[] = [];
  readonly keys = new Map<string, Stored>();
  /** Keys of providers that Neo has no name for, or beside the primaries. */
  hiddenKeys = 0;
  mode: Mode = Mode.NEO;
  revision: bigint | undefined;
  /** Thrown by the next call that gets past authentication, role and gate. */
  next: Error | undefined;
  #seconds = 1_767_323_045;

  readonly client: KeyringClient = {
    listKeys: async (request, options) => {
      const owner = this.#begin("listKeys", request, options);
      const wanted = request.providers ?? [];
      const keys = [...this.keys.values()]
        .map(({ key }) => key)
        .filter(({ provider }) => wanted.length === 0 || wanted.includes(provider))
        .toSorted((a, b) => a.provider.localeCompare(b.provider));
      return create(ListKeysResponseSchema, {
        ...this.#state(owner),
        keys,
        totalCount: keys.length,
      });
    },
    getMode: async (request, options) => {
      const owner = this.#begin("getMode", request, options);
      return create(GetModeResponseSchema, { ...this.#state(owner), enabledKeys: this.keys.size });
    },
    setMode: async (request, options) => {
      const owner = this.#begin("setMode", request, options);
      this.#expect(request.expectedRevision);
      const mode = request.mode ?? Mode.UNSPECIFIED;
      if (mode === Mode.BYOK && this.keys.size === 0)
        throw vaultError("NO_PROVIDER_KEYS", Code.FailedPrecondition);
      if (mode !== this.mode) this.#append();
      this.mode = mode;
      return create(SetModeResponseSchema, { mode, owner, ...this.#at() });
    },
    upsertKey: async (request, options) => {
      this.#begin("upsertKey", request, options);
      this.#expect(request.expectedRevision);
      const secret = textOf(request.secret);
      const probe = PROBES[secret] ?? VALID;
      if (isDefinitive(probe)) {
        throw vaultError("KEY_REJECTED", Code.FailedPrecondition, {
          message: String(probe.message),
        });
      }
      const key = this.#store(
        request.provider ?? "",
        secret,
        request.name,
        request.location,
        probe,
      );
      return create(UpsertKeyResponseSchema, { key, probe, ...this.#at() });
    },
    probeKey: async (request, options) => {
      this.#begin("probeKey", request, options);
      return create(ProbeKeyResponseSchema, { probe: PROBES[textOf(request.secret)] ?? VALID });
    },
    deleteKey: async (request, options) => {
      this.#begin("deleteKey", request, options);
      this.#expect(request.expectedRevision);
      const provider = String(request.target?.value ?? "");
      if (!this.keys.delete(provider)) throw vaultError("KEY_NOT_FOUND", Code.NotFound);
      const autoSwitched = this.mode === Mode.BYOK && this.keys.size + this.hiddenKeys === 0;
      if (autoSwitched) this.mode = Mode.NEO;
      this.#append();
      const remainingKeys = this.keys.size + this.hiddenKeys;
      return create(DeleteKeyResponseSchema, {
        provider,
        autoSwitched,
        remainingKeys,
        ...this.#at(),
      });
    },
    createKey: () => Promise.reject(new Error("Neo has no such call")),
    updateKey: () => Promise.reject(new Error("Neo has no such call")),
    getKey: () => Promise.reject(new Error("Neo has no such call")),
  };

  /** Names of the methods called so far. */
  get methods(): readonly string[] {
    return this.calls.map(({ method }) => method);
  }

  #begin(method: keyof KeyringClient, request: object, options: CallOptions): Owner {
    const { secret, ...rest } = request as { secret?: Uint8Array };
    this.calls.push({
      method,
      request: { ...rest, ...(secret && { secret: textOf(secret) }) },
      options,
      ...(secret && { secret }),
    });
    const { next } = this;
    const owner = authorize(options);
    this.next = undefined;
    if (next !== undefined) throw next;
    return owner;
  }

  #expect(expected: MessageInitShape<typeof ExpectedRevisionSchema> | undefined): void {
    const wanted = expected?.expected;
    if (wanted?.case === undefined) return;
    const isThere =
      wanted.case === "none" ? this.revision === undefined : this.revision === wanted.value;
    if (!isThere) throw vaultError("REVISION_MISMATCH", Code.Aborted);
  }

  #store(
    provider: string,
    secret: string,
    name: string | undefined,
    location: string | undefined,
    probe: Probe,
  ) {
    const before = this.keys.get(provider);
    const now = { seconds: BigInt(++this.#seconds), nanos: 120_000_000 };
    const text = {
      ...(before?.key.name && { name: before.key.name }),
      ...(before?.key.location && { location: before.key.location }),
      ...(name !== undefined && { name }),
      ...(location !== undefined && { location }),
    };
    const key = create(ProviderKeySchema, {
      ...Object.fromEntries(Object.entries(text).filter(([, value]) => value !== "")),
      keyId:
        before?.key.keyId ?? `0198f2c1-6a3b-7c55-8d0e-${String(this.#seconds).padStart(12, "0")}`,
      provider,
      isValidated:
        probe.outcome === ProbeOutcome.VALID || probe.outcome === ProbeOutcome.VALID_LIMITED,
      primary: true,
      createdAt: before?.key.createdAt ?? now,
      updatedAt: now,
    });
    this.keys.set(provider, { secret, key });
    this.#append();
    return key;
  }

  #append(): void {
    this.revision = this.revision === undefined ? 0n : this.revision + 1n;
  }

  #at() {
    return { position: "00", ...(this.revision !== undefined && { revision: this.revision }) };
  }

  #state(owner: Owner) {
    const configuredKeys = this.keys.size + this.hiddenKeys;
    return { owner, mode: this.mode, effectiveMode: this.mode, configuredKeys, ...this.#at() };
  }
}

function authorize({ authorization, apiKey }: CallOptions): Owner {
  const given = [authorization, apiKey]
    .filter((text) => text !== undefined)
    .map((text) => CALLERS[text]);
  const [caller] = given;
  if (caller === undefined || given.some((other) => other?.owner !== caller.owner)) {
    throw vaultError("UNAUTHENTICATED", Code.Unauthenticated);
  }
  if (!caller.byok) throw vaultError("BYOK_NOT_ENABLED", Code.PermissionDenied);
  if (caller.role === "member") throw vaultError("ROLE_NOT_ALLOWED", Code.PermissionDenied);
  if (caller.owner === undefined) throw vaultError("OWNER_REQUIRED", Code.PermissionDenied);
  return caller.owner;
}

const textOf = (secret: Uint8Array | undefined): string =>
  Buffer.from(secret ?? []).toString("utf8");
