import { generateKeyPairSync } from "node:crypto";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { type JwksOptions, openJwks } from "./jwks.ts";
import { KeySetUnreadable } from "./jwks-source.ts";

const newJwk = (kid: string) => ({
  ...generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" }),
  kid,
});
const setOf = (...kids: string[]) => JSON.stringify({ keys: kids.map(newJwk) });

/** Opens with the real clock; what it reports is kept. */
async function open(source: JwksOptions["source"], host: JwksOptions["host"] = nodeHost()) {
  const problems: string[] = [];
  const jwks = await openJwks({ source, host, onProblem: (problem) => problems.push(problem) });
  return {
    problems,
    /** `ok`, or why there is no such key. */
    async find(kid: string | undefined) {
      const found = await jwks.keyFor({ alg: "EdDSA", kid });
      return typeof found === "string" ? found : "ok";
    },
    [Symbol.asyncDispose]: () => jwks[Symbol.asyncDispose](),
  };
}

async function serve(listener: RequestListener) {
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    listener(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("no TCP server");
  return {
    url: new URL(`http://127.0.0.1:${address.port}/keys`),
    requests: () => requests,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function newDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "keyledger-jwks-"));
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

describe("A key set from a URL", () => {
  it("is read before anybody asks for a key", async () => {
    await using server = await serve((_request, response) => response.end(setOf("a", "b")));
    await using keys = await open({ kind: "url", url: server.url });
    expect(server.requests()).toBe(1);
    expect(await Promise.all(["a", "b"].map(keys.find))).toStrictEqual(["ok", "ok"]);
    expect(keys.problems).toStrictEqual([]);
  });

  it.for([
    "http://issuer.example/keys",
    "http://10.0.0.1/keys",
    "http://127.0.0.1.example/keys",
    "ftp://127.0.0.1/keys",
    "file:///etc/passwd",
    "data:application/json,{}",
  ])("is refused at %s", async (url) => {
    await expect(open({ kind: "url", url: new URL(url) })).rejects.toThrow(
      new KeySetUnreadable("needs https, or http to this machine"),
    );
  });

  const answers: readonly (readonly [string, RequestListener, string])[] = [
    [
      "an error",
      (_, response) => response.writeHead(503).end(setOf("a")),
      "was answered with HTTP 503",
    ],
    ["no content", (_, response) => response.writeHead(204).end(), "was answered with HTTP 204"],
    [
      "another success",
      (_, response) => response.writeHead(203).end(setOf("a")),
      "was answered with HTTP 203",
    ],
    ["nothing that is JSON", (_, response) => response.end("<html>secret</html>"), "is not JSON"],
    [
      "half a body",
      (_, response) =>
        response.writeHead(200, { "content-length": 99 }).write("{", () => response.destroy()),
      "cannot be read (ECONNRESET)",
    ],
    [
      "no list",
      (_, response) => response.end('{"keys":{}}'),
      'is no JSON object with a list "keys"',
    ],
    [
      "a list of texts",
      (_, response) => response.end('{"keys":["a"]}'),
      'is no JSON object with a list "keys"',
    ],
    ["null", (_, response) => response.end("null"), 'is no JSON object with a list "keys"'],
    [
      "51 keys",
      (_, response) =>
        response.end(JSON.stringify({ keys: Array.from({ length: 51 }, () => ({})) })),
      "has 51 keys, the most is 50",
    ],
    [
      "256 KiB and a byte",
      (_, response) => response.end(setOf("a").padEnd(256 * 1024 + 1)),
      "is too large, the most is 262144 bytes",
    ],
    [
      "no end",
      (_, response) => {
        const more = () => response.writable && response.write(Buffer.alloc(64 * 1024, " "), more);
        more();
      },
      "is too large, the most is 262144 bytes",
    ],
    [
      "compression",
      (_, response) => response.setHeader("content-encoding", "gzip").end("x"),
      "came compressed, which was not asked for",
    ],
    [
      "headers beyond bounds",
      (_, response) => response.setHeader("x-long", "x".repeat(20_000)).end(setOf("a")),
      "cannot be read (HPE_HEADER_OVERFLOW)",
    ],
    ["no answer", (request) => request.socket.destroy(), "cannot be read (ECONNRESET)"],
  ];
  it.for(answers)("is not had from %s", async ([, answer, problem]) => {
    await using server = await serve(answer);
    await using keys = await open({ kind: "url", url: server.url });
    expect(keys.problems).toStrictEqual([
      `the key set ${problem}; no keys are held and every token is refused`,
    ]);
    expect(await keys.find("a")).toBe("no-keys");
  });

  it("is taken with 256 KiB and 50 keys", async () => {
    const kids = Array.from({ length: 50 }, (_, index) => `${index}`);
    const body = setOf(...kids).padEnd(256 * 1024);
    await using server = await serve((_request, response) => response.end(body));
    await using keys = await open({ kind: "url", url: server.url });
    expect(new Set(await Promise.all(kids.map(keys.find)))).toStrictEqual(new Set(["ok"]));
  });

  it.for([301, 302, 303, 307, 308])("does not follow a redirect with %d", async (status) => {
    await using elsewhere = await serve((_request, response) => response.end(setOf("a")));
    await using server = await serve((_request, response) =>
      response.writeHead(status, { location: elsewhere.url.href }).end(),
    );
    await using keys = await open({ kind: "url", url: server.url });
    expect(await keys.find("a")).toBe("no-keys");
    expect(elsewhere.requests()).toBe(0);
  });

  it("is not waited for longer than 5 seconds", async () => {
    await using server = await serve(() => {});
    const real = nodeHost();
    const asked: number[] = [];
    await using keys = await open(
      { kind: "url", url: server.url },
      {
        clock: real.clock,
        pause: async (ms, signal) => {
          asked.push(ms);
          // The five seconds are over at once; what lasts longer is left to the clock.
          if (ms > 5_000) await real.pause(ms, signal);
        },
      },
    );
    expect(asked[0]).toBe(5_000);
    expect(keys.problems).toStrictEqual([
      "the key set did not come within 5 s; no keys are held and every token is refused",
    ]);
  });

  it("is given up at once when the process ends", async () => {
    const open = new Set<unknown>();
    await using server = await serve(({ socket }) => {
      open.add(socket);
      socket.once("close", () => open.delete(socket));
    });
    const ended = new AbortController();
    const problems: string[] = [];
    const opening = openJwks({
      source: { kind: "url", url: server.url },
      host: nodeHost(),
      onProblem: (problem) => problems.push(problem),
      signal: ended.signal,
    });
    await expect.poll(() => open.size).toBe(1);
    ended.abort();
    await (await opening)[Symbol.asyncDispose]();
    await expect.poll(() => open.size).toBe(0);
    expect(problems).toStrictEqual([]);
  });

  it("is asked for no more once it is closed", async () => {
    await using server = await serve((_request, response) => response.end(setOf("a")));
    const keys = await open({ kind: "url", url: server.url });
    await keys[Symbol.asyncDispose]();
    expect(await keys.find("b")).toBe("unknown-key");
    expect(server.requests()).toBe(1);
  });
});

describe("A key set from a file", () => {
  it("is read, and again for a key that it did not have", async () => {
    using temporary = newDirectory();
    const path = join(temporary.directory, "keys.json");
    writeFileSync(path, setOf("a"));
    await using keys = await open({ kind: "file", path });
    expect(await keys.find("a")).toBe("ok");
    writeFileSync(path, setOf("a", "b"));
    expect(await keys.find("b")).toBe("ok");
    writeFileSync(path, setOf("c"));
    expect(await keys.find("c")).toBe("unknown-key");
  });

  it("is kept when the file is spoilt", async () => {
    using temporary = newDirectory();
    const path = join(temporary.directory, "keys.json");
    writeFileSync(path, setOf("a"));
    await using keys = await open({ kind: "file", path });
    writeFileSync(path, "{");
    expect(await keys.find("b")).toBe("unknown-key");
    expect(await keys.find("a")).toBe("ok");
    expect(keys.problems).toStrictEqual([
      "the key set is not JSON; those of 0 min ago stay in use until they are 60 min old",
    ]);
  });

  it.for([
    ["there is none", (path: string) => path, "cannot be read (ENOENT)"],
    ["it is a directory", (path: string) => symlinkSync(tmpdir(), path), "is no regular file"],
    ["it is a device", (path: string) => symlinkSync("/dev/zero", path), "is no regular file"],
    ["it is no JSON", (path: string) => writeFileSync(path, "-----BEGIN"), "is not JSON"],
    [
      "it is too large",
      (path: string) => writeFileSync(path, setOf("a").padEnd(256 * 1024 + 1)),
      "is too large, the most is 262144 bytes",
    ],
  ] as const)("refuses to start when %s", async ([, make, problem]) => {
    using temporary = newDirectory();
    const path = join(temporary.directory, "keys.json");
    make(path);
    await expect(open({ kind: "file", path })).rejects.toThrow(new KeySetUnreadable(problem));
  });
});

describe("A published key", () => {
  const findIn = async (keys: readonly object[], kid: string | undefined) => {
    using temporary = newDirectory();
    const path = join(temporary.directory, "keys.json");
    writeFileSync(path, JSON.stringify({ keys }));
    await using held = await open({ kind: "file", path });
    const found = await held.find(kid);
    return { found, problems: held.problems.slice(0, 1) };
  };
  const ok = { found: "ok", problems: [] };

  it.for([
    ["without alg and use", {}],
    ["for signatures", { use: "sig", alg: "EdDSA" }],
    ["that may verify", { key_ops: ["verify"] }],
    ["that may sign too, says its issuer", { key_ops: ["sign", "verify"] }],
    ["with members nobody knows", { x5t: "AAAA", x5c: ["AAAA"], ext: "yes", more: {} }],
  ] as const)("is used %s", async ([, more]) => {
    expect(await findIn([{ ...newJwk("a"), ...more }], "a")).toStrictEqual(ok);
  });

  it.for([
    ["for encryption", { use: "enc" }],
    ["for another algorithm", { alg: "ES256" }],
    ["for something else", { key_ops: ["deriveBits"] }],
    ["with operations that are no list", { key_ops: "verify" }],
    ["of another curve", { crv: "X25519" }],
    ["of another kind", { kty: "EC" }],
    ["without its point", { x: undefined }],
    ["with a point that is none", { x: "AAAA" }],
    ["with a point of another type", { x: 1 }],
    ["with a kid that is no text", { kid: 1 }],
  ] as const)("is passed over %s", async ([, more]) => {
    const keys = [{ ...newJwk("a"), ...more }, newJwk("b")];
    expect(await findIn(keys, "a")).toStrictEqual({ found: "unknown-key", problems: [] });
    expect(await findIn(keys, "b")).toStrictEqual(ok);
    expect(await findIn(keys, undefined)).toStrictEqual(ok);
  });

  it.for([
    ["private", generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" })],
    ["symmetric", { kty: "oct", k: "AAAA" }],
  ] as const)("is passed over, and reported, when it is %s", async ([, key]) => {
    const found = await findIn([{ ...key, kid: "a" }, newJwk("b")], "a");
    const problem = "the key set publishes a private or symmetric key, which is ignored";
    expect(found).toStrictEqual({ found: "unknown-key", problems: [problem] });
  });

  it("is needed: a set without one is taken at its word, and reported", async () => {
    const problem = "the key set has no key that can verify a token";
    expect(await findIn([], "a")).toStrictEqual({ found: "unknown-key", problems: [problem] });
  });

  it("is found without a kid only where it is alone", async () => {
    expect(await findIn([newJwk("a")], undefined)).toStrictEqual(ok);
    const both = await findIn([newJwk("a"), newJwk("b")], undefined);
    expect(both.found).toBe("ambiguous-key");
  });

  it("is not told from another of the same kid and algorithm", async () => {
    expect((await findIn([newJwk("a"), newJwk("a")], "a")).found).toBe("ambiguous-key");
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const otherKind = { ...publicKey.export({ format: "jwk" }), kid: "a" };
    expect((await findIn([newJwk("a"), otherKind], "a")).found).toBe("ok");
  });
});
