import { Cancelled, type CancelSignal, OutcomeUnknown, type Revision } from "@keyledger/core";
import type { AppendStreamState, JSONEventData } from "@kurrent/kurrentdb-client";
import type { KurrentConnection } from "./kurrent-client.ts";
import { describeError, meaningOf, unavailable } from "./kurrent-error.ts";
import type { LogPosition } from "./kurrent-position.ts";
import { Backoff, within } from "./kurrent-wait.ts";

/** An append that is not answered for so long is given up, in milliseconds; what became of it is not known. */
export const APPEND_DEADLINE_MS = 3_000;
/** A leader that is named is there by now; one that is lost takes longer to replace than anybody waits here. */
const LEADER_ATTEMPTS_MAX = 4;

export interface KurrentAppend {
  /** As the engine knows it. */
  readonly name: string;
  readonly expected: AppendStreamState;
  readonly events: JSONEventData[];
  readonly deadlineMs: number;
}

export interface Acknowledged {
  readonly revision: Revision;
  /** Missing where a repeated append finds its events retired. */
  readonly position: LogPosition | undefined;
}

/**
 * One append. A conflict is no fault: whoever asked finds out what stands there.
 * @returns place of the last event, as the engine acknowledged it, or `conflict`
 * @throws {StoreUnavailable} nothing was written.
 * @throws {OutcomeUnknown} repeat it with the same ids and the same expectation.
 * @throws {Cancelled} nothing was sent.
 */
export async function appendOnce(
  connection: KurrentConnection,
  { name, expected, events, deadlineMs }: KurrentAppend,
  signal?: CancelSignal,
): Promise<Acknowledged | "conflict"> {
  const { host, appends } = connection;
  const backoff = new Backoff(host, 20, 100);
  for (let attempt = 1; ; attempt++) {
    if (signal?.aborted) throw new Cancelled();
    const client = appends.current;
    try {
      const sent = client.appendToStream(name, events, {
        streamState: expected,
        requiresLeader: true,
      });
      const outcome = await within(host, deadlineMs, sent, signal);
      if (outcome === "aborted")
        throw new OutcomeUnknown("the call was cancelled while it was written");
      if (outcome === "late") {
        // Whatever comes after it would hang on the same call.
        appends.renew(client, "an append was not answered in time");
        throw new OutcomeUnknown("KurrentDB did not answer an append in time");
      }
      const { nextExpectedRevision, position } = outcome.value;
      return { revision: Number(nextExpectedRevision), position };
    } catch (error) {
      if (error instanceof OutcomeUnknown) throw error;
      const meaning = meaningOf(error);
      if (meaning === "conflict") return "conflict";
      if (meaning === "not-leader" && attempt < LEADER_ATTEMPTS_MAX) {
        // The client goes to the leader it was told of.
        await backoff.wait(signal);
        continue;
      }
      if (meaning === "not-leader" || meaning === "refused" || meaning === "unsent") {
        throw unavailable(`appending to ${name}`, error);
      }
      throw new OutcomeUnknown(`KurrentDB broke off an append: ${describeError(error)}`, {
        cause: error,
      });
    }
  }
}
