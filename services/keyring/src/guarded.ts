import type { DescService } from "@bufbuild/protobuf";
import type { Guard, Handle, Incoming } from "./guard.ts";
import type { Handlers } from "./handlers.ts";
import type { Rule } from "./policy.ts";

/** A message whose type the descriptor knows. */
export type AnyMessage = Record<string, unknown>;

/** A service whose methods stand behind the guard: what every listener serves. */
export interface GuardedService {
  readonly descriptor: DescService;
  unary(
    localName: string,
  ): (request: AnyMessage, incoming: Incoming, handle: Handle) => Promise<AnyMessage>;
  stream(
    localName: string,
  ): (request: AnyMessage, incoming: Incoming, handle: Handle) => AsyncIterable<AnyMessage>;
}

/** Puts each method behind the guard, under its row of the policy. */
export function guarded<S extends DescService>(
  guard: Guard,
  descriptor: S,
  rules: { readonly [K in keyof S["method"]]: Rule },
  handlers: Handlers<S>,
): GuardedService {
  // The types of requests and answers meet again at the listener, which decodes and encodes by the same descriptor.
  const ruleOf = (name: string): Rule => (rules as Readonly<Record<string, Rule>>)[name] as Rule;
  const methodOf = (name: string) =>
    `${descriptor.typeName}/${descriptor.method[name]?.name ?? name}`;
  const unaryHandlers = handlers as Readonly<Record<string, Parameters<Guard["unary"]>[2]>>;
  const streamHandlers = handlers as Readonly<Record<string, Parameters<Guard["stream"]>[2]>>;
  return {
    descriptor,
    unary: (name) => guard.unary(methodOf(name), ruleOf(name), unaryHandlers[name] as never),
    stream: (name) => guard.stream(methodOf(name), ruleOf(name), streamHandlers[name] as never),
  };
}
