import type { AuditSink } from "../ports/audit-sink.ts";
import type { Feed } from "../ports/event-log.ts";
import { Fault } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import { describe } from "./describe.ts";
import type { FollowerState } from "./project.ts";
import { supervise } from "./supervise.ts";

/** Delivers one feed to the audit sink: at least once, in order, one batch in flight. */
export interface Relay {
  /** Until the signal aborts. A sink that is down stalls the relay and nothing else: the log keeps everything. */
  run(signal: CancelSignal): Promise<void>;
  state(): FollowerState;
}

export function createRelay({
  feed,
  sink,
  host,
}: {
  feed: Feed;
  sink: AuditSink;
  host: Host;
}): Relay {
  let position = feed.zero;
  let isCaughtUp = false;
  let problem: string | null = null;

  async function deliver(signal: CancelSignal, progress: () => void): Promise<void> {
    // The sink itself says what it holds: no second book to keep in step with it.
    const held = await sink.resumeAfter(feed.name);
    position = held ?? feed.zero;
    if ((await feed.check(position)) !== "known") {
      throw new Fault(`the ${feed.name} sink holds records of another deployment or a newer log`, {
        retryable: false,
      });
    }
    for await (const item of feed.follow({ after: position, signal })) {
      if (item.kind === "page" && item.events.length > 0) {
        await sink.deliver(
          feed.name,
          item.events.map((recorded) => describe(host.crypto, recorded)),
        );
      }
      if (item.kind === "caught-up") isCaughtUp = true;
      position = item.next;
      problem = null;
      progress();
    }
  }

  return {
    state: () => ({ position, isCaughtUp, problem }),

    run: (signal) =>
      supervise(
        host,
        signal,
        (progress) => deliver(signal, progress),
        (words) => {
          isCaughtUp = false;
          problem = words;
        },
      ),
  };
}
