import type { ConnectError } from "@connectrpc/connect";
import { Code } from "@connectrpc/connect";
import {
  type Canceller,
  type Host,
  holdsKey,
  isRequestId,
  NotCaughtUp,
  type Owner,
  type Stamp,
} from "@keyledger/core";
import type { Authenticate, Credentials } from "./auth.ts";
import { isUnexpected, reasonOf, refuse, translate } from "./errors.ts";
import type { Call, Principal } from "./handlers.ts";
import type { Rule } from "./policy.ts";
import { ownerFrom, type WireOwner } from "./wire.ts";

/** What a listener knows of a call before anybody looked at it. */
export interface Incoming extends Credentials {
  /** Correlation id of the caller; one that does not fit is replaced. */
  readonly correlationId: string | undefined;
  readonly traceparent: string | undefined;
  /** The caller's deadline in milliseconds from now, if it gave one. */
  readonly timeoutMs: number | undefined;
}

/** A call as the listener sees it: it may cancel it, and says when the answer is on its way. */
export interface Handle {
  readonly signal: Canceller;
  readonly sent: (() => void)[];
  /** The call has ended; its use case may still be on its way. */
  isOver?: boolean;
}

/** Default and longest deadline of a call, in milliseconds. */
const DEADLINE_MS = 5_000;
const PROBING_DEADLINE_MS = 20_000;
const DEADLINE_MAX_MS = 30_000;

/** What a use case gets to say how it stands when its time is over, in milliseconds. */
const LAST_WORD_MS = 100;

/** A stream's caller is asked for again this often, in milliseconds: a revoked one is cut off. */
const IDENTIFY_EVERY_MS = 1_000;

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

export interface GuardParts {
  readonly authenticate: Authenticate;
  readonly isGateOpen: (owner: Owner) => boolean;
  /** The views that callers and keys are looked up in are at the end of the log. */
  readonly isFresh: () => boolean;
  /** Puts a refused call on record, where the policy asks for that. */
  readonly recordRefusal: (owner: Owner | null, reason: string, stamp: Stamp) => Promise<void>;
  readonly host: Host;
  /** Hears of every call that ended: method, `OK` or the code's name, seconds. */
  readonly observe: (method: string, code: string, seconds: number) => void;
  /** Hears of what nobody expected, with the thrown thing for the log and the reason that callers were told. */
  readonly onFault: (method: string, error: unknown, reason: string) => void;
}

/** What surrounds every method on every listener: who calls, whether it may, until when, and what is said where it fails. */
export interface Guard {
  unary<I, O>(
    method: string,
    rule: Rule,
    handler: (request: I, call: Call) => Promise<O>,
  ): (request: I, incoming: Incoming, handle: Handle) => Promise<O>;
  stream<I, O>(
    method: string,
    rule: Rule,
    handler: (request: I, call: Call) => AsyncIterable<O>,
  ): (request: I, incoming: Incoming, handle: Handle) => AsyncIterable<O>;
}

/** Streams one caller may hold open at once. */
const STREAMS_PER_CALLER_MAX = 10;

export function createGuard(parts: GuardParts): Guard {
  const { authenticate, isGateOpen, isFresh, recordRefusal, host, observe, onFault } = parts;
  const streams = new Map<string, number>();

  /** Stopped views know revoked callers and deleted keys: from them only the status is told. */
  async function identify(rule: Rule, incoming: Incoming): Promise<Principal> {
    if (!rule.isToldWhenStale && !isFresh()) throw new NotCaughtUp("the views have stopped");
    return authenticate(incoming);
  }

  /** What ids and times the call goes on record with. */
  function circumstances(principal: Principal, { correlationId, traceparent }: Incoming) {
    // It is recorded for ever, so a key that was pasted here is replaced like any other bad id.
    const isGood =
      correlationId !== undefined && isRequestId(correlationId) && !holdsKey(correlationId);
    const correlation = isGood ? correlationId : host.random.uuid();
    const trace =
      traceparent !== undefined && TRACEPARENT.test(traceparent) ? traceparent : undefined;
    const stamp = (requestId: string): Stamp => ({
      actor: principal.actor,
      actorType: principal.role,
      requestId: requestId === "" ? host.random.uuid() : requestId,
      correlationId: correlation,
      time: host.clock.now(),
      ...(trace !== undefined && { traceparent: trace }),
    });
    return { correlationId: correlation, traceparent: trace, stamp };
  }

  async function admit(
    rule: Rule,
    request: unknown,
    incoming: Incoming,
    handle: Handle,
    endsAt: number,
  ): Promise<Call> {
    const principal = await identify(rule, incoming);
    const known = circumstances(principal, incoming);
    let owner: Owner | null = principal.owner;
    try {
      authorize(rule, principal, isGateOpen);
      owner = rule.owner === "none" ? null : ownerOf(rule, principal, request);
    } catch (error) {
      if (rule.isRecorded) await recordRefusal(owner, reasonOf(translate(error)), known.stamp(""));
      throw error;
    }
    return {
      principal,
      owner,
      ...known,
      signal: handle.signal,
      remainingMs: () => endsAt - host.clock.monotonicMs(),
      afterSend: (task) => {
        // The listener runs them once, when the call has ended: what comes later is done at once.
        if (handle.isOver) task();
        else handle.sent.push(task);
      },
    };
  }

  function failed(method: string, startedAt: number, error: unknown): ConnectError {
    const translated = translate(error);
    if (isUnexpected(translated)) onFault(method, error, reasonOf(translated));
    observe(method, nameOf(translated.code), (host.clock.monotonicMs() - startedAt) / 1_000);
    return translated;
  }

  return {
    unary:
      <I, O>(method: string, rule: Rule, handler: (request: I, call: Call) => Promise<O>) =>
      async (request: I, incoming: Incoming, handle: Handle): Promise<O> => {
        const startedAt = host.clock.monotonicMs();
        const timeoutMs = deadlineOf(rule, incoming.timeoutMs);
        let timer: ReturnType<typeof setTimeout> | undefined;
        try {
          const answered = admit(rule, request, incoming, handle, startedAt + timeoutMs).then(
            (call) => handler(request, call),
          );
          const answer = await new Promise<O>((resolve, reject) => {
            // Cancelled a little early, the use case itself can still say how it stands: written or not, or contended.
            const lastWordMs = Math.min(LAST_WORD_MS, timeoutMs / 10);
            timer = setTimeout(() => {
              handle.signal.cancel();
              timer = setTimeout(() => reject(refuse("deadline-exceeded")), lastWordMs);
            }, timeoutMs - lastWordMs);
            answered.then(resolve, reject);
          });
          observe(method, "OK", (host.clock.monotonicMs() - startedAt) / 1_000);
          return answer;
        } catch (error) {
          throw failed(method, startedAt, error);
        } finally {
          clearTimeout(timer);
          handle.isOver = true;
        }
      },

    stream: (method, rule, handler) =>
      async function* (request, incoming, handle) {
        const startedAt = host.clock.monotonicMs();
        let caller: string | undefined;
        try {
          const call = await admit(rule, request, incoming, handle, Number.POSITIVE_INFINITY);
          const open = streams.get(call.principal.actor) ?? 0;
          if (open >= STREAMS_PER_CALLER_MAX) throw refuse("too-many-streams");
          caller = call.principal.actor;
          streams.set(caller, open + 1);
          let identifiedMs = host.clock.monotonicMs();
          for await (const answer of handler(request, call)) {
            if (host.clock.monotonicMs() - identifiedMs > IDENTIFY_EVERY_MS) {
              authorize(rule, await identify(rule, incoming), isGateOpen);
              identifiedMs = host.clock.monotonicMs();
            }
            yield answer;
          }
          observe(method, "OK", (host.clock.monotonicMs() - startedAt) / 1_000);
        } catch (error) {
          throw failed(method, startedAt, error);
        } finally {
          if (caller !== undefined) {
            const left = (streams.get(caller) ?? 1) - 1;
            if (left === 0) streams.delete(caller);
            else streams.set(caller, left);
          }
        }
      },
  };
}

const deadlineOf = ({ mayProbe }: Rule, asked: number | undefined): number =>
  Math.max(0, Math.min(asked ?? (mayProbe ? PROBING_DEADLINE_MS : DEADLINE_MS), DEADLINE_MAX_MS));

/** The gate comes before the role, so that a caller without the feature learns nothing more. */
function authorize(rule: Rule, principal: Principal, isGateOpen: (owner: Owner) => boolean): void {
  const { owner, role, isByokDenied } = principal;
  if (rule.isGated && owner && (isByokDenied || !isGateOpen(owner)))
    throw refuse("byok-not-enabled");
  if (!rule.roles.includes(role)) throw refuse("role-not-allowed");
}

/** Callers bound to an owner get their own; to them every other owner is one that does not exist. */
function ownerOf(rule: Rule, { owner }: Principal, request: unknown): Owner | null {
  const named = ownerFrom((request as { owner?: WireOwner }).owner);
  if (owner) {
    if (named && (named.kind !== owner.kind || named.id !== owner.id))
      throw refuse("owner-not-found");
    return owner;
  }
  if (!named && rule.owner === "own-or-named") throw refuse("owner-required");
  return named;
}

/** `FailedPrecondition` → `FAILED_PRECONDITION`; gRPC spells CANCELLED with two L. */
const nameOf = (code: Code): string =>
  code === Code.Canceled
    ? "CANCELLED"
    : Code[code].replace(/([a-z])([A-Z])/g, "$1_$2").toUpperCase();
