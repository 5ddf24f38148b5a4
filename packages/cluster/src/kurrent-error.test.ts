import { StoreUnavailable } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { describeError, meaningOf, unavailable } from "./kurrent-error.ts";

const raw = (code: number, message: string) => Object.assign(new Error(message), { code });
const typed = (type: string, code?: number) => Object.assign(new Error("x"), { type, code });

describe("An error of the KurrentDB client", () => {
  it.for([
    ["a conflict", typed("wrong-expected-version"), "conflict"],
    ["a conflict of the newer calls", typed("append-consistency-violation"), "conflict"],
    ["another leader", typed("not-leader", 5), "not-leader"],
    ["a missing stream", typed("stream-not-found"), "missing"],
    ["no access", typed("access-denied", 7), "refused"],
    ["no access, raw", raw(16, "16 UNAUTHENTICATED"), "refused"],
    ["a deleted stream", typed("stream-deleted", 9), "refused"],
    ["too much", typed("maximum-append-size-exceeded", 3), "refused"],
    [
      "nobody there, raw and without a type",
      raw(14, "14 UNAVAILABLE: No connection established. Last error: connect ECONNREFUSED"),
      "unsent",
    ],
    ["a cluster not found", new Error("Failed to discover after 20 attempts."), "unsent"],
    ["a connection that broke, raw", raw(14, "14 UNAVAILABLE: Connection dropped"), "unavailable"],
    ["a connection that broke", typed("unavailable", 14), "unavailable"],
    ["a server's time-out", typed("timeout", 10), "unavailable"],
    ["a deadline", typed("deadline-exceeded", 4), "unavailable"],
    ["a call that was cancelled", typed("cancelled", 1), "unavailable"],
    ["something unknown", typed("unknown", 2), "unavailable"],
    ["nothing at all", undefined, "unavailable"],
  ] as const)("means by its type or its code: %s", ([, error, meaning]) => {
    expect(meaningOf(error)).toBe(meaning);
  });

  it("becomes a fault that may be cured, unless it was refused", () => {
    expect(unavailable("reading", typed("unavailable"))).toMatchObject({
      constructor: StoreUnavailable,
      retryable: true,
      message: "KurrentDB: reading: unavailable",
    });
    expect(unavailable("reading", typed("access-denied")).retryable).toBe(false);
  });

  it("is described without its own words", () => {
    expect(describeError(raw(14, "connect 10.0.0.1:2113"))).toBe("gRPC status 14");
    expect(describeError(typed("It is: secret"))).toBe("an error without a type");
  });
});
