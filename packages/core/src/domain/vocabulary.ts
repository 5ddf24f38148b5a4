/** The words of the domain. Strings from outside become these types here, once, and are trusted afterwards. */

export type OwnerKind = "user" | "team" | "organization";

/** The holder of one keyring. */
export interface Owner {
  readonly kind: OwnerKind;
  readonly id: string;
}

/** Canonical form of an owner: `<kind>.<id>`. */
export type OwnerName = `${OwnerKind}.${string}`;

export type Mode = "neo" | "byok";

/** The feature gate of an owner, where somebody set it. */
export type Entitlement = "on" | "off";

/** UTC time as RFC 3339 with milliseconds and `Z`: ordered bytewise. */
export type Instant = string;

/** Lower-case UUID. */
export type Uuid = string;

/**
 * Place in a feed: lower-case hex of one byte for family and feed, the deployment id, and fixed-width big-endian
 * numbers. Ordered bytewise, otherwise opaque: nobody computes with it.
 */
export type Position = string;

/** 0-based place in a stream. */
export type Revision = number;

/** What a caller expects a stream's edit revision to be; `none` = no event yet. */
export type ExpectedEdit = Revision | "none";

export type Role =
  | "user"
  | "team-admin"
  | "team-member"
  | "team-viewer"
  | "organization-admin"
  | "service"
  | "auditor"
  | "operator";

/** Who, when and why: becomes the metadata of the events a command appends. */
export interface Stamp {
  /** `user.<id>`, `caller.<caller key id>` or `system.<part>`. */
  readonly actor: string;
  readonly actorType: Role | "system";
  readonly requestId: string;
  readonly time: Instant;
  readonly correlationId: string;
  readonly causationId?: string;
  readonly traceparent?: string;
}

const ID = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;

/** Whether a text may be the id of an owner or actor. */
export const isOwnerId = (text: string): boolean => ID.test(text) && !text.includes("..");

/** Whether a text is a lower-case UUID. */
export const isUuid = (text: string): text is Uuid => UUID.test(text);

/** Whether a text may be a `request_id`. */
export const isRequestId = (text: string): boolean => REQUEST_ID.test(text);

export const ownerName = ({ kind, id }: Owner): OwnerName => `${kind}.${id}`;

/** @returns `undefined` where the text is no owner's canonical form. */
export function parseOwnerName(text: string): Owner | undefined {
  const dot = text.indexOf(".");
  if (dot < 0) return undefined;
  const kind = text.slice(0, dot);
  const id = text.slice(dot + 1);
  if (kind !== "user" && kind !== "team" && kind !== "organization") return undefined;
  return isOwnerId(id) ? { kind, id } : undefined;
}

/** The stream that holds everything about one owner. */
export const keyringStream = (owner: Owner): string => `keyring-${ownerName(owner)}`;

/** The stream of one caller key. */
export const callerStream = (callerKeyId: Uuid): string => `caller-${callerKeyId}`;

/** Text before the first `-` of a stream's name; the whole name where there is none. */
export const categoryOf = (stream: string): string => stream.replace(/-.*$/s, "");

/** Whole seconds from one instant to another; negative where the second comes first. */
export const secondsBetween = (from: Instant, to: Instant): number =>
  // biome-ignore lint/style/noRestrictedGlobals: parsing reads no clock, flooring no randomness
  Math.floor((Date.parse(to) - Date.parse(from)) / 1_000);

/** The instant some seconds later, or earlier where negative. */
export const secondsAfter = (from: Instant, seconds: number): Instant =>
  // biome-ignore lint/style/noRestrictedGlobals: only the argument is read, not the clock
  new Date(Date.parse(from) + seconds * 1_000).toISOString();
