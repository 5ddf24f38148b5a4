/** One call of a port, taken over: `proceed` makes the call as it was meant. */
export type Step = (proceed: () => Promise<unknown>) => Promise<unknown>;

/** Fails without doing anything. */
export const failBefore =
  (fault: Error): Step =>
  () =>
    Promise.reject(fault);

/** Does it, and fails all the same. */
export const failAfter =
  (fault: Error): Step =>
  async (proceed) => {
    await proceed();
    throw fault;
  };

/** Never answers, and does nothing. */
export const hang: Step = () => new Promise(() => {});

/** Does something else first. */
export const first =
  (work: () => Promise<unknown>): Step =>
  async (proceed) => {
    await work();
    return proceed();
  };

type MethodsOf<T> = {
  [Name in keyof T]: T[Name] extends (...input: never) => Promise<unknown> ? Name : never;
}[keyof T] &
  string;

/** A port whose next calls follow a script, and all others the port itself. */
export interface Scripted<T> {
  readonly port: T;
  /** Takes over the next call of a method that nobody took over yet. */
  next(method: MethodsOf<T>, ...steps: readonly Step[]): void;
  /** Takes over every call of every method, behind the script. */
  always(
    step: ((method: string, proceed: () => Promise<unknown>) => Promise<unknown>) | null,
  ): void;
  /** Names of the methods called so far, in order. */
  readonly calls: readonly string[];
}

export function scripted<T extends object>(real: T, journal: string[] = []): Scripted<T> {
  const script = new Map<string, Step[]>();
  const calls: string[] = [];
  let always: Parameters<Scripted<T>["always"]>[0] = null;
  const port = new Proxy(real, {
    get(target, name) {
      const member: unknown = Reflect.get(target, name);
      if (typeof member !== "function" || typeof name !== "string") return member;
      return (...input: readonly unknown[]): unknown => {
        calls.push(name);
        journal.push(name);
        const call = (): unknown => member.apply(target, input);
        const step = script.get(name)?.shift();
        if (step) return step(async () => call());
        // A feed that is followed is no single call.
        return always && name !== "follow" ? always(name, async () => call()) : call();
      };
    },
  });
  return {
    port,
    calls,
    next: (method, ...steps) => void script.set(method, [...(script.get(method) ?? []), ...steps]),
    always: (step) => {
      always = step;
    },
  };
}
