import { Code, ConnectError, createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { GuardParts } from "./guard.ts";
import { isInOurWords, type Phase, protocolError } from "./protocol-errors.ts";

const PHASE = createContextKey<Phase>("request");

/** To be said by a method when it begins: what fails behind it is no fault of the request. */
export const entered = ({ values }: HandlerContext): void => void values.set(PHASE, "answer");

/**
 * Connect quotes what it refuses, and asks nobody before it does. But before any error is put on the wire its call's
 * context is aborted with it, and that is the one place where all of them pass: there they get words of ours.
 * @param onFault hears of answers that could not be given.
 */
export const withOwnWords =
  (onFault: GuardParts["onFault"]) =>
  (context: HandlerContext): void => {
    const abortable: HandlerContext & { abort?: (reason?: unknown) => void } = context;
    const { abort, method, values } = abortable;
    abortable.abort = (reason) => {
      if (reason instanceof ConnectError && !isInOurWords(reason)) {
        const said = protocolError(reason.code, values.get(PHASE));
        if (said.code === Code.Internal) {
          const fault = new Error(reason.rawMessage);
          onFault(`${method.parent.typeName}/${method.name}`, fault, "INTERNAL");
        }
        reword(reason, said);
      }
      abort?.(reason);
    };
  };

function reword(error: ConnectError, { code, message, rawMessage, details }: ConnectError): void {
  Object.assign(error, { code, message, rawMessage, details, metadata: new Headers() });
}
