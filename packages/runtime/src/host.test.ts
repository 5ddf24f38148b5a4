import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nodeHost } from "./host.ts";

const { clock, crypto, pause, random } = nodeHost();
const fromHex = (text: string) => new Uint8Array(Buffer.from(text, "hex"));
const utf8 = (text: string) => crypto.utf8Encode(text);

describe("the host's crypto", () => {
  // FIPS 180-2 appendix A and B, and the check value of CRC-32/ISO-HDLC.
  it("hashes as the standards' examples do", () => {
    expect(crypto.hex(crypto.sha256(utf8("abc")))).toBe(
      "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    );
    expect(crypto.hex(crypto.sha1(utf8("abc")))).toBe("a9993e364706816aba3e25717850c26c9cd0d89d");
    expect(crypto.crc32(utf8("123456789"))).toBe(0xcbf43926);
  });

  it("authenticates as test case 2 of RFC 4231 does", () => {
    const key = crypto.importKey(utf8("Jefe"));
    expect(crypto.hex(crypto.hmac(key, utf8("what do ya want for nothing?")))).toBe(
      "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    );
  });

  it("derives a key as test case 3 of RFC 5869 does", () => {
    const root = crypto.importKey(new Uint8Array(22).fill(0x0b));
    const expected = crypto.importKey(
      fromHex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
    );
    const message = utf8("the derived key cannot be read, only used");
    expect(crypto.hmac(crypto.deriveKey(root, new Uint8Array(0)), message)).toStrictEqual(
      crypto.hmac(expected, message),
    );
  });

  // Test case 16 of "The Galois/Counter Mode of Operation" (McGrew and Viega).
  const known = {
    key: "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
    iv: "cafebabefacedbaddecaf888",
    associated: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
    plaintext:
      "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
    ciphertext:
      "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
    tag: "76fc6ece0f4e1768cddf8853bb2d551b",
  };

  it("opens what another implementation sealed", () => {
    const sealed = {
      iv: fromHex(known.iv),
      ciphertext: fromHex(known.ciphertext),
      tag: fromHex(known.tag),
    };
    const key = crypto.importKey(fromHex(known.key));
    expect(crypto.open(key, sealed, fromHex(known.associated))).toStrictEqual(
      fromHex(known.plaintext),
    );
  });

  const key = crypto.importKey(random.bytes(32));
  const associated = utf8("owner, key, version");

  it("opens what it sealed itself, byte for byte", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.uint8Array(), (plaintext, context) => {
        expect(crypto.open(key, crypto.seal(key, plaintext, context), context)).toStrictEqual(
          plaintext,
        );
      }),
    );
  });

  it("never seals under the same iv", () => {
    const ivs = Array.from({ length: 1000 }, () =>
      crypto.hex(crypto.seal(key, associated, associated).iv),
    );
    expect(new Set(ivs).size).toBe(1000);
  });

  it("opens nothing when any single bit is flipped", () => {
    const plaintext = utf8("material");
    const sealed = crypto.seal(key, plaintext, associated);
    const flipped = (bytes: Uint8Array, bit: number) =>
      bytes.map((byte, index) => (index === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
    for (const part of ["iv", "ciphertext", "tag"] as const) {
      for (let bit = 0; bit < sealed[part].byteLength * 8; bit++) {
        const forged = { ...sealed, [part]: flipped(sealed[part], bit) };
        expect(crypto.open(key, forged, associated)).toBeUndefined();
      }
    }
    for (let bit = 0; bit < associated.byteLength * 8; bit++) {
      expect(crypto.open(key, sealed, flipped(associated, bit))).toBeUndefined();
    }
    expect(crypto.open(key, sealed, associated)).toStrictEqual(plaintext);
  });

  it("opens nothing under a shortened tag or an iv of another length", () => {
    const sealed = crypto.seal(key, utf8("material"), associated);
    for (let length = 0; length < 16; length++) {
      const forged = { ...sealed, tag: sealed.tag.slice(0, length) };
      expect(crypto.open(key, forged, associated)).toBeUndefined();
    }
    for (const length of [0, 1, 11, 13, 16]) {
      const forged = { ...sealed, iv: new Uint8Array(length) };
      expect(crypto.open(key, forged, associated)).toBeUndefined();
    }
  });

  it("opens nothing under another key", () => {
    const sealed = crypto.seal(key, utf8("material"), associated);
    const other = crypto.importKey(random.bytes(32));
    expect(crypto.open(other, sealed, associated)).toBeUndefined();
  });

  it("keeps an imported key when the caller wipes the bytes", () => {
    const raw = random.bytes(32);
    const before = crypto.importKey(raw);
    const mac = crypto.hmac(before, associated);
    raw.fill(0);
    expect(crypto.hmac(before, associated)).toStrictEqual(mac);
  });

  it("compares by content and refuses other lengths", () => {
    expect(crypto.equal(utf8("same"), utf8("same"))).toBe(true);
    expect(crypto.equal(utf8("same"), utf8("sane"))).toBe(false);
    expect(crypto.equal(utf8("same"), utf8("sames"))).toBe(false);
    expect(crypto.equal(new Uint8Array(0), new Uint8Array(0))).toBe(true);
  });

  it("writes bytes as text and reads text as bytes", () => {
    expect(crypto.hex(new Uint8Array([0, 255, 16]))).toBe("00ff10");
    expect(crypto.base64url(new Uint8Array([251, 255, 254]))).toBe("-__-");
    expect(crypto.utf8Decode(utf8("ключ 🔑"))).toBe("ключ 🔑");
  });

  it("looks only at the part of a buffer it is given", () => {
    const part = utf8("xxabcxx").subarray(2, 5);
    expect(crypto.sha256(part)).toStrictEqual(crypto.sha256(utf8("abc")));
    expect(crypto.hex(part)).toBe("616263");
    expect(crypto.utf8Decode(part)).toBe("abc");
  });

  it("answers bytes whose slice is a copy", () => {
    const { iv, ciphertext, tag } = crypto.seal(key, associated, associated);
    const opened = crypto.open(key, { iv, ciphertext, tag }, associated) ?? new Uint8Array(0);
    const mac = crypto.hmac(key, associated);
    for (const bytes of [iv, ciphertext, tag, opened, mac, crypto.sha256(mac), random.bytes(16)]) {
      const copy = bytes.slice();
      bytes.fill(0);
      expect(copy.some((byte) => byte !== 0)).toBe(true);
    }
  });
});

describe("the host's randomness", () => {
  it("gives UUIDs of version 7 that carry the time", () => {
    const beforeMs = Date.now();
    const uuid = random.uuid();
    expect(uuid).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    const timeMs = Number.parseInt(uuid.replaceAll("-", "").slice(0, 12), 16);
    expect(timeMs).toBeGreaterThanOrEqual(beforeMs);
    expect(timeMs).toBeLessThanOrEqual(Date.now());
  });

  it("repeats neither UUIDs nor bytes", () => {
    const drawn = Array.from({ length: 1000 }, () => [random.uuid(), crypto.hex(random.bytes(16))]);
    expect(new Set(drawn.flat()).size).toBe(2000);
  });

  it("gives as many bytes as asked for, and fractions below 1", () => {
    for (const length of [0, 1, 32, 70_000]) expect(random.bytes(length)).toHaveLength(length);
    for (let draw = 0; draw < 1000; draw++) {
      const fraction = random.fraction();
      expect(fraction >= 0 && fraction < 1).toBe(true);
    }
  });
});

describe("the host's time", () => {
  it("is UTC with milliseconds", () => {
    expect(clock.now()).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  });

  it("passes by at least the pause", async () => {
    const startMs = clock.monotonicMs();
    await pause(20);
    // A timer may fire up to a millisecond early.
    expect(clock.monotonicMs() - startMs).toBeGreaterThanOrEqual(19);
  });

  it("does not pass for a pause whose signal has aborted", async () => {
    await expect(pause(3_600_000, AbortSignal.abort())).resolves.toBeUndefined();
  });

  it("ends a pause when its signal aborts, and leaves neither listener nor timer", async () => {
    const listeners = new Set<() => void>();
    const signal = {
      aborted: false,
      addEventListener: (_: "abort", listener: () => void) => void listeners.add(listener),
      removeEventListener: (_: "abort", listener: () => void) => void listeners.delete(listener),
    };
    const timers = () => process.getActiveResourcesInfo().filter((name) => name === "Timeout");
    const before = timers().length;
    const paused = pause(3_600_000, signal);
    expect(timers()).toHaveLength(before + 1);
    for (const abort of listeners) abort();
    expect(timers()).toHaveLength(before);
    await paused;
    expect(listeners.size).toBe(0);
  });

  it("pauses for longer than a timer of Node can hold", async () => {
    const cancel = new AbortController();
    let isOver = false;
    const paused = pause(30 * 86_400_000, cancel.signal).then(() => {
      isOver = true;
    });
    await pause(20);
    expect(isOver).toBe(false);
    cancel.abort();
    await paused;
  });
});
