import { describe, expect, it } from "vitest";
import {
  duration,
  hostPort,
  integer,
  isLoopback,
  oneOf,
  pair,
  path,
  secretFile,
  showHostPort,
  word,
} from "./setting-kinds.ts";

describe("host:port", () => {
  it.for<[string, string, number]>([
    ["127.0.0.1:0", "127.0.0.1", 0],
    ["0.0.0.0:65535", "0.0.0.0", 65535],
    ["[::1]:50051", "::1", 50051],
    ["localhost:8080", "localhost", 8080],
    ["keyledger.internal:443", "keyledger.internal", 443],
  ])("reads %s and shows it again", ([text, host, port]) => {
    expect(hostPort.parse(text)).toStrictEqual({ value: { host, port } });
    expect(showHostPort({ host, port })).toBe(text);
  });

  it.for([
    "8080",
    ":8080",
    "localhost",
    "localhost:",
    "localhost:65536",
    "localhost:-1",
    "localhost:8080/",
    "::1:8080",
    "[::g]:80",
    "[127.0.0.1]:80",
    "256.0.0.1:80",
    "http://localhost:80",
    "local host:80",
    "localhost:8080\n",
  ])("refuses %j", (text) => {
    expect(hostPort.parse(text)).toHaveProperty("problem");
  });
});

describe("loopback", () => {
  it.for(["127.0.0.1", "127.8.0.1", "::1", "localhost"])("is %s", (host) => {
    expect(isLoopback(host)).toBe(true);
  });

  it.for(["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example.com", "127.example.com"])(
    "is not %s",
    (host) => {
      expect(isLoopback(host)).toBe(false);
    },
  );
});

describe("a duration", () => {
  const kind = duration({ min: "1s", max: "90d" });

  it.for<[string, number]>([
    ["1000ms", 1000],
    ["1s", 1000],
    ["5m", 300_000],
    ["2h", 7_200_000],
    ["90d", 7_776_000_000],
  ])("of %s is %i milliseconds", ([text, value]) => {
    expect(kind.parse(text)).toStrictEqual({ value });
  });

  it.for(["90", "d", "1.5h", "-1h", "999ms", "91d", "1w", "1 h", "1toString"])(
    "of %s is refused",
    (text) => {
      expect(kind.parse(text)).toHaveProperty("problem");
    },
  );
});

describe("a whole number", () => {
  const kind = integer({ min: -1, max: 500 });

  it.for([-1, 0, 500])("may be %i", (value) => {
    expect(kind.parse(String(value))).toStrictEqual({ value });
  });

  it.for(["-2", "501", "1.0", "1e2", "0x10", " 1", "", "NaN"])("may not be %j", (text) => {
    expect(kind.parse(text)).toHaveProperty("problem");
  });
});

describe("the other kinds", () => {
  it("take a path as it stands and refuse blanks and control characters", () => {
    expect(path.parse("./with space/ü")).toStrictEqual({ value: "./with space/ü" });
    for (const text of ["", "  ", "a\0b", "a\nb", "x".repeat(4097)]) {
      expect(path.parse(text)).toHaveProperty("problem");
    }
  });

  it("take the path of a secret and refuse what looks like the secret", () => {
    expect(secretFile.parse("/run/secrets/token")).toHaveProperty("value");
    for (const text of ["sk-ant-api03-x", "neo_sk_x", "hvs.CAES", "-----BEGIN KEY-----\nx"]) {
      expect(secretFile.parse(text)).toHaveProperty("problem");
    }
  });

  it("take one of the words they name", () => {
    expect(oneOf("store", "reject").parse("store")).toStrictEqual({ value: "store" });
    expect(oneOf("store", "reject").parse("STORE")).toHaveProperty("problem");
    expect(word("ISSUER").parse("https://issuer.example/")).toHaveProperty("value");
    expect(word("ISSUER").parse("two words")).toHaveProperty("problem");
  });

  it("take a pair with a known name", () => {
    const kind = pair("NAME=CLAIM", { subject: "subject", "team-role": "teamRole" });
    expect(kind.parse("team-role=https://x.example/role")).toStrictEqual({
      value: { name: "teamRole", text: "https://x.example/role" },
    });
    for (const text of ["subject", "subject=", "=sub", "role=x", "constructor=x", "subject=a b"]) {
      expect(kind.parse(text)).toHaveProperty("problem");
    }
  });
});
