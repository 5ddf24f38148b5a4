import { describe, expect, it } from "vitest";
import { createAcl } from "./acl.ts";
import { parsePolicy } from "./policy.ts";

const aclOf = (...sources: readonly string[]) =>
  createAcl(sources.flatMap((source) => parsePolicy(source)));
const grant = (path: string, ...capabilities: readonly string[]): string =>
  `path "${path}" { capabilities = ${JSON.stringify(capabilities)} }`;

describe("createAcl", () => {
  it("allows nothing that no rule names", () => {
    const acl = aclOf(grant("a/b", "read"));
    expect(acl.allows("read", "a/b", {})).toBe(true);
    expect(acl.allows("update", "a/b", {})).toBe(false);
    expect(acl.allows("read", "a", {})).toBe(false);
    expect(acl.allows("read", "a/b/c", {})).toBe(false);
  });

  it("takes a star at the end for anything, and a plus for one segment", () => {
    const acl = aclOf(grant("a/*", "read"), grant("x/+/z", "read"));
    expect(acl.allows("read", "a/", {})).toBe(true);
    expect(acl.allows("read", "a/b/c", {})).toBe(true);
    expect(acl.allows("read", "a", {})).toBe(false);
    expect(acl.allows("read", "x/y/z", {})).toBe(true);
    expect(acl.allows("read", "x/y/y/z", {})).toBe(false);
    expect(acl.allows("read", "x//z", {})).toBe(true);
  });

  it.for([
    ["a/*", "a/b"],
    ["a/*", "a/b*"],
    ["+/b", "a/*"],
    ["+/+", "+/b"],
    ["a/+/*", "a/b/+"],
    ["a/*", "a/+/c"],
  ] as const)("lets the closer of %s and %s decide alone", ([wider, closer]) => {
    const path = closer.replace("*", "").replaceAll("+", "b").replace(/\/$/, "/c");
    expect(aclOf(grant(wider, "read"), grant(closer, "update")).capabilities(path)).toStrictEqual([
      "update",
    ]);
    expect(aclOf(grant(closer, "update"), grant(wider, "read")).capabilities(path)).toStrictEqual([
      "update",
    ]);
  });

  it("adds up what several policies grant for one path, unless one denies", () => {
    expect(aclOf(grant("a", "read"), grant("a", "update")).capabilities("a")).toStrictEqual([
      "read",
      "update",
    ]);
    const denied = aclOf(grant("a", "read"), grant("a", "deny"));
    expect(denied.capabilities("a")).toStrictEqual(["deny"]);
    expect(denied.allows("read", "a", {})).toBe(false);
  });

  it("lists a folder under a rule without the slash at its end, and reads no such thing", () => {
    const acl = aclOf(grant("a/b", "list", "read"));
    expect(acl.allows("list", "a/b/", {})).toBe(true);
    expect(acl.allows("read", "a/b/", {})).toBe(false);
  });

  it("allows the parameters named and their values, where some are named", () => {
    const acl = aclOf(`path "a" {
      capabilities = ["update", "read"]
      allowed_parameters = { "any" = [], "mode" = ["x"] }
    }`);
    expect(acl.allows("update", "a", {})).toBe(true);
    expect(acl.allows("update", "a", { Any: 7, mode: "x" })).toBe(true);
    expect(acl.allows("update", "a", { mode: "y" })).toBe(false);
    expect(acl.allows("update", "a", { any: 1, other: 1 })).toBe(false);
    expect(acl.allows("read", "a", { version: "1" })).toBe(true);
  });
});
