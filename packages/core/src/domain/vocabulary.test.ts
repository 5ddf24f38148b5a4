import { describe, expect, it } from "vitest";
import {
  categoryOf,
  isOwnerId,
  isRequestId,
  isUuid,
  keyringStream,
  ownerName,
  parseOwnerName,
  secondsAfter,
  secondsBetween,
} from "./vocabulary.ts";

describe("the id of an owner", () => {
  it.for(["a", "0", "team-42", "auth0:x", "a_b.c", "A".repeat(128)])("may be %s", (id) => {
    expect(isOwnerId(id)).toBe(true);
  });

  it.for([
    ["empty", ""],
    ["longer than 128", "a".repeat(129)],
    ["led by a mark", "-a"],
    ["two dots in a row", "a..b"],
    ["an e-mail", "ann@example.org"],
    ["a bar", "auth0|x"],
    ["a slash", "a/b"],
    ["a space", "a b"],
    ["a line end behind it", "a\n"],
    ["letters beyond ASCII", "größe"],
  ] as const)("may not be %s", ([, id]) => {
    expect(isOwnerId(id)).toBe(false);
  });
});

describe("the canonical form of an owner", () => {
  it.for([
    { kind: "user", id: "ann" },
    { kind: "team", id: "a.b.c" },
    { kind: "organization", id: "team.red" },
  ] as const)("reads back as the owner it was made of: $kind.$id", (owner) => {
    expect(parseOwnerName(ownerName(owner))).toStrictEqual(owner);
  });

  it.for([
    "",
    ".",
    "team",
    "teams",
    "userx",
    "organization1",
    "team.",
    ".ann",
    "service.ann",
    "Team.ann",
    "team. ann",
    "team.a..b",
    "team.-a",
  ])("is not %j", (text) => {
    expect(parseOwnerName(text)).toBeUndefined();
  });
});

describe("a stream's category", () => {
  it("is the text before the first dash", () => {
    expect(categoryOf(keyringStream({ kind: "team", id: "a-b" }))).toBe("keyring");
    expect(categoryOf("access-0190-77")).toBe("access");
  });

  it("is the whole name where there is no dash", () => {
    expect(categoryOf("keyring")).toBe("keyring");
  });
});

describe("a UUID", () => {
  it("is lower case and complete", () => {
    expect(isUuid("0190f3a2-7c1e-7b3a-9f00-0123456789ab")).toBe(true);
    expect(isUuid("0190F3A2-7C1E-7B3A-9F00-0123456789AB")).toBe(false);
    expect(isUuid("0190f3a27c1e7b3a9f000123456789ab")).toBe(false);
    expect(isUuid("0190f3a2-7c1e-7b3a-9f00-0123456789ab\n")).toBe(false);
  });
});

describe("a request id", () => {
  it("is 1 to 64 letters, digits, dots, underscores and dashes", () => {
    for (const good of ["a", "A.b_c-9", "x".repeat(64)]) expect(isRequestId(good)).toBe(true);
    for (const bad of ["", "x".repeat(65), "a b", "a:b", "a\n", "ü"]) {
      expect(isRequestId(bad)).toBe(false);
    }
  });
});

describe("instants", () => {
  it("are whole seconds apart, rounded down", () => {
    const start = "2026-01-01T00:00:00.000Z";
    expect(secondsBetween(start, "2026-01-01T00:01:00.999Z")).toBe(60);
    expect(secondsBetween("2026-01-01T00:00:00.001Z", start)).toBe(-1);
  });

  it("keep their form when seconds are added or taken away", () => {
    expect(secondsAfter("2025-12-31T23:59:59.250Z", 1)).toBe("2026-01-01T00:00:00.250Z");
    expect(secondsAfter("2026-01-01T00:00:00.000Z", -900)).toBe("2025-12-31T23:45:00.000Z");
  });
});
