import type { KeyringEvent } from "./events.ts";
import { CHAIN_START } from "./hash-chain.ts";
import { emptyKeyringView, type KeyringView, project } from "./views.ts";
import type { Instant, Owner, Position, Revision } from "./vocabulary.ts";

/** How many requests of an owner are remembered, so that a repeat is answered instead of done again. */
export const REMEMBERED_REQUESTS = 512;

/** A request that appended something. */
export interface RememberedRequest {
  readonly actor: string;
  readonly requestId: string;
  /** Keyed hash of the canonical request. */
  readonly requestMac: string;
  readonly first: Revision;
  readonly last: Revision;
}

/** What commands are decided on: the view, the end of the hash chain, and the requests already answered. */
export interface Keyring {
  readonly view: KeyringView;
  readonly lastHash: string;
  readonly requests: readonly RememberedRequest[];
}

/** An event with its place and its circumstances. */
export interface Happened<E> {
  readonly event: E;
  readonly revision: Revision;
  readonly position: Position;
  readonly time: Instant;
  readonly actor: string;
  readonly requestId: string;
  /** Empty for work of the system, which is never repeated by a client. */
  readonly requestMac: string;
  readonly hash: string;
}

export const emptyKeyring = (owner: Owner): Keyring => ({
  view: emptyKeyringView(owner),
  lastHash: CHAIN_START,
  requests: [],
});

export const evolve = (keyring: Keyring, happened: Happened<KeyringEvent>): Keyring => ({
  view: project(keyring.view, happened.event, happened),
  lastHash: happened.hash,
  requests: happened.requestMac === "" ? keyring.requests : remember(keyring.requests, happened),
});

function remember(
  requests: readonly RememberedRequest[],
  { actor, requestId, requestMac, revision }: Happened<KeyringEvent>,
): readonly RememberedRequest[] {
  const last = requests.at(-1);
  if (last && last.actor === actor && last.requestId === requestId && last.last === revision - 1) {
    return [...requests.slice(0, -1), { ...last, last: revision }];
  }
  const request = { actor, requestId, requestMac, first: revision, last: revision };
  return [...requests.slice(-(REMEMBERED_REQUESTS - 1)), request];
}

export const findRequest = (
  keyring: Keyring,
  actor: string,
  requestId: string,
): RememberedRequest | undefined =>
  keyring.requests.findLast(
    (request) => request.requestId === requestId && request.actor === actor,
  );
