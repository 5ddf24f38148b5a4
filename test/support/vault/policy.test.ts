import { describe, expect, it } from "vitest";
import { parsePolicy } from "./policy.ts";

describe("parsePolicy", () => {
  it("reads paths, capabilities, allowed parameters and comments", () => {
    const source = `
      # one
      path "a/b" { capabilities = ["read", "list"] } // two
      path "/c/*" {
        capabilities = ["update",]
        allowed_parameters = {
          "Minimum" = []
          mode = ["x", "y"]
        }
      }`;
    expect(parsePolicy(source)).toStrictEqual([
      { path: "a/b", capabilities: ["read", "list"] },
      {
        path: "c/*",
        capabilities: ["update"],
        allowedParameters: { minimum: [], mode: ["x", "y"] },
      },
    ]);
  });

  it.for([
    ['path "a" { capabilities = ["reed"] }', /invalid capability/],
    ['path "a" { capability = ["read"] }', /unknown key capability/],
    ['path "a" { denied_parameters = {} }', /unknown key denied_parameters/],
    ['path "a/+*" { capabilities = ["read"] }', /forbidden/],
    ['path "a" { capabilities = "read" }', /no list/],
    ['path "a" { capabilities = ["read"]', /the end/],
    ['path "a" capabilities', /\{ expected/],
    ['role "a" {}', /path expected/],
    ['path "a" { capabilities = [read] }', /a string expected/],
    ["path 'a' {}", /not understood/],
  ] as const)("refuses %s", ([source, words]) => {
    expect(() => parsePolicy(source)).toThrow(words);
  });
});
