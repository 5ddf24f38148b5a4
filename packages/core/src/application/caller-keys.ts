import { isInForce, ownerKindOf, projectCallerKey } from "../domain/caller-key.ts";
import type { CallerKeyEvent } from "../domain/events.ts";
import { CHAIN_START } from "../domain/hash-chain.ts";
import { invalid, type Rejection } from "../domain/rejection.ts";
import { Secret } from "../domain/secret.ts";
import type { CallerKeyView } from "../domain/views.ts";
import {
  callerStream,
  type ExpectedEdit,
  type Instant,
  type Owner,
  ownerName,
  type Position,
  type Role,
  type Stamp,
  type Uuid,
} from "../domain/vocabulary.ts";
import { type EventLog, WrongExpectedRevision } from "../ports/event-log.ts";
import { Corrupted } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import type { ReadModels } from "../ports/read-models.ts";
import { type AppendAt, appendSurely, asHappened, pauseAfterLostRace, prepare } from "./append.ts";
import { type Answer, rejected, requestMac } from "./call.ts";
import { CALLER_KEY_RANDOM_BYTES, formatCallerKey, parseCallerKey } from "./caller-key-text.ts";
import { checkText } from "./check.ts";
import { isCallerKeyEvent } from "./event-codec.ts";
import { happened } from "./happened.ts";
import type { Mac } from "./mac.ts";
import { uuidV5 } from "./uuid-v5.ts";

export interface CallerKeyCall {
  readonly stamp: Stamp;
  readonly expected: ExpectedEdit | undefined;
  readonly signal: CancelSignal;
}

export interface IssueWish {
  readonly role: Role;
  readonly owner: Owner | null;
  readonly label: string;
  readonly expiresAt: Instant | null;
  /** Bytes made beforehand, so that they could be kept safe first; `null` = make them. */
  readonly random: Uint8Array | null;
}

/** Caller keys: issued, revoked, and recognised. */
export interface CallerKeys {
  /** @returns the text once; `null` for a repeat of the request. The caller wipes it. */
  issue(
    call: CallerKeyCall,
    wish: IssueWish,
  ): Promise<Answer<{ readonly key: CallerKeyView; readonly text: Secret | null }>>;
  /** Refused from the answer on. Revoking again changes nothing. */
  revoke(call: CallerKeyCall, callerKeyId: Uuid): Promise<Answer<{ readonly key: CallerKeyView }>>;
  /** The caller key that a text is, if it is in force. Takes the same time for a wrong one. */
  recognise(text: string): CallerKeyView | undefined;
  /** Id of the key that this request issues. */
  idFor(stamp: Pick<Stamp, "actor" | "requestId">): Uuid;
  /** Text of a key for bytes made beforehand. */
  textFor(id: Uuid, random: Uint8Array): Secret;
}

export function createCallerKeys({
  log,
  models,
  mac,
  host,
  settled,
}: {
  log: EventLog;
  models: ReadModels;
  mac: Mac;
  host: Host;
  settled: (position: Position, signal: CancelSignal) => Promise<void>;
}): CallerKeys {
  const { crypto } = host;

  interface Loaded {
    readonly view: CallerKeyView | undefined;
    readonly lastHash: string;
    /** Of each event, in order. */
    readonly requests: readonly {
      readonly actor: string;
      readonly requestId: string;
      readonly requestMac: string;
    }[];
  }

  async function load(id: Uuid): Promise<Loaded> {
    let loaded: Loaded = { view: undefined, lastHash: CHAIN_START, requests: [] };
    // A caller key is issued and revoked: its stream holds two events.
    for (const recorded of await log.readStream(callerStream(id), { from: 0, limit: 100 })) {
      const { event, hash, actor, requestId, requestMac: mac, ...at } = happened(recorded);
      if (!isCallerKeyEvent(event))
        throw new Corrupted("another event stands in a caller key's stream");
      loaded = {
        view: projectCallerKey(loaded.view, event, at),
        lastHash: hash,
        requests: [...loaded.requests, { actor, requestId, requestMac: mac }],
      };
    }
    return loaded;
  }

  /** Decide on the stream, append, again after a lost race. `null` = nothing to append. */
  async function change(
    { stamp, expected, signal }: CallerKeyCall,
    id: Uuid,
    mac: string,
    decide: (view: CallerKeyView | undefined) => CallerKeyEvent | Rejection | null,
  ): Promise<Answer<{ key: CallerKeyView; isRepeat: boolean }>> {
    for (;;) {
      const { view, lastHash, requests } = await load(id);
      // Whatever is answered, this process's own readers see it: a key that is revoked opens nothing here any more.
      const answer = async (key: CallerKeyView, isRepeat: boolean) => {
        await settled(key.position, signal);
        return { key, isRepeat, revision: key.revision, position: key.position };
      };
      const known = requests.find(
        (request) => request.actor === stamp.actor && request.requestId === stamp.requestId,
      );
      if (known && view) {
        return known.requestMac === mac
          ? answer(view, true)
          : rejected({ reason: "idempotency-key-reused" });
      }
      if (expected !== undefined && expected !== (view?.revision ?? "none")) {
        return rejected({ reason: "revision-mismatch" });
      }
      const decision = decide(view);
      if (decision === null)
        return view ? answer(view, false) : rejected({ reason: "api-key-not-found" });
      if ("reason" in decision) return rejected(decision);
      const owner = decision.type === "ApiKeyIssued" ? decision.owner : (view?.owner ?? null);
      const at: AppendAt = {
        stream: callerStream(id),
        revision: view?.revision ?? null,
        lastHash,
        scope: callerStream(id),
        owner: owner && ownerName(owner),
        stamp,
        requestMac: mac,
      };
      const stored = prepare(host, at, [decision]);
      try {
        const appended = await appendSurely({ log, host }, at, stored, signal);
        const after = asHappened(at, [decision], stored, appended).reduce<
          CallerKeyView | undefined
        >((key, { event, ...place }) => projectCallerKey(key, event, place), view);
        return after ? await answer(after, false) : rejected({ reason: "api-key-not-found" });
      } catch (error) {
        if (!(error instanceof WrongExpectedRevision)) throw error;
        await pauseAfterLostRace(host, signal);
        if (signal.aborted) return rejected({ reason: "contention" });
      }
    }
  }

  const idFor: CallerKeys["idFor"] = ({ actor, requestId }) =>
    uuidV5(crypto, ["caller-key", actor, requestId]);

  const textFor: CallerKeys["textFor"] = (id, random) =>
    new Secret(formatCallerKey(crypto, id, random));

  // Gateways show the same key thousands of times a second. Only right ones get in, so nobody can flood it.
  const recognised = new Map<string, { readonly id: Uuid; readonly mac: string }>();

  const macOf = (random: Uint8Array): string => mac.value("caller-key", "", random);

  return {
    idFor,
    textFor,

    async issue(call, wish) {
      const problem = checkWish(wish);
      if (problem) return rejected(problem);
      const { role, owner, label, expiresAt } = wish;
      const id = idFor(call.stamp);
      const random = wish.random ?? host.random.bytes(CALLER_KEY_RANDOM_BYTES);
      const fields = { role, owner: owner && ownerName(owner), label, expiresAt };
      const outcome = await change(
        call,
        id,
        requestMac({ mac, crypto }, "", "IssueApiKey", fields),
        () => {
          if (expiresAt !== null && expiresAt <= host.clock.now())
            return invalid("expires_at", "must lie ahead");
          const mac = macOf(random);
          return { type: "ApiKeyIssued", callerKeyId: id, owner, role, mac, label, expiresAt };
        },
      );
      if ("rejected" in outcome) return outcome;
      const { isRepeat, ...answer } = outcome;
      const text = isRepeat ? null : textFor(id, random);
      if (!wish.random) random.fill(0);
      return { ...answer, text };
    },

    async revoke(call, callerKeyId) {
      const outcome = await change(
        call,
        callerKeyId,
        requestMac({ mac, crypto }, "", "RevokeApiKey", { callerKeyId }),
        (view) => {
          if (!view) return { reason: "api-key-not-found" };
          return view.revokedAt === null ? { type: "ApiKeyRevoked", callerKeyId } : null;
        },
      );
      if ("rejected" in outcome) return outcome;
      const { isRepeat: _isRepeat, ...answer } = outcome;
      return answer;
    },

    recognise(text) {
      const digest = crypto.sha256Hex(text);
      const known = recognised.get(digest);
      const proven = known ?? prove(text);
      if (!proven) return undefined;
      if (!known) {
        if (recognised.size >= RECOGNISED_MAX) recognised.clear();
        recognised.set(digest, proven);
      }
      const key = models.callerKey(proven.id);
      return key && key.mac === proven.mac && isInForce(key, host.clock.now) ? key : undefined;
    },
  };

  /** The id that a text proves it belongs to, and the stored hash that it matched. */
  function prove(text: string): { readonly id: Uuid; readonly mac: string } | undefined {
    const parsed = parseCallerKey(crypto, text);
    if (!parsed) return undefined;
    const { id, random } = parsed;
    const key = models.callerKey(id);
    // An unknown id costs the same as a wrong key.
    const isRight = mac.matches(key?.mac ?? macOf(NOBODY), "caller-key", "", random);
    random.fill(0);
    return key && isRight ? { id, mac: key.mac } : undefined;
  }
}

/** Proofs kept, under the digest of a text that is random enough for a digest to tell nothing of it. */
const RECOGNISED_MAX = 10_000;

const NOBODY = new Uint8Array(CALLER_KEY_RANDOM_BYTES);

function checkWish({ role, owner, label }: IssueWish): Rejection | undefined {
  const kind = ownerKindOf[role];
  if (kind === null && owner)
    return invalid("owner", `is not for the role ${role}, which is bound to none`);
  if (kind !== null && owner?.kind !== kind)
    return invalid("owner", `must be a ${kind} for the role ${role}`);
  const wrong = checkText("label", label);
  return wrong.length > 0 ? { reason: "invalid", violations: wrong } : undefined;
}
