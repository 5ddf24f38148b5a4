import { type Answer, notFound, refused } from "./answer.ts";
import type { Fault, FaultRule, VaultRequest } from "./control.ts";

/** The rules tests injected, first come first served. */
export interface Faults {
  add(rule: FaultRule): void;
  clear(): void;
  /** Counts down what it returns. */
  next(request: VaultRequest): Fault | undefined;
}

export function createFaults(): Faults {
  let rules: { readonly rule: FaultRule; left: number }[] = [];
  return {
    add: (rule) => {
      rules.push({ rule, left: rule.times ?? Number.POSITIVE_INFINITY });
    },
    clear: () => {
      rules = [];
    },
    next: (request) => {
      const found = rules.find(({ rule, left }) => left > 0 && befalls(rule, request));
      if (found === undefined) return undefined;
      found.left -= 1;
      return found.rule.fault;
    },
  };
}

const befalls = ({ method, path, role }: FaultRule, request: VaultRequest): boolean =>
  (method === undefined || method === request.method) &&
  (path === undefined || new RegExp(path).test(request.path)) &&
  (role === undefined || role === request.role);

/** Answers of before, for the fault that confuses them: the latest two of each kind of request. */
export interface EarlierAnswers {
  remember(path: string, content: string, answer: Answer): void;
  /** The latest to a request of the same kind that was another one. */
  otherThan(path: string, content: string): Answer;
}

export function createEarlierAnswers(): EarlierAnswers {
  const byKind = new Map<string, { readonly request: string; readonly answer: Answer }[]>();
  const kindOf = (path: string): string => path.split("/").slice(0, 2).join("/");
  return {
    remember: (path, content, answer) => {
      const request = `${path}\n${content}`;
      const others = (byKind.get(kindOf(path)) ?? []).filter((known) => known.request !== request);
      byKind.set(kindOf(path), [...others.slice(-1), { request, answer }]);
    },
    otherThan: (path, content) =>
      (byKind.get(kindOf(path)) ?? []).findLast(({ request }) => request !== `${path}\n${content}`)
        ?.answer ?? refused(notFound()),
  };
}
