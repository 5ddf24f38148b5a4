import { ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@keyledger/contracts";
import { Canceller, OutcomeUnknown } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { errorOf, refuse } from "./errors.ts";
import { createGuard, type GuardParts, type Handle } from "./guard.ts";
import type { Call, Principal } from "./handlers.ts";
import type { Rule } from "./policy.ts";

const rule: Rule = { roles: ["operator"], owner: "none", isGated: false };
const operator: Principal = {
  role: "operator",
  owner: null,
  actor: "caller.1",
  isByokDenied: false,
};
const incoming = {
  authorization: "Bearer x",
  apiKey: undefined,
  correlationId: undefined,
  traceparent: undefined,
  timeoutMs: 200,
};

function setUp(over: Partial<GuardParts> = {}) {
  const observed: string[] = [];
  const faults: unknown[] = [];
  const guard = createGuard({
    authenticate: async () => operator,
    isGateOpen: () => true,
    isFresh: () => true,
    recordRefusal: async () => {},
    host: nodeHost(),
    observe: (_method, code) => void observed.push(code),
    onFault: (_method, error) => void faults.push(error),
    ...over,
  });
  return { guard, observed, faults };
}

const newHandle = (): Handle => ({ signal: new Canceller(), sent: [] });
const reasonOf = (error: unknown): string =>
  ConnectError.from(error).findDetails(ErrorInfoSchema)[0]?.reason ?? "";
const failing = (call: Promise<unknown>): Promise<string> => call.then(() => "answered", reasonOf);

/** Ends as its signal does. */
const whenCancelled = ({ signal }: Call): Promise<void> =>
  new Promise((resolve) => signal.addEventListener("abort", resolve));

describe("the guard", () => {
  it("lets a use case say how it stands when its time is over", async () => {
    const { guard, observed } = setUp();
    const contended = guard.unary("S/M", rule, async (_request: object, call) => {
      await whenCancelled(call);
      throw errorOf({ reason: "contention" });
    });
    const unknown = guard.unary("S/M", rule, async (_request: object, call) => {
      await whenCancelled(call);
      throw new OutcomeUnknown("who knows");
    });
    expect(await failing(contended({}, incoming, newHandle()))).toBe("CONTENTION");
    expect(await failing(unknown({}, incoming, newHandle()))).toBe("OUTCOME_UNKNOWN");
    expect(observed).toStrictEqual(["ABORTED", "UNAVAILABLE"]);
  });

  it("answers DEADLINE_EXCEEDED for a use case that says nothing, and runs what it leaves behind", async () => {
    const { guard } = setUp();
    const handle = newHandle();
    let wiped = false;
    const late = Promise.withResolvers<void>();
    const run = guard.unary("S/M", rule, async (_request: object, call) => {
      await late.promise;
      call.afterSend(() => {
        wiped = true;
      });
    });
    expect(await failing(run({}, { ...incoming, timeoutMs: 30 }, handle))).toBe(
      "DEADLINE_EXCEEDED",
    );
    expect(handle.signal.aborted).toBe(true);
    late.resolve();
    await expect.poll(() => wiped).toBe(true);
    expect(handle.sent).toStrictEqual([]);
  });

  it("says nothing from views that stand still, but the status", async () => {
    const { guard } = setUp({ isFresh: () => false });
    const answer = async () => "answered";
    expect(await failing(guard.unary("S/M", rule, answer)({}, incoming, newHandle()))).toBe(
      "NOT_CAUGHT_UP",
    );
    const status = guard.unary("S/GetStatus", { ...rule, isToldWhenStale: true }, answer);
    expect(await status({}, incoming, newHandle())).toBe("answered");
  });

  it("cuts off the stream of a caller that was revoked meanwhile", async () => {
    let isRevoked = false;
    let nowMs = 0;
    const node = nodeHost();
    const { guard } = setUp({
      authenticate: async () => {
        if (isRevoked) throw refuse("unauthenticated");
        return operator;
      },
      host: { ...node, clock: { ...node.clock, monotonicMs: () => nowMs } },
    });
    const stream = guard.stream("S/F", rule, async function* () {
      for (let count = 0; ; count++) yield count;
    })({}, incoming, newHandle());
    const iterator = stream[Symbol.asyncIterator]();
    expect((await iterator.next()).value).toBe(0);
    isRevoked = true;
    nowMs = 1_001;
    expect(await failing(iterator.next())).toBe("UNAUTHENTICATED");
  });

  it("tells operators of what nobody expected, and callers nothing of it", async () => {
    const { guard, faults } = setUp();
    const broken = guard.unary("S/M", rule, async () => {
      throw new Error("secret words of a library");
    });
    const error = await broken({}, incoming, newHandle()).catch((thrown: unknown) => thrown);
    expect(reasonOf(error)).toBe("INTERNAL");
    expect(String(error)).not.toContain("secret words");
    expect(faults).toHaveLength(1);
  });
});
