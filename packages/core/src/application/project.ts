import { projectCallerKey } from "../domain/caller-key.ts";
import {
  type CallerKeyView,
  emptyKeyringView,
  type KeyringView,
  project,
} from "../domain/views.ts";
import { type Owner, ownerName, type Position, parseOwnerName } from "../domain/vocabulary.ts";
import type { EventLog, RecordedEvent } from "../ports/event-log.ts";
import { Corrupted, NotCaughtUp } from "../ports/faults.ts";
import type { CancelSignal, Host } from "../ports/host.ts";
import type { ReadModels } from "../ports/read-models.ts";
import { Canceller } from "./canceller.ts";
import { isCallerKeyEvent } from "./event-codec.ts";
import { happened } from "./happened.ts";
import { supervise } from "./supervise.ts";

export interface FollowerState {
  readonly position: Position;
  readonly isCaughtUp: boolean;
  /** Why it stopped, in our own words; `null` = it runs. */
  readonly problem: string | null;
}

/** Keeps the views at the end of the log. */
export interface Projector {
  /** Follows the log until the signal aborts. Faults that a retry can cure are retried, with pauses up to 5 s. */
  run(signal: CancelSignal): Promise<void>;
  state(): FollowerState;
  /** Resolves when the views have reached the position. @throws {NotCaughtUp} after `withinMs`, or when the signal aborts. */
  reached(position: Position, signal: CancelSignal, withinMs: number): Promise<void>;
  /** Called after every commit, with the events applied since the process started, and when the end is reached. */
  onProgress(listener: (state: FollowerState, events: number) => void): void;
}

export function createProjector({
  log,
  models,
  host,
}: {
  log: EventLog;
  models: ReadModels;
  host: Host;
}): Projector {
  let isCaughtUp = false;
  let problem: string | null = null;
  let applied = 0;
  const listeners: ((state: FollowerState, events: number) => void)[] = [];
  const waiting = new Set<{ position: Position; end: () => void }>();
  const at = (): Position => models.checkpoint() ?? log.zero;
  const state = (): FollowerState => ({ position: at(), isCaughtUp, problem });

  function advance(): void {
    const position = at();
    for (const waiter of waiting) if (waiter.position <= position) waiter.end();
    for (const listener of listeners) listener(state(), applied);
  }

  async function follow(signal: CancelSignal, progress: () => void): Promise<void> {
    for await (const item of log.follow({ after: at(), signal })) {
      if (item.kind === "caught-up") isCaughtUp = true;
      else if (item.next > at()) {
        models.commit(changesOf(item.events, models), item.next);
        applied += item.events.length;
      }
      problem = null;
      progress();
      advance();
    }
  }

  return {
    state,
    onProgress: (listener) => void listeners.push(listener),

    run: (signal) =>
      supervise(
        host,
        signal,
        (progress) => follow(signal, progress),
        (words) => {
          // A poison event stops the views: skipping it would show wrong data.
          isCaughtUp = false;
          problem = words;
          advance();
        },
      ),

    async reached(position, signal, withinMs) {
      if (position <= at()) return;
      const done = await new Promise<boolean>((resolve) => {
        const waiter = { position, end: () => finish(true) };
        const lapsed = new Canceller();
        const finish = (isReached: boolean) => {
          waiting.delete(waiter);
          lapsed.cancel();
          signal.removeEventListener("abort", giveUp);
          resolve(isReached);
        };
        const giveUp = () => finish(false);
        waiting.add(waiter);
        signal.addEventListener("abort", giveUp);
        if (signal.aborted) giveUp();
        else void host.pause(withinMs, lapsed).then(() => finish(position <= at()));
      });
      if (!done) throw new NotCaughtUp(problem ?? "the views are catching up");
    },
  };
}

/** Folds one page of events into the views it touches. @throws {Corrupted} on an event that cannot be read. */
export function changesOf(
  events: readonly RecordedEvent[],
  models: Pick<ReadModels, "keyring" | "callerKey">,
): { keyrings: readonly KeyringView[]; callerKeys: readonly CallerKeyView[] } {
  const keyrings = new Map<string, KeyringView>();
  const callerKeys = new Map<string, CallerKeyView>();
  for (const recorded of events) {
    const { event, ...at } = happened(recorded);
    if (isCallerKeyEvent(event)) {
      const { callerKeyId } = event;
      const before = callerKeys.get(callerKeyId) ?? models.callerKey(callerKeyId);
      const after = projectCallerKey(before, event, at);
      if (after) callerKeys.set(callerKeyId, after);
      continue;
    }
    if (event.type === "AccessGranted" || event.type === "AccessRefused") {
      throw new Corrupted(`an ${event.type} event stands in the event log at ${recorded.position}`);
    }
    const owner = ownerOfKeyring(recorded.stream);
    if (!owner) throw new Corrupted(`a ${event.type} event stands in a stream without an owner`);
    const name = ownerName(owner);
    const before = keyrings.get(name) ?? models.keyring(owner) ?? emptyKeyringView(owner);
    keyrings.set(name, project(before, event, at));
  }
  return { keyrings: [...keyrings.values()], callerKeys: [...callerKeys.values()] };
}

const KEYRING = "keyring-";

const ownerOfKeyring = (stream: string): Owner | undefined =>
  stream.startsWith(KEYRING) ? parseOwnerName(stream.slice(KEYRING.length)) : undefined;
