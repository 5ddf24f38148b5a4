import { isInForce } from "../domain/caller-key.ts";
import { invalid, type Rejection } from "../domain/rejection.ts";
import {
  type CallerKeyView,
  effectiveMode,
  emptyKeyringView,
  enabledCount,
  type KeyringView,
  type KeyView,
  primaryOf,
  shownMode,
  sortedKeys,
} from "../domain/views.ts";
import type { Mode, Owner, Position, Uuid } from "../domain/vocabulary.ts";
import type { Feed } from "../ports/event-log.ts";
import type { CancelSignal, Clock } from "../ports/host.ts";
import type { ReadModels } from "../ports/read-models.ts";
import type { Answer } from "./call.ts";
import type { Projector } from "./project.ts";

/** What every read carries. */
export interface ReadCall {
  /** Answer from no earlier state; empty = as it is. */
  readonly minPosition: string;
  readonly signal: CancelSignal;
}

export interface ListFilter {
  /** Empty = all. */
  readonly providers: readonly string[];
  readonly primaryOnly: boolean;
  /** `undefined` = every key; else those bound to it and those bound to none. */
  readonly workspaceId: Uuid | undefined;
  readonly offset: number;
  readonly limit: number;
}

export interface ShownKey {
  readonly key: KeyView;
  readonly isPrimary: boolean;
}

export interface ModeAnswer {
  readonly mode: Mode;
  readonly effectiveMode: Mode;
  readonly configuredKeys: number;
  readonly enabledKeys: number;
}

export interface Queries {
  getKey(owner: Owner, keyId: Uuid, call: ReadCall): Promise<Answer<ShownKey>>;
  listKeys(
    owner: Owner,
    filter: ListFilter,
    call: ReadCall,
  ): Promise<
    Answer<ModeAnswer & { readonly keys: readonly ShownKey[]; readonly totalCount: number }>
  >;
  getMode(owner: Owner, call: ReadCall): Promise<Answer<ModeAnswer>>;
  listCallerKeys(
    filter: {
      readonly owner: Owner | null;
      readonly includeEnded: boolean;
      readonly pageSize: number;
      readonly pageToken: string;
    },
    call: ReadCall,
  ): Promise<
    | { readonly rejected: Rejection }
    | {
        readonly keys: readonly CallerKeyView[];
        readonly nextPageToken: string;
        readonly position: Position;
      }
  >;
  /** Waits until the views have reached a position given by a caller. @throws {NotCaughtUp} */
  caughtUpTo(call: ReadCall): Promise<Rejection | undefined>;
}

/** How long a read waits for the views to reach the position asked for, in milliseconds. */
const CATCH_UP_WAIT_MS = 2_000;

export function createQueries({
  feed,
  models,
  projector,
  clock,
  isGateOpen,
}: {
  feed: Feed;
  models: ReadModels;
  projector: Projector;
  clock: Clock;
  isGateOpen: (view: KeyringView) => boolean;
}): Queries {
  async function caughtUpTo({ minPosition, signal }: ReadCall): Promise<Rejection | undefined> {
    if (minPosition === "") return undefined;
    const check = await feed.check(minPosition);
    if (check === "foreign") return invalid("min_position", "is no position of this log");
    if (check === "ahead") return invalid("min_position", "lies ahead of this log");
    await projector.reached(minPosition, signal, CATCH_UP_WAIT_MS);
    return undefined;
  }

  async function read<T>(
    owner: Owner,
    call: ReadCall,
    shape: (view: KeyringView) => T,
  ): Promise<Answer<T>> {
    const rejection = await caughtUpTo(call);
    if (rejection) return { rejected: rejection };
    const view = models.keyring(owner) ?? emptyKeyringView(owner);
    const standing = { revision: view.editRevision, position: view.position ?? feed.zero };
    return { ...shape(view), ...standing };
  }

  const modeOf = (view: KeyringView): ModeAnswer => ({
    mode: shownMode(view),
    effectiveMode: effectiveMode(view, isGateOpen(view)),
    configuredKeys: view.keys.size,
    enabledKeys: enabledCount(view),
  });

  return {
    caughtUpTo,
    getMode: (owner, call) => read(owner, call, modeOf),

    async getKey(owner, keyId, call) {
      const found = await read(owner, call, (view) => {
        const key = view.keys.get(keyId);
        return { found: key && { key, isPrimary: primaryOf(view, key.provider) === key } };
      });
      if ("rejected" in found) return found;
      const { found: shown, revision, position } = found;
      return shown ? { ...shown, revision, position } : { rejected: { reason: "key-not-found" } };
    },

    listKeys: (owner, filter, call) =>
      read(owner, call, (view) => {
        const matching = sortedKeys(view)
          .filter(
            ({ provider, workspaceId }) =>
              (filter.providers.length === 0 || filter.providers.includes(provider)) &&
              (filter.workspaceId === undefined ||
                workspaceId === null ||
                workspaceId === filter.workspaceId),
          )
          .map((key) => ({ key, isPrimary: primaryOf(view, key.provider) === key }))
          .filter(({ isPrimary }) => isPrimary || !filter.primaryOnly);
        const keys = matching.slice(filter.offset, filter.offset + filter.limit);
        return { ...modeOf(view), keys, totalCount: matching.length };
      }),

    async listCallerKeys({ owner, includeEnded, pageSize, pageToken }, call) {
      const rejection = await caughtUpTo(call);
      if (rejection) return { rejected: rejection };
      if (pageToken !== "" && !models.callerKey(pageToken)) {
        return { rejected: invalid("page_token", "is no token of this list") };
      }
      const keys: CallerKeyView[] = [];
      let before: Uuid | null = pageToken === "" ? null : pageToken;
      let isEnd = false;
      while (keys.length < pageSize && !isEnd) {
        const page = models.callerKeys({ owner, before, limit: pageSize });
        isEnd = page.length < pageSize;
        for (const key of page) {
          if (keys.length === pageSize) {
            isEnd = false;
            break;
          }
          before = key.callerKeyId;
          if (includeEnded || isInForce(key, clock.now)) keys.push(key);
        }
      }
      const nextPageToken = isEnd ? "" : (before ?? "");
      return { keys, nextPageToken, position: projector.state().position };
    },
  };
}
