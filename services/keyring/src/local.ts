import { create, type DescService } from "@bufbuild/protobuf";
import { Canceller } from "@keyledger/core";
import type { AnyMessage, GuardedService } from "./guarded.ts";

/** What a local caller says of its call. */
export interface LocalCall {
  readonly authorization?: string | undefined;
  readonly apiKey?: string | undefined;
  readonly correlationId: string;
  readonly traceparent?: string | undefined;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
}

/**
 * The methods of a service as plain functions, for callers in the same process: same guard, same errors, no transport
 * (one costs about a hundred microseconds a call).
 */
export function localClient<C>(service: GuardedService & { readonly descriptor: DescService }): C {
  const methods = service.descriptor.methods.map((method) => {
    const run = service.unary(method.localName);
    const call = async (request: AnyMessage, options: LocalCall): Promise<object> => {
      const handle = { signal: new Canceller(), sent: [] as (() => void)[] };
      const leave = () => handle.signal.cancel();
      options.signal.addEventListener("abort", leave, { once: true });
      try {
        const answer = await run(create(method.input, request), incomingOf(options), handle);
        return create(method.output, answer);
      } finally {
        options.signal.removeEventListener("abort", leave);
        for (const task of handle.sent) task();
      }
    };
    return [method.localName, call] as const;
  });
  return Object.fromEntries(methods) as C;
}

const incomingOf = ({
  authorization,
  apiKey,
  correlationId,
  traceparent,
  timeoutMs,
}: LocalCall) => ({
  authorization,
  apiKey,
  correlationId,
  traceparent,
  timeoutMs,
});
