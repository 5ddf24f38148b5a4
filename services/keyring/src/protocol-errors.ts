import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@keyledger/contracts";
import { ERROR_DOMAIN } from "./errors.ts";
import { REQUEST_BYTES_MAX } from "./limits.ts";

/**
 * What callers read where a call fails outside of its method. The libraries that carry calls refuse by themselves what is
 * no request, before anybody is known, and quote it: names of unknown fields, values of headers, paths. Those words never
 * leave; only their code is taken from them.
 */

/** Where a call failed: before its method began, or after. */
export type Phase = "request" | "answer";

type Words = readonly [reason: string, message: string];

const WORDS: Partial<Record<Code, Words>> = {
  [Code.Unimplemented]: ["UNIMPLEMENTED", "no such method, or not called in a way it can be"],
  [Code.NotFound]: ["NOT_FOUND", "unknown service"],
  [Code.DeadlineExceeded]: ["DEADLINE_EXCEEDED", "the deadline passed"],
  [Code.Canceled]: ["CANCELLED", "the call was cancelled"],
};

const TOO_LARGE: Record<Phase, Words> = {
  request: ["TOO_LARGE", `the request is too large: the most is ${REQUEST_BYTES_MAX} bytes`],
  answer: ["TOO_LARGE", "the answer is too large: ask for less at a time"],
};

/** @param code what the library said. */
export function protocolError(code: Code, phase: Phase): ConnectError {
  if (code === Code.ResourceExhausted) return errorFrom(code, TOO_LARGE[phase]);
  const words = WORDS[code];
  if (words) return errorFrom(code, words);
  // The libraries call it their own fault, too, when a request cannot be read.
  return phase === "request"
    ? errorFrom(Code.InvalidArgument, [
        "MALFORMED_REQUEST",
        "the request cannot be read as the message of its method",
      ])
    : errorFrom(Code.Internal, ["INTERNAL", "internal error"]);
}

const errorFrom = (code: Code, [reason, message]: Words): ConnectError =>
  new ConnectError(message, code, undefined, [
    { desc: ErrorInfoSchema, value: { reason, domain: ERROR_DOMAIN } },
  ]);

/** Whether an error is in our own words already. */
export const isInOurWords = (error: ConnectError): boolean =>
  error.findDetails(ErrorInfoSchema).some(({ domain }) => domain === ERROR_DOMAIN);
