import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import { AuditService, Feed, KeyringService } from "@keyledger/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { callHttp1, callHttp2, envelope, reasonIn, type WireAnswer } from "../support/wire-call.ts";

const KIB = 1024;
const MIB = 1024 * KIB;
const REQUEST_BYTES_MAX = 256 * KIB;
const LIST_KEYS = `/${KeyringService.typeName}/ListKeys`;

/** Far above what any of these takes on a busy machine, and far below what it would take without a limit. */
const QUICK_MS = 2_000;
const GROWTH_MAX = 64 * MIB;

/** 204 KB that inflate to 200 MiB: as many members as that, a MiB each. */
const BOMB = Buffer.concat(Array(200).fill(gzipSync(Buffer.alloc(MIB), { level: 9 })));

/** Field 1000, which no message has: a number over and over. */
const unknownFields = (bytes: number): Buffer => {
  const field = Buffer.from([0xc0, 0x3e, 0x01]);
  const count = Math.floor(bytes / field.length) - 1;
  // The last one makes it come out even: leading zeros are allowed in a number.
  const width = bytes - count * field.length - 2;
  const last = Buffer.from([0xc0, 0x3e, ...Array(width - 1).fill(0x81), 0x01]);
  return Buffer.concat([...Array(count).fill(field), last]);
};

describe("limits", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let keyledger: KeyledgerProcess;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    keyledger = await startKeyledger(directory.path);
  });
  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  type Raw = (
    message: Uint8Array,
    headers?: Readonly<Record<string, string>>,
    flags?: number,
  ) => Promise<WireAnswer>;
  const credential = () => ({ authorization: `Bearer ${keyledger.keys.team_key}` });

  /** ListKeys with bytes as they are, over each protocol that takes binary messages. */
  const raw: Readonly<Record<string, Raw>> = {
    Connect: (body, headers) =>
      callHttp1(keyledger.http, {
        path: LIST_KEYS,
        headers: { "content-type": "application/proto", ...credential(), ...headers },
        body,
      }),
    "gRPC-Web": (message, headers, flags) =>
      callHttp1(keyledger.http, {
        path: LIST_KEYS,
        headers: { "content-type": "application/grpc-web+proto", ...credential(), ...headers },
        body: envelope(message, flags),
      }),
    gRPC: (message, headers, flags) =>
      callHttp2(keyledger.grpc, {
        path: LIST_KEYS,
        headers: { ...credential(), ...headers },
        body: envelope(message, flags),
      }),
  };

  /** Runs it, and fails where it took long or made the process grow. */
  async function bounded<T>(what: string, run: () => Promise<T>): Promise<T> {
    const before = peakBytes(keyledger.pid);
    const startedMs = performance.now();
    const result = await run();
    expect.soft(performance.now() - startedMs, `${what}: ms`).toBeLessThan(QUICK_MS);
    expect.soft(peakBytes(keyledger.pid) - before, `${what}: bytes`).toBeLessThan(GROWTH_MAX);
    return result;
  }

  it("take a message of 256 KiB, and none that is a byte larger", async () => {
    for (const [name, ask] of Object.entries(raw)) {
      const taken = await bounded(name, () => ask(unknownFields(REQUEST_BYTES_MAX)));
      expect.soft(reasonIn(taken), name).toBe("HTTP 200");
      const refused = await bounded(name, () => ask(unknownFields(REQUEST_BYTES_MAX + 1)));
      expect.soft(reasonIn(refused), name).toBe("ResourceExhausted TOO_LARGE");
    }
  });

  it("hold against JSON of one pair of brackets in the other", async () => {
    const pairs = REQUEST_BYTES_MAX / 2;
    for (const [open, close] of [
      ["[", "]"],
      ['{"owner":', "}"],
    ] as const) {
      const depth = Math.floor(pairs / ((open.length + close.length) / 2)) - 1;
      const answer = await bounded(open, () =>
        callHttp1(keyledger.http, {
          path: LIST_KEYS,
          headers: { "content-type": "application/json", ...credential() },
          body: `${open.repeat(depth)}{}${close.repeat(depth)}`,
        }),
      );
      expect(reasonIn(answer)).toBe("InvalidArgument MALFORMED_REQUEST");
    }
  });

  it("leave a connection fit for the next call", async () => {
    for (const ask of [raw.Connect, raw["gRPC-Web"]]) {
      for (const bytes of [300 * KIB, 8 * MIB]) {
        const refused = await ask?.(Buffer.alloc(bytes, 0xff));
        expect(refused && reasonIn(refused)).toBe("ResourceExhausted TOO_LARGE");
        // Node's agent keeps the connection, and takes it again.
        const next = await bounded("the next call", async () => ask?.(Buffer.alloc(0)));
        expect(next && reasonIn(next)).toBe("HTTP 200");
      }
    }
  });

  it("hold against a message of 204 KB that inflates to 200 MiB", async () => {
    expect(BOMB.length).toBeLessThan(REQUEST_BYTES_MAX);
    const answers = {
      gRPC: () => raw.gRPC?.(BOMB, { "grpc-encoding": "gzip" }, 1),
      "gRPC-Web": () => raw["gRPC-Web"]?.(BOMB, { "grpc-encoding": "gzip" }, 1),
      Connect: () => raw.Connect?.(BOMB, { "content-encoding": "gzip" }),
    };
    const reasons: Record<string, string> = {};
    for (const [name, ask] of Object.entries(answers)) {
      const answer = await bounded(name, async () => ask());
      reasons[name] = answer ? reasonIn(answer) : "";
    }
    // Nothing compressed is taken over HTTP at all.
    expect(reasons).toStrictEqual({
      gRPC: "ResourceExhausted TOO_LARGE",
      "gRPC-Web": "Unimplemented UNIMPLEMENTED",
      Connect: "Unimplemented UNIMPLEMENTED",
    });
  });

  describe("of answers", () => {
    const KEYS = 15;
    /** As long as a list may be: 100 values of 255 characters, of three bytes each. */
    const full = { values: Array(100).fill("界".repeat(255)) };

    const transports = (): readonly (readonly [string, Transport])[] => {
      const edge = { baseUrl: `http://${keyledger.http}`, httpVersion: "1.1" as const };
      // What clients of gRPC take without being asked to.
      const readMaxBytes = 4 * MIB;
      return [
        ["Connect with JSON", createConnectTransport({ ...edge, readMaxBytes })],
        [
          "Connect with binary",
          createConnectTransport({ ...edge, readMaxBytes, useBinaryFormat: true }),
        ],
        ["gRPC-Web", createGrpcWebTransport({ ...edge, readMaxBytes })],
        ["gRPC", createGrpcTransport({ baseUrl: `http://${keyledger.grpc}`, readMaxBytes })],
      ];
    };

    beforeAll(async () => {
      const [, [, transport] = []] = transports();
      if (!transport) throw new Error("no transport");
      const keyring = createClient(KeyringService, transport);
      for (let index = 0; index < KEYS; index++) {
        await keyring.createKey(
          {
            provider: "mistral",
            secret: Buffer.from(`mistral-key-${index}-0123456789abcdef`),
            allowedModels: full,
            allowedUsers: full,
            allowedCallerKeys: full,
          },
          { headers: credential() },
        );
      }
    });

    it("never keep a reader from the rest of a list or a feed, however large its parts are", async () => {
      const feed = Feed.CHANGES;
      const headers = credential();
      for (const [name, transport] of transports()) {
        const audit = createClient(AuditService, transport);
        const listed: string[] = [];
        let pages = 0;
        let pageToken = "";
        do {
          const page = await audit.listRecords({ feed, pageToken }, { headers });
          listed.push(...page.records.map(({ position }) => position));
          pageToken = page.nextPageToken;
          pages++;
        } while (pageToken !== "");
        expect(pages, name).toBeGreaterThan(3);
        const followed: string[] = [];
        for await (const { item } of audit.followRecords({ feed }, { headers })) {
          if (item.case === "caughtUp") break;
          if (item.case === "record") followed.push(item.value.position);
        }
        expect(listed, name).toStrictEqual(followed);
        const keyring = createClient(KeyringService, transport);
        const keys = new Set<string>();
        for (let offset = 0, total = 1; offset < total; ) {
          const page = await keyring.listKeys({ offset }, { headers });
          for (const { keyId } of page.keys) keys.add(keyId);
          expect(page.keys.length, name).toBeGreaterThan(0);
          offset += page.keys.length;
          total = page.totalCount;
        }
        expect(keys.size, name).toBe(KEYS);
        expect(listed.length, name).toBeGreaterThanOrEqual(KEYS);
      }
    });
  });
});

/** The most memory the process ever held; 0 where the system does not tell. */
function peakBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * KIB;
  } catch {
    return 0;
  }
}
