import type { IncomingHttpHeaders } from "node:http";
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExpectedRevisionSchema } from "@keyledger/contracts";
import { isKeyLike } from "@keyledger/runtime";
import { Failure, invalid } from "./failure.ts";

/** What the headers of a write ask for beyond its body. */
export interface Conditions {
  /** `Idempotency-Key`; empty: the vault makes one. */
  readonly requestId: string;
  /** `If-Match: "<edit revision>"`, or `If-None-Match: *` for a keyring without any event. */
  readonly expectedRevision?: MessageInitShape<typeof ExpectedRevisionSchema>;
}

const REQUEST_ID = /^[A-Za-z0-9._-]{1,64}$/;
// 19 digits stay below 2^64.
const ENTITY_TAG = /^"(0|[1-9][0-9]{0,18})"$/;
const NO_EVENT: Conditions["expectedRevision"] = { expected: { case: "none", value: true } };

export function conditionsFrom(headers: IncomingHttpHeaders): Conditions | Failure {
  const requestId = headers["idempotency-key"] ?? "";
  // It is kept in the log, where a key pasted by mistake could never be removed.
  if (
    requestId !== "" &&
    !(isText(requestId) && REQUEST_ID.test(requestId) && !isKeyLike(requestId))
  ) {
    return invalid("Idempotency-Key", "must be 1 to 64 of A-Z a-z 0-9 . _ - and no credential");
  }
  const expectedRevision = expectedFrom(headers["if-match"], headers["if-none-match"]);
  if (expectedRevision instanceof Failure) return expectedRevision;
  return { requestId, ...(expectedRevision && { expectedRevision }) };
}

function expectedFrom(
  match: string | undefined,
  noneMatch: string | undefined,
): Conditions["expectedRevision"] | Failure {
  if (noneMatch !== undefined) {
    if (match !== undefined) return invalid("If-None-Match", "cannot stand beside If-Match");
    return noneMatch.trim() === "*" ? NO_EVENT : invalid("If-None-Match", "must be *");
  }
  if (match === undefined) return undefined;
  const revision = ENTITY_TAG.exec(match.trim())?.[1];
  if (revision === undefined) return invalid("If-Match", 'must be one edit revision, such as "7"');
  return { expected: { case: "revision", value: BigInt(revision) } };
}

const isText = (header: string | string[]): header is string => typeof header === "string";
