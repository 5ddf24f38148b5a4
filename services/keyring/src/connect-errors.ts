import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@keyledger/contracts";
import { ERROR_DOMAIN } from "./errors.ts";

/**
 * Connect refuses by itself what is no request, and its words quote it: names of unknown fields, values of headers. Before
 * any error is put on the wire its call's context is aborted with it, which is the one place where all of them pass; there
 * they get words of ours.
 */
export function withOwnWords(context: HandlerContext): void {
  const abortable: HandlerContext & { abort?: (reason?: unknown) => void } = context;
  const { abort } = abortable;
  abortable.abort = (reason) => {
    if (reason instanceof ConnectError && !isOurs(reason)) reword(reason);
    abort?.(reason);
  };
}

const isOurs = (error: ConnectError): boolean =>
  error.findDetails(ErrorInfoSchema).some(({ domain }) => domain === ERROR_DOMAIN);

const WORDS: Partial<Record<Code, readonly [reason: string, message: string]>> = {
  [Code.ResourceExhausted]: ["TOO_LARGE", "the message is too large"],
  [Code.Unimplemented]: ["UNIMPLEMENTED", "the request is of a kind that is not served here"],
  [Code.DeadlineExceeded]: ["DEADLINE_EXCEEDED", "the deadline passed"],
  [Code.Canceled]: ["CANCELLED", "the call was cancelled"],
};
const MALFORMED = [
  "MALFORMED_REQUEST",
  "the request cannot be read as what it says it is",
] as const;

function reword(error: ConnectError): void {
  const [reason, message] = WORDS[error.code] ?? MALFORMED;
  const info = { reason, domain: ERROR_DOMAIN, metadata: {} };
  Object.assign(error, {
    rawMessage: message,
    message,
    details: [{ desc: ErrorInfoSchema, value: info }],
    metadata: new Headers(),
  });
}
