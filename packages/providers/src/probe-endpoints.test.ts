import { describe, expect, it } from "vitest";
import { parseProbeEndpoints } from "./probe-endpoints.ts";

const problemsOf = (text: string, insecureDev = false) =>
  parseProbeEndpoints([text], { insecureDev }).problems;

describe("Probe endpoints", () => {
  it("are read by provider, without a slash at the end", () => {
    expect(
      parseProbeEndpoints(
        ["openai=https://eu.example.com", "anthropic=https://egress.example.com:8443/a//"],
        { insecureDev: false },
      ),
    ).toStrictEqual({
      endpoints: new Map([
        ["openai", "https://eu.example.com"],
        ["anthropic", "https://egress.example.com:8443/a"],
      ]),
      problems: [],
    });
  });

  it.for([
    "http://127.0.0.1:8081/openai",
    "http://localhost:8081",
    "http://[::1]:8081",
    "https://127.0.0.1",
    "https://localhost:1",
  ])("may lead to this machine only when insecure: %s", (url) => {
    expect(problemsOf(`openai=${url}`)).toHaveLength(1);
    expect(problemsOf(`openai=${url}`, true)).toStrictEqual([]);
  });

  it.for([
    ["openai", "is not of the form <provider>[/<role>]=URL"],
    ["=https://example.com", "is not of the form <provider>[/<role>]=URL"],
    ["acme=https://example.com", "names an unknown provider"],
    ["mistral=https://example.com", "names mistral, which has no probe"],
    ["openai/token=https://example.com", "names an unknown role of openai"],
    ["openai/=https://example.com", "names an unknown role of openai"],
    ["openai=", "has no valid https URL"],
    ["openai=example.com", "has no valid https URL"],
    ["openai=ftp://example.com", "has no valid https URL"],
    ["openai=file:///etc/passwd", "has no valid https URL"],
    ["openai=https://user@example.com", "must not hold a user name or password"],
    ["openai=https://:pass@example.com", "must not hold a user name or password"],
    ["openai=https://example.com?key=x", "must not hold a query or fragment"],
    ["openai=https://example.com#x", "must not hold a query or fragment"],
  ] as const)("%s: %s", ([text, problem]) => {
    expect(problemsOf(text, true)).toStrictEqual([`probe endpoint 1 ${problem}`]);
  });

  it.for([
    "http://example.com",
    "http://10.0.0.1",
    "http://127.0.0.1.example.com",
    "http://0.0.0.0",
  ])("use plain http to nowhere but this machine: %s", (url) => {
    expect(problemsOf(`openai=${url}`, true)).toStrictEqual([
      "probe endpoint 1 may use plain http only with --insecure-dev and an address of this machine",
    ]);
  });

  it("tell every problem at once, by place and without a value", () => {
    const { problems } = parseProbeEndpoints(
      [
        "openai=https://u:canary@example.com",
        "openai=https://a.example",
        "openai=https://b.example",
        "canary=x",
      ],
      { insecureDev: false },
    );
    expect(problems).toStrictEqual([
      "probe endpoint 1 must not hold a user name or password",
      "probe endpoint 3 names an endpoint that was named before",
      "probe endpoint 4 names an unknown provider",
    ]);
  });
});
