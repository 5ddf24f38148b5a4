import { describe, expect, it } from "vitest";
import { parseInstant } from "./instant.ts";

describe("An instant of somebody else's", () => {
  it.for([
    ["2027-12-31T23:59:59Z", "2027-12-31T23:59:59.000Z"],
    ["2027-12-31t23:59:59.5z", "2027-12-31T23:59:59.500Z"],
    ["2027-12-31T23:59:59.123456Z", "2027-12-31T23:59:59.123Z"],
    ["2028-01-01T01:00:00+02:00", "2027-12-31T23:00:00.000Z"],
  ] as const)("%s is %s", ([text, instant]) => {
    expect(parseInstant(text)).toBe(instant);
  });

  it.for([
    "",
    "tomorrow",
    "2027",
    "2027-12-31",
    "2027-13-01T00:00:00Z",
    "9999-12-31T23:59:59-01:00",
    "12027-12-31T23:59:59Z",
    "2027-12-31T23:59:59",
    1830297599,
    null,
    undefined,
    {},
  ])("%j is none", (value) => {
    expect(parseInstant(value)).toBeUndefined();
  });
});
