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

const WORDS: Partial<Record<Code, string>> = {
  [Code.InvalidArgument]: "the request cannot be read as what it says it is",
  [Code.ResourceExhausted]: "the message is too large",
  [Code.Unimplemented]: "the request is of a kind that is not served here",
  [Code.DeadlineExceeded]: "the deadline passed",
  [Code.Canceled]: "the call was cancelled",
};

function reword(error: ConnectError): void {
  const rawMessage = WORDS[error.code] ?? "the request failed";
  const info = { reason: "MALFORMED_REQUEST", domain: ERROR_DOMAIN, metadata: {} };
  const details = [{ desc: ErrorInfoSchema, value: info }];
  Object.assign(error, { rawMessage, message: rawMessage, details, metadata: new Headers() });
}
