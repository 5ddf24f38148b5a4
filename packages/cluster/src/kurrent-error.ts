import { StoreUnavailable } from "@keyledger/core";

/**
 * What an error of the client means, by its `type` or, where it has none, by its gRPC code. Some paths of the client
 * pass raw gRPC errors on.
 * - `conflict`: another event stands there
 * - `not-leader`: nothing was done, somebody else leads
 * - `refused`: nothing was done, and nothing will be
 * - `unsent`: nothing was sent
 * - `unavailable`: it broke, before or after it was done
 * - `missing`: there is no such stream
 */
export type ErrorMeaning =
  | "conflict"
  | "not-leader"
  | "refused"
  | "unsent"
  | "unavailable"
  | "missing";

const BY_TYPE: Readonly<Record<string, ErrorMeaning>> = {
  "wrong-expected-version": "conflict",
  "append-consistency-violation": "conflict",
  "not-leader": "not-leader",
  "stream-not-found": "missing",
  "access-denied": "refused",
  "stream-deleted": "refused",
  "stream-tombstoned": "refused",
  "maximum-append-size-exceeded": "refused",
  "append-record-size-exceeded": "refused",
  "transaction-max-size-exceeded": "refused",
  "missing-required-metadata-property": "refused",
  "invalid-argument": "refused",
};

/** INVALID_ARGUMENT, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED. */
const REFUSED_CODES = [3, 7, 12, 16];

/** gRPC's words for a call that found no connection, and the client's for a cluster it did not find. */
const UNSENT = /No connection established|Failed to discover/;

export function meaningOf(error: unknown): ErrorMeaning {
  const type = field(error, "type");
  const known = typeof type === "string" ? BY_TYPE[type] : undefined;
  if (known) return known;
  const code = field(error, "code");
  if (typeof code === "number" && REFUSED_CODES.includes(code)) return "refused";
  return UNSENT.test(error instanceof Error ? error.message : "") ? "unsent" : "unavailable";
}

/** In our own words, for logs: the client's name addresses, and may name more. */
export function describeError(error: unknown): string {
  const type = field(error, "type");
  const code = field(error, "code");
  if (typeof type === "string" && /^[a-z-]{1,64}$/.test(type)) return type;
  return typeof code === "number" ? `gRPC status ${code}` : "an error without a type";
}

/** A failed read, or a write of which it is certain that nothing was done. */
export const unavailable = (what: string, error: unknown): StoreUnavailable =>
  new StoreUnavailable(`KurrentDB: ${what}: ${describeError(error)}`, {
    retryable: meaningOf(error) !== "refused",
    cause: error,
  });

const field = (error: unknown, name: "type" | "code"): unknown =>
  typeof error === "object" && error !== null && name in error
    ? Reflect.get(error, name)
    : undefined;
