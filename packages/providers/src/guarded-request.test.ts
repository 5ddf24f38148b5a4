import { describe, expect, it } from "vitest";
import { retryAfterMs } from "./guarded-request.ts";

const wait = (retryAfter: string | undefined) =>
  retryAfterMs({
    kind: "answer",
    status: 429,
    headers: retryAfter === undefined ? {} : { "retry-after": retryAfter },
    body: "",
    at: "2026-01-02T03:04:05.000Z",
  });

describe("A Retry-After header", () => {
  it.for([
    ["0", 0],
    ["2", 2000],
    ["60", 60_000],
    ["999999999", 86_400_000],
    ["Fri, 02 Jan 2026 03:04:35 GMT", 30_000],
    ["Fri, 02 Jan 2026 03:00:00 GMT", 0],
    ["Fri, 02 Jan 2099 03:00:00 GMT", 86_400_000],
    ["soon", undefined],
    ["", undefined],
    ["99999999999999999999999", undefined],
    [undefined, undefined],
  ] as const)("of %j is %s milliseconds", ([text, expected]) => {
    expect(wait(text)).toBe(expected);
  });
});
