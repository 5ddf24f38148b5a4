import {
  ResolvePolicy,
  type ResolveRequest,
  type ResolveService,
  Source,
} from "@keyledger/contracts";
import { invalid, type Ledger, type Owner, PLATFORM, type ResolveQuestion } from "@keyledger/core";
import { errorOf, reasonOf, translate } from "./errors.ts";
import type { Call, Handlers } from "./handlers.ts";
import { granted, ownerOf, readCall } from "./keyring-service.ts";
import {
  assertNoKey,
  boundedFrom,
  candidateTo,
  durationTo,
  standingTo,
  uuidFrom,
  zdrTo,
} from "./wire.ts";

/** ResolveService: the only answer with material. */
export const resolveService = (
  ledger: Pick<Ledger, "resolveKey" | "recordRefusal" | "queries">,
): Handlers<typeof ResolveService> => {
  /** The question as the core asks it. What is refused before it is asked goes on record as well. */
  async function checked(request: ResolveRequest, call: Call): Promise<ResolveQuestion> {
    const owner = ownerOf(call);
    try {
      const behind = await ledger.queries.caughtUpTo(readCall(request, call));
      if (behind) throw errorOf(behind);
      return questionFrom(owner, request);
    } catch (error) {
      await ledger.recordRefusal(owner, reasonOf(translate(error)), call.stamp(""));
      throw error;
    }
  }

  return {
    async resolve(request, call) {
      const { source, material, key, reason, alternatives, leaseSeconds, ...rest } = granted(
        await ledger.resolveKey(await checked(request, call), call.stamp(""), call.signal),
      );
      if (material) call.afterSend(() => material[Symbol.dispose]());
      return {
        source: source === "byok" ? Source.BYOK : Source.NEO,
        ...(material && { material: material.use((bytes) => bytes) }),
        keyId: key?.keyId ?? "",
        secretVersion: key?.secretVersion ?? "",
        ...(key && key.location !== null && { location: key.location }),
        reason,
        alternatives: alternatives.map(candidateTo),
        lease: durationTo(leaseSeconds * 1_000),
        platformFallbackAllowed: rest.platformFallbackAllowed,
        declaredZdr: zdrTo(key?.declaredZdr ?? null),
        ...standingTo(rest),
      };
    },
  };
};

const questionFrom = (owner: Owner, request: ResolveRequest): ResolveQuestion => ({
  owner,
  provider: providerFrom(request.provider),
  policy: request.policy === ResolvePolicy.OWN_KEYS_FIRST ? "own-keys-first" : "mode",
  model: boundedFrom("model", request.model),
  userId: boundedFrom("user_id", request.userId),
  callerKey: boundedFrom("caller_key", request.callerKey),
  workspaceId:
    request.workspaceId === undefined ? null : uuidFrom("workspace_id", request.workspaceId),
  skip: skipFrom(request.skipKeyIds),
  purpose: purposeFrom(request.purpose),
});

const PURPOSE = /^[a-z][a-z0-9_.-]{0,63}$/;
const PROVIDER = /^[a-z0-9][a-z0-9._/-]{0,63}$/;
const SKIPPED_MAX = 500;

function purposeFrom(text: string): string {
  if (text === "") return "inference";
  if (!PURPOSE.test(text))
    throw errorOf(invalid("purpose", "is not 1 to 64 of a-z 0-9 _ . - beginning with a letter"));
  assertNoKey("purpose", text);
  return text;
}

/** Any name is answered, if only with NO_KEY: gateways know more providers than owners have keys for. */
function providerFrom(text: string): string {
  if (!PROVIDER.test(text))
    throw errorOf(invalid("provider", "is not the canonical name of a provider"));
  assertNoKey("provider", text);
  return text;
}

function skipFrom(ids: readonly string[]): ReadonlySet<string> {
  if (ids.length > SKIPPED_MAX) {
    throw errorOf(invalid("skip_key_ids", `has ${ids.length} values, the most is ${SKIPPED_MAX}`));
  }
  return new Set(
    ids.map((id, index) => (id === PLATFORM ? id : uuidFrom(`skip_key_ids[${index}]`, id))),
  );
}
