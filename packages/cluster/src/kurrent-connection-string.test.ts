import { describe, expect, it } from "vitest";
import { parseKurrentConnectionString } from "./kurrent-connection-string.ts";

const DEFAULTS = "discoveryInterval=50&maxDiscoverAttempts=20";

describe("A KurrentDB connection string", () => {
  it.for([
    ["a single node", "kurrentdb://node1:2113", `kurrentdb://node1:2113?${DEFAULTS}`],
    ["the usual port", "kdb://node1", `kdb://node1?${DEFAULTS}`],
    ["a list", "kurrent://a:1,b:2,c:3", `kurrent://a:1,b:2,c:3?${DEFAULTS}`],
    ["discovery", "kurrentdb+discover://db.local", `kurrentdb+discover://db.local?${DEFAULTS}`],
    ["a slash", "kurrentdb://a:1/?tls=true", `kurrentdb://a:1?tls=true&${DEFAULTS}`],
    [
      "an authority, by any writing of its setting",
      "kurrentdb://a:1?TLS_ca-file=%2Fetc%2Fca.pem",
      `kurrentdb://a:1?tlsCAFile=%2Fetc%2Fca.pem&${DEFAULTS}`,
    ],
    [
      "discovery times of its own",
      "kurrentdb://a:1?maxDiscoverAttempts=5&discoveryInterval=10",
      "kurrentdb://a:1?maxDiscoverAttempts=5&discoveryInterval=10",
    ],
  ])("takes %s", ([, text, expected]) => {
    expect(parseKurrentConnectionString(text ?? "").connectionString).toBe(expected);
  });

  it("gives credentials decoded, and to the client as they are", () => {
    const { connectionString, credentials } = parseKurrentConnectionString(
      "kurrentdb://keeper:p%40ss%2Fw%3Ard@a:1?tls=true",
    );
    expect(credentials).toStrictEqual({ username: "keeper", password: "p@ss/w:rd" });
    expect(connectionString).toBe(`kurrentdb://keeper:p%40ss%2Fw%3Ard@a:1?tls=true&${DEFAULTS}`);
  });

  it("takes tls=false only where insecure is asked for, and never with credentials", () => {
    const plain = "kurrentdb://a:1?tls=false";
    expect(() => parseKurrentConnectionString(plain)).toThrow(RangeError);
    expect(parseKurrentConnectionString(plain, { insecure: true }).credentials).toBeUndefined();
    const open = "kurrentdb://admin:changeit@a:1?tls=false";
    expect(() => parseKurrentConnectionString(open, { insecure: true })).toThrow(
      "has credentials together with tls=false",
    );
    expect(() => parseKurrentConnectionString(open)).toThrow(RangeError);
  });

  it.for([
    "",
    "http://a:1",
    "esdb://a:1",
    "kurrentdb:/a:1",
    "kurrentdb://",
    "kurrentdb://a:0",
    "kurrentdb://a:65536",
    "kurrentdb://a:1,",
    "kurrentdb://[::1]:2113",
    "kurrentdb+discover://a,b",
    "kurrentdb://haddock@a:1",
    "kurrentdb://:haddock@a:1",
    "kurrentdb://user:had:dock@a:1",
    "kurrentdb://user:haddock%@a:1",
    "kurrentdb://user:had/dock@a:1",
    "kurrentdb://user:had?dock@a:1",
    "kurrentdb://a:1?haddock=1",
    "kurrentdb://a:1?haddock",
    "kurrentdb://a:1?tls=haddock",
    "kurrentdb://a:1?tls=true&TLS=true",
    "kurrentdb://a:1?tlsVerifyCert=false",
    "kurrentdb://a:1?throwOnAppendFailure=false",
    "kurrentdb://a:1?gossipTimeout=5",
    "kurrentdb://a:1?keepAliveTimeout=5000",
    "kurrentdb://a:1?keepAliveInterval=500",
    "kurrentdb://a:1?maxDiscoverAttempts=1",
    "kurrentdb://a:1?discoveryInterval=0",
    "kurrentdb://a:1?nodePreference=follower",
  ])("is refused without a word of what it holds: %s", (text) => {
    let message = "";
    try {
      parseKurrentConnectionString(text, { insecure: true });
    } catch (error) {
      expect(error).toBeInstanceOf(RangeError);
      message = String(error);
    }
    expect(message).toMatch(/^RangeError: the KurrentDB connection string (has|is) /);
    expect(message).not.toMatch(/haddock|dock/);
  });
});
