import { createHmac, hkdfSync } from "node:crypto";
import { createMac, isOwnerId, type MacRoot } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import fc from "fast-check";
import { describe, expect, it } from "vitest";

const { crypto } = nodeHost();
const rootBytes = Uint8Array.from({ length: 32 }, (_, at) => 255 - at);
const rootOf = (id: string, bytes: Uint8Array = rootBytes): MacRoot => ({
  id,
  key: crypto.importKey(bytes),
});
const mac = createMac(rootOf("r1"), crypto);
const bytes = (text: string) => Buffer.from(text);

function lengthPrefixed(...parts: readonly string[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const length = Buffer.alloc(4);
      length.writeUInt32BE(Buffer.byteLength(part));
      return [length, Buffer.from(part)];
    }),
  );
}

/** HMAC under HKDF of the root, from the published recipe alone. */
const expected = (purpose: string, scope: string, message: Uint8Array): Buffer => {
  const key = hkdfSync("sha256", rootBytes, "", lengthPrefixed(purpose, scope), 32);
  return createHmac("sha256", Buffer.from(key)).update(message).digest();
};

describe("a keyed value", () => {
  it("is the root's id and the HMAC under the key of its purpose and scope", () => {
    fc.assert(
      fc.property(
        fc.constantFrom("fingerprint", "caller-key", "request"),
        fc.string(),
        fc.uint8Array({ maxLength: 64 }),
        fc.integer({ min: 12, max: 32 }),
        (purpose, scope, message, length) => {
          const value = mac.value(purpose, scope, message, length);
          const own = expected(purpose, scope, message).subarray(0, length).toString("base64url");
          expect(value).toBe(`r1:${own}`);
          expect(mac.matches(value, purpose, scope, message)).toBe(true);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("is another one for another purpose, scope, message or root", () => {
    const other = createMac(rootOf("r1", new Uint8Array(32)), crypto);
    const values = [
      mac.value("request", "team.red", bytes("m")),
      mac.value("fingerprint", "team.red", bytes("m")),
      mac.value("request", "team.blue", bytes("m")),
      mac.value("request", "team.red", bytes("n")),
      mac.value("request", "", bytes("m")),
      other.value("request", "team.red", bytes("m")),
    ];
    expect(new Set(values).size).toBe(values.length);
  });

  it("is no other's, though purpose and scope run together the same way", () => {
    expect(mac.value("request", "a\nb", bytes("m"))).not.toBe(
      mac.value("request", "a", bytes("b")),
    );
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        fc.pre(a !== b);
        expect(mac.value("request", a, bytes("m"))).not.toBe(mac.value("request", b, bytes("m")));
      }),
    );
  });

  it("matches nothing but its own purpose, scope and message", () => {
    const value = mac.value("request", "team.red", bytes("m"));
    expect(mac.matches(value, "request", "team.red", bytes("m"))).toBe(true);
    expect(mac.matches(value, "fingerprint", "team.red", bytes("m"))).toBe(false);
    expect(mac.matches(value, "request", "team.blue", bytes("m"))).toBe(false);
    expect(mac.matches(value, "request", "team.red", bytes("n"))).toBe(false);
  });

  it("is compared under the id stored with it: another root's is no match", () => {
    const next = createMac(rootOf("r2"), crypto);
    const value = mac.value("request", "", bytes("m"));
    expect(next.matches(value, "request", "", bytes("m"))).toBe(false);
    expect(next.value("request", "", bytes("m")).slice(3)).toBe(value.slice(3));
  });

  it.for(["", ":", "r1", "r1:", "r1:A", "r1:AAAA", ":x", "r1:x:y"])(
    "is not what the damaged text %j says",
    (stored) => {
      for (const message of ["", "m"]) {
        expect(mac.matches(stored, "request", "", bytes(message))).toBe(false);
      }
    },
  );

  it("cut short matches no more, down to where it would prove nothing", () => {
    const whole = mac.value("request", "", bytes("m"));
    for (let length = 0; length < 12; length++) {
      const stored = `r1:${expected("request", "", bytes("m")).subarray(0, length).toString("base64url")}`;
      expect(mac.matches(stored, "request", "", bytes("m"))).toBe(false);
    }
    expect(mac.matches(`${whole}A`, "request", "", bytes("m"))).toBe(false);
    expect(mac.matches(`${whole}=`, "request", "", bytes("m"))).toBe(false);
    expect(mac.matches(`${whole}:A`, "request", "", bytes("m"))).toBe(false);
  });

  it("stays the same beyond ten thousand scopes", () => {
    const first = mac.value("fingerprint", "team.first", bytes("m"));
    for (let nth = 0; nth < 10_100; nth++) mac.value("fingerprint", `team.${nth}`, bytes("m"), 12);
    expect(mac.value("fingerprint", "team.first", bytes("m"))).toBe(first);
  });
});

describe("a claim as an id", () => {
  it.for(["ann", "team-42", "a.b_c:d", "0", "A".repeat(128)])(
    "is itself where it may be: %s",
    (claim) => {
      expect(mac.opaqueId(claim)).toBe(claim);
    },
  );

  it.for(["ann@example.org", "auth0|x", "", "a b", "a/b", "ü", "A".repeat(129), "a..b", "-a"])(
    "is the base32 of its keyed hash where it may not: %j",
    (claim) => {
      const id = mac.opaqueId(claim);
      expect(id).toMatch(/^h_[a-z2-7]{52}$/);
      expect(isOwnerId(id)).toBe(true);
      const hash = expected("claim", "", bytes(claim));
      let bits = "";
      for (const byte of hash) bits += byte.toString(2).padStart(8, "0");
      const text = bits
        .padEnd(260, "0")
        .match(/.{5}/g)
        ?.map((five) => "abcdefghijklmnopqrstuvwxyz234567".charAt(Number.parseInt(five, 2)))
        .join("");
      expect(id).toBe(`h_${text}`);
    },
  );

  it("is never what another claim is made to look like", () => {
    const hidden = mac.opaqueId("ann@example.org");
    expect(mac.opaqueId(hidden)).not.toBe(hidden);
    expect(mac.opaqueId("h_")).toMatch(/^h_[a-z2-7]{52}$/);
  });

  it("is the same each time, and another for another claim", () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), (a, b) => {
        expect(mac.opaqueId(a)).toBe(mac.opaqueId(a));
        fc.pre(a !== b);
        expect(mac.opaqueId(a)).not.toBe(mac.opaqueId(b));
      }),
    );
  });
});
