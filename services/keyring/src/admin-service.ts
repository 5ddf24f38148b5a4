import { type AdminService, Entitlement } from "@keyledger/contracts";
import { invalid, type Ledger } from "@keyledger/core";
import { errorOf } from "./errors.ts";
import type { Call, Handlers } from "./handlers.ts";
import { granted, readCall, writeCall } from "./keyring-service.ts";
import {
  callerKeyTo,
  expectedFrom,
  instantFrom,
  instantTo,
  ownerFrom,
  pageSizeFrom,
  requestIdFrom,
  roleFrom,
  standingTo,
  uuidFrom,
} from "./wire.ts";

/** How the process is doing, in our own words. */
export interface Status {
  readonly version: string;
  readonly deploymentId: string;
  readonly family: string;
  readonly startedAt: string;
  readonly changesPosition: string;
  readonly accessPosition: string;
  readonly followers: readonly {
    readonly name: string;
    readonly position: string;
    readonly caughtUp: boolean;
    readonly problem: string;
  }[];
  readonly shredBacklog: number;
  readonly ready: boolean;
  readonly problems: readonly string[];
}

/** AdminService: caller keys, entitlement, status. */
export const adminService = (
  ledger: Pick<Ledger, "callerKeys" | "setEntitlement" | "queries">,
  status: () => Promise<Status>,
): Handlers<typeof AdminService> => ({
  async issueApiKey(request, call) {
    const { key, text, ...standing } = granted(
      await ledger.callerKeys.issue(callerKeyCall(request, call), {
        role: roleFrom(request.role),
        owner: ownerFrom(request.owner),
        label: request.label.trim(),
        expiresAt: instantFrom("expires_at", request.expiresAt) ?? null,
        random: null,
      }),
    );
    if (text) call.afterSend(() => text[Symbol.dispose]());
    return {
      apiKey: callerKeyTo(key),
      ...(text && { text: text.use((bytes) => bytes) }),
      ...standingTo(standing),
    };
  },

  async listApiKeys(request, call) {
    const page = await ledger.queries.listCallerKeys(
      {
        owner: ownerFrom(request.owner),
        includeEnded: request.includeEnded,
        pageSize: pageSizeFrom("page_size", request.pageSize),
        pageToken: request.pageToken,
      },
      readCall(request, call),
    );
    if ("rejected" in page) throw errorOf(page.rejected);
    const { keys, nextPageToken, position } = page;
    return { apiKeys: keys.map(callerKeyTo), nextPageToken, position };
  },

  async revokeApiKey(request, call) {
    const id = uuidFrom("caller_key_id", request.callerKeyId);
    const { key, ...standing } = granted(
      await ledger.callerKeys.revoke(callerKeyCall(request, call), id),
    );
    return { apiKey: callerKeyTo(key), ...standingTo(standing) };
  },

  async setEntitlement(request, call) {
    const { byok, ...standing } = granted(
      await ledger.setEntitlement(writeCall(request, call), entitlementFrom(request.byok)),
    );
    return {
      byok: byok === "on" ? Entitlement.ON : Entitlement.OFF,
      ...standingTo(standing),
    };
  },

  async getStatus() {
    const { startedAt, followers, problems, ...rest } = await status();
    return {
      ...rest,
      startedAt: instantTo(startedAt),
      followers: [...followers],
      problems: [...problems],
    };
  },
});

const callerKeyCall = (
  request: {
    readonly requestId: string;
    readonly expectedRevision?: Parameters<typeof expectedFrom>[0];
  },
  call: Call,
) => ({
  stamp: call.stamp(requestIdFrom(request.requestId)),
  expected: expectedFrom(request.expectedRevision),
  signal: call.signal,
});

function entitlementFrom(entitlement: Entitlement): "on" | "off" {
  if (entitlement === Entitlement.ON) return "on";
  if (entitlement === Entitlement.OFF) return "off";
  throw errorOf(invalid("byok", "is not on or off"));
}
