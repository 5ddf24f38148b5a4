import type { LookupAddress } from "node:dns";
import type { Host } from "@keyledger/core";
import { addressClass } from "./address-guard.ts";
import { type Connect, type Destination, hostnameOf, openConnection } from "./connection.ts";
import { exchange } from "./exchange.ts";
import { type Answer, type Question, type Unanswered, unanswered } from "./question.ts";

export interface Transport {
  readonly host: Pick<Host, "clock" | "pause">;
  readonly lookup: (hostname: string) => Promise<readonly LookupAddress[]>;
  readonly connect: Connect;
}

export interface Target {
  readonly url: URL;
  /** The operator named this endpoint and allowed this machine as one: plain http leads nowhere else. */
  readonly mayBeLocal: boolean;
}

/** A longer `Retry-After` is for the background. */
const INLINE_WAIT_MS_MAX = 2000;
const SECOND_ATTEMPT_MS = 250;
const RETRY_AFTER_MS_MAX = 24 * 60 * 60 * 1000;

/**
 * Resolves the host name, checks every address it stands for, and asks one of those; all of it a second time where the
 * first failure may pass. Never rejects.
 * @param signal ends everything with `timed-out`.
 */
export async function guardedRequest(
  target: Target,
  question: Question,
  transport: Transport,
  signal: AbortSignal,
): Promise<Answer | Unanswered> {
  const { host, connect } = transport;
  const attempt = async () => {
    const destination = await destinationOf(target, transport, signal);
    if ("because" in destination) return destination;
    const socket = await openConnection(destination, connect, host, signal);
    return "because" in socket
      ? socket
      : exchange(socket, target.url, question, host.clock, signal);
  };
  const first = await attempt();
  const waitMs = waitBeforeSecond(first);
  if (waitMs === undefined) return first;
  await host.pause(waitMs, signal);
  return signal.aborted ? first : attempt();
}

/** What a provider asked for, at most a day; `undefined` where it asked for nothing. */
export function retryAfterMs({ headers, at }: Answer): number | undefined {
  const text = headers["retry-after"];
  if (text === undefined) return undefined;
  const asked = /^\d{1,9}$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.parse(at);
  return Number.isNaN(asked) ? undefined : Math.min(Math.max(asked, 0), RETRY_AFTER_MS_MAX);
}

function waitBeforeSecond(reply: Answer | Unanswered): number | undefined {
  if (reply.kind === "unanswered") {
    return ["unresolved", "unconnected", "cut"].includes(reply.because)
      ? SECOND_ATTEMPT_MS
      : undefined;
  }
  if (reply.status !== 429 && reply.status < 500) return undefined;
  const asked = retryAfterMs(reply) ?? (reply.status === 429 ? undefined : SECOND_ATTEMPT_MS);
  return asked !== undefined && asked <= INLINE_WAIT_MS_MAX ? asked : undefined;
}

async function destinationOf(
  { url, mayBeLocal }: Target,
  { lookup }: Transport,
  signal: AbortSignal,
): Promise<Destination | Unanswered> {
  let addresses: readonly LookupAddress[] | undefined;
  try {
    addresses = await Promise.race([lookup(hostnameOf(url)), aborted(signal)]);
  } catch (error) {
    return unanswered(isUnknownName(error) ? "unknown-name" : "unresolved");
  }
  if (addresses === undefined) return unanswered("timed-out");
  if (addresses.length === 0) return unanswered("unresolved");

  // One bad address condemns the name: what it leads to next is anybody's guess.
  const isAllowed = ({ address }: LookupAddress) => {
    const found = addressClass(address);
    return (
      (found === "public" && url.protocol === "https:") || (found === "loopback" && mayBeLocal)
    );
  };
  return addresses.every(isAllowed) ? { url, addresses } : unanswered("refused-address");
}

const aborted = (signal: AbortSignal): Promise<undefined> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener("abort", () => resolve(undefined), { once: true });
  });

const isUnknownName = (error: unknown): boolean =>
  error instanceof Error && "code" in error && error.code === "ENOTFOUND";
