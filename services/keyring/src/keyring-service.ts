import type { KeyringService } from "@keyledger/contracts";
import { type Answer, type Ledger, type Owner, Secret, type WriteCall } from "@keyledger/core";
import { errorOf, refuse } from "./errors.ts";
import type { Call, Handlers } from "./handlers.ts";
import { PAGE_BYTES_MAX, takeBytes } from "./page.ts";
import {
  clearable,
  expectedFrom,
  instantFrom,
  keyBytesMax,
  keyTo,
  listChangeFrom,
  listFrom,
  modeFrom,
  modeTo,
  optional,
  ownerTo,
  pageSizeFrom,
  probeTo,
  requestIdFrom,
  standingTo,
  uuidFrom,
  zdrFrom,
} from "./wire.ts";

/** KeyringService: decode, act, encode. */
export const keyringService = (
  ledger: Pick<Ledger, "keys" | "deleteKey" | "setMode" | "queries">,
): Handlers<typeof KeyringService> => ({
  async upsertKey(request, call) {
    using secret = new Secret(request.secret);
    const { key, isPrimary, probe, wipePending, ...standing } = granted(
      await ledger.keys.upsertKey(writeCall(request, call), {
        provider: request.provider,
        secret,
        name: clearable(request.name),
        location: clearable(request.location),
      }),
    );
    return {
      key: keyTo(key, isPrimary),
      probe: probeTo(probe),
      wipePending,
      ...standingTo(standing),
    };
  },

  async createKey(request, call) {
    using secret = new Secret(request.secret);
    const { key, isPrimary, probe, ...standing } = granted(
      await ledger.keys.createKey(writeCall(request, call), {
        provider: request.provider,
        secret,
        name: optional(request.name),
        location: optional(request.location),
        disabled: request.disabled,
        fallback: request.fallback,
        allowedModels: listFrom(request.allowedModels),
        allowedUsers: listFrom(request.allowedUsers),
        allowedCallerKeys: listFrom(request.allowedCallerKeys),
        requiredForItsModels: request.requiredForItsModels,
        byokOnly: request.byokOnly,
        declaredZdr: zdrFrom(request.declaredZdr) ?? null,
        workspaceId:
          request.workspaceId === undefined ? null : uuidFrom("workspace_id", request.workspaceId),
        expiresAt: instantFrom("expires_at", request.expiresAt) ?? null,
      }),
    );
    return { key: keyTo(key, isPrimary), probe: probeTo(probe), ...standingTo(standing) };
  },

  async updateKey(request, call) {
    using secret = new Secret(request.secret);
    const expiresAt = instantFrom("expires_at", request.expiresAt);
    const asked = {
      name: clearable(request.name),
      location: clearable(request.location),
      disabled: request.disabled,
      fallback: request.fallback,
      allowedModels: listChangeFrom(request.allowedModels),
      allowedUsers: listChangeFrom(request.allowedUsers),
      allowedCallerKeys: listChangeFrom(request.allowedCallerKeys),
      requiredForItsModels: request.requiredForItsModels,
      byokOnly: request.byokOnly,
      declaredZdr: zdrFrom(request.declaredZdr),
      sortOrder: request.sortOrder,
      expiresAt: expiresAt === EPOCH ? null : expiresAt,
    };
    const changes = Object.fromEntries(
      Object.entries(asked).filter(([, value]) => value !== undefined),
    );
    const written = granted(
      await ledger.keys.updateKey(writeCall(request, call), {
        keyId: uuidFrom("key_id", request.keyId),
        secret: secret.byteLength > 0 ? secret : null,
        changes,
      }),
    );
    return {
      key: keyTo(written.key, written.isPrimary),
      ...(secret.byteLength > 0 && { probe: probeTo(written.probe) }),
      autoSwitched: written.autoSwitched,
      wipePending: written.wipePending,
      ...standingTo(written),
    };
  },

  async deleteKey(request, call) {
    const { target } = request;
    const { keyId, provider, autoSwitched, remainingKeys, wipePending, ...standing } = granted(
      await ledger.deleteKey(
        writeCall(request, call),
        target.case === "soleKeyOfProvider"
          ? { soleKeyOf: target.value }
          : { keyId: uuidFrom("key_id", target.value ?? "") },
      ),
    );
    return { keyId, provider, autoSwitched, remainingKeys, wipePending, ...standingTo(standing) };
  },

  async setMode(request, call) {
    const write = writeCall(request, call);
    const { mode, ...standing } = granted(await ledger.setMode(write, modeFrom(request.mode)));
    return { mode: modeTo(mode), owner: ownerTo(write.owner), ...standingTo(standing) };
  },

  async probeKey(request, call) {
    using secret = new Secret(request.secret);
    const { signal } = call;
    const result = await ledger.keys.probeKey(
      { signal, remainingMs: call.remainingMs() },
      { provider: request.provider, secret, location: optional(request.location) },
    );
    if ("rejected" in result) throw errorOf(result.rejected);
    return { probe: probeTo(result.probe) };
  },

  async getKey(request, call) {
    const keyId = uuidFrom("key_id", request.keyId);
    const { key, isPrimary, ...standing } = granted(
      await ledger.queries.getKey(ownerOf(call), keyId, readCall(request, call)),
    );
    return { key: keyTo(key, isPrimary), ...standingTo(standing) };
  },

  async listKeys(request, call) {
    const owner = ownerOf(call);
    const { keys, totalCount, configuredKeys, mode, effectiveMode, ...standing } = granted(
      await ledger.queries.listKeys(
        owner,
        {
          providers: request.providers,
          primaryOnly: request.primaryOnly,
          workspaceId:
            request.workspaceId === undefined
              ? undefined
              : uuidFrom("workspace_id", request.workspaceId),
          offset: request.offset,
          limit: pageSizeFrom("limit", request.limit),
        },
        readCall(request, call),
      ),
    );
    const messages = keys.map(({ key, isPrimary }) => keyTo(key, isPrimary));
    return {
      keys: [...takeBytes(messages, keyBytesMax, PAGE_BYTES_MAX)],
      totalCount,
      configuredKeys,
      mode: modeTo(mode),
      effectiveMode: modeTo(effectiveMode),
      owner: ownerTo(owner),
      ...standingTo(standing),
    };
  },

  async getMode(request, call) {
    const owner = ownerOf(call);
    const { mode, effectiveMode, configuredKeys, enabledKeys, ...standing } = granted(
      await ledger.queries.getMode(owner, readCall(request, call)),
    );
    return {
      mode: modeTo(mode),
      effectiveMode: modeTo(effectiveMode),
      configuredKeys,
      enabledKeys,
      owner: ownerTo(owner),
      ...standingTo(standing),
    };
  },
});

/** What clears an expiry, since a Timestamp cannot be empty. */
const EPOCH = "1970-01-01T00:00:00.000Z";

/** The guard lets no call through without an owner where the policy asks for one. */
export function ownerOf({ owner }: Call): Owner {
  if (!owner) throw refuse("owner-required");
  return owner;
}

export const writeCall = (
  request: {
    readonly requestId: string;
    readonly expectedRevision?: Parameters<typeof expectedFrom>[0];
  },
  call: Call,
): WriteCall => ({
  owner: ownerOf(call),
  stamp: call.stamp(requestIdFrom(request.requestId)),
  expected: expectedFrom(request.expectedRevision),
  signal: call.signal,
  remainingMs: call.remainingMs(),
});

export const readCall = ({ minPosition }: { readonly minPosition: string }, { signal }: Call) => ({
  minPosition,
  signal,
});

/** The answer, or the rejection as an error of the wire. */
export function granted<T>(answer: Answer<T>): Exclude<Answer<T>, { readonly rejected: unknown }> {
  if (typeof answer === "object" && answer !== null && "rejected" in answer)
    throw errorOf(answer.rejected);
  return answer as Exclude<Answer<T>, { readonly rejected: unknown }>;
}
