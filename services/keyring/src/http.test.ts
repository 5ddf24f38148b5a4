import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import {
  createConnectTransport,
  createGrpcTransport,
  createGrpcWebTransport,
} from "@connectrpc/connect-node";
import {
  AuditService,
  CreateKeyRequestSchema,
  ErrorInfoSchema,
  KeyringService,
} from "@keyledger/contracts";
import { Canceller } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import fastify from "fastify";
import { describe, expect, it } from "vitest";
import { type Refusal, refuse } from "./errors.ts";
import { listenGrpc } from "./grpc.ts";
import { createGuard } from "./guard.ts";
import type { AnyMessage, GuardedService } from "./guarded.ts";
import type { Call } from "./handlers.ts";
import { connectPlugin } from "./http.ts";
import type { Rule } from "./policy.ts";

const rule: Rule = { roles: ["operator"], owner: "none", isGated: false };

/** What every method here does, behind the guard. */
interface Behaviour {
  readonly unary?: (request: AnyMessage, call: Call) => Promise<AnyMessage>;
  readonly stream?: (request: AnyMessage, call: Call) => AsyncIterable<AnyMessage>;
}

function serviceOf(
  descriptor: GuardedService["descriptor"],
  { unary, stream }: Behaviour,
): GuardedService {
  const guard = createGuard({
    authenticate: async () => ({
      role: "operator",
      owner: null,
      actor: "caller.1",
      isByokDenied: false,
    }),
    isGateOpen: () => true,
    isFresh: () => true,
    recordRefusal: async () => {},
    host: nodeHost(),
    observe: () => {},
    onFault: () => {},
  });
  return {
    descriptor,
    unary: (name) => guard.unary(name, rule, unary ?? (async () => ({}))),
    stream: (name) => guard.stream(name, rule, stream ?? async function* () {}),
  };
}

interface Listening extends AsyncDisposable {
  readonly http: string;
  /** What both had logged. */
  readonly faults: readonly string[];
  /** One per protocol. */
  readonly transports: readonly (readonly [string, Transport])[];
}

/** Both listeners over the same methods. */
const listen = (behaviour: Behaviour, stopping = new Canceller()): Promise<Listening> =>
  listenWith(
    [KeyringService, AuditService].map((each) => serviceOf(each, behaviour)),
    stopping,
  );

async function listenWith(
  services: readonly GuardedService[],
  stopping = new Canceller(),
): Promise<Listening> {
  const faults: string[] = [];
  const onFault = (method: string, _error: unknown, reason: string) =>
    void faults.push(`${method} ${reason}`);
  const app = fastify();
  await app.register(connectPlugin(services, stopping, onFault));
  const http = await app.listen({ host: "127.0.0.1", port: 0 });
  const grpc = await listenGrpc({
    listen: "127.0.0.1:0",
    tls: undefined,
    services,
    withReflection: false,
    onFault,
  });
  const edge = { baseUrl: http, httpVersion: "1.1" as const };
  return {
    http,
    faults,
    transports: [
      ["Connect with JSON", createConnectTransport({ ...edge, useBinaryFormat: false })],
      ["Connect with binary", createConnectTransport({ ...edge, useBinaryFormat: true })],
      ["gRPC-Web", createGrpcWebTransport(edge)],
      ["gRPC", createGrpcTransport({ baseUrl: `http://${grpc.address}` })],
    ],
    async [Symbol.asyncDispose]() {
      await Promise.all([app.close(), grpc.drain(1_000)]);
    },
  };
}

/** Code and reason of what a call came to. */
const endOf = (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => "answered",
    (error: unknown) => {
      const found = ConnectError.from(error);
      return `${Code[found.code]} ${found.findDetails(ErrorInfoSchema)[0]?.reason ?? "without a reason"}`;
    },
  );

const read = async (items: AsyncIterable<unknown>): Promise<number> => {
  let count = 0;
  for await (const _item of items) count++;
  return count;
};

/** Says one thing, and then nothing until it is cancelled. */
async function* quiet(_request: AnyMessage, { signal }: Call): AsyncGenerator<AnyMessage> {
  yield { item: { case: "caughtUp", value: "position" } };
  if (!signal.aborted)
    await new Promise<void>((resolve) => signal.addEventListener("abort", resolve));
}

describe("a client's deadline", () => {
  it("is shortened to 30 s where it is longer, whatever the protocol", async () => {
    const left: number[] = [];
    await using listening = await listen({
      unary: async (_request, call) => {
        left.push(call.remainingMs());
        return {};
      },
    });
    for (const [name, transport] of listening.transports) {
      for (const timeoutMs of [60_000, 27 * 60 * 60 * 1_000]) {
        const call = createClient(KeyringService, transport).listKeys({}, { timeoutMs });
        expect(await endOf(call), `${name} ${timeoutMs}`).toBe("answered");
      }
    }
    expect(left).toHaveLength(8);
    expect(Math.max(...left)).toBeLessThanOrEqual(30_000);
    expect(Math.min(...left)).toBeGreaterThan(29_000);
  });

  it("may be as long as the protocol has digits for", async () => {
    await using listening = await listen({ stream: quiet });
    const longest = { "connect-timeout-ms": "9999999999", "grpc-timeout": "99999999H" };
    // grpc-js reckons with 32 bits, and takes such a time for past.
    for (const [name, transport] of listening.transports.slice(0, 3)) {
      const call = createClient(KeyringService, transport).listKeys({}, { headers: longest });
      expect(await endOf(call), name).toBe("answered");
      const until = new AbortController();
      const options = { headers: longest, signal: until.signal };
      const stream = createClient(AuditService, transport).followRecords({}, options);
      // It would have ended long before.
      const timer = setTimeout(() => until.abort(), 100);
      expect(await endOf(read(stream)), name).toBe("Canceled without a reason");
      clearTimeout(timer);
    }
  });

  it("ends a stream with the same words, whatever the protocol", async () => {
    await using listening = await listen({ stream: quiet });
    for (const [name, transport] of listening.transports) {
      // The clock of a client may be ahead of the server's timer: what the server says is asked for here.
      const options = { headers: deadlineHeaders(name, 150) };
      const stream = createClient(AuditService, transport).followRecords({}, options);
      expect(await endOf(read(stream)), name).toBe("DeadlineExceeded DEADLINE_EXCEEDED");
    }
  });
});

const deadlineHeaders = (protocol: string, ms: number): Record<string, string> =>
  protocol.startsWith("Connect")
    ? { "connect-timeout-ms": String(ms) }
    : { "grpc-timeout": `${ms}m` };

describe("an answer that cannot be given", () => {
  it("is INTERNAL where it cannot be encoded, and logged, whatever the protocol", async () => {
    await using listening = await listen({
      unary: async () => ({ totalCount: "no number" }),
      stream: async function* () {
        yield { item: { case: "record", value: { schemaVersion: "no number" } } };
      },
    });
    for (const [name, transport] of listening.transports) {
      const call = createClient(KeyringService, transport).listKeys({});
      expect(await endOf(call), name).toBe("Internal INTERNAL");
      const stream = createClient(AuditService, transport).followRecords({});
      expect(await endOf(read(stream)), name).toBe("Internal INTERNAL");
    }
    expect(listening.faults).toStrictEqual(
      Array(4)
        .fill([
          "keyledger.v1.KeyringService/ListKeys INTERNAL",
          "keyledger.v1.AuditService/FollowRecords INTERNAL",
        ])
        .flat(),
    );
  });

  it("is refused where it is larger than clients take, whatever the protocol", async () => {
    const large = "x".repeat(2 * 1024 * 1024);
    await using listening = await listen({
      unary: async () => ({ position: large }),
      stream: async function* () {
        yield { item: { case: "caughtUp", value: large } };
      },
    });
    for (const [name, transport] of listening.transports) {
      const call = createClient(KeyringService, transport).listKeys({});
      expect(await endOf(call), name).toBe("ResourceExhausted TOO_LARGE");
      const stream = createClient(AuditService, transport).followRecords({});
      expect(await endOf(read(stream)), name).toBe("ResourceExhausted TOO_LARGE");
    }
    expect(listening.faults).toStrictEqual([]);
  });
});

describe("a process that stops", () => {
  it("ends open streams in good order, those that come late too", async () => {
    const stopping = new Canceller();
    await using listening = await listen({ stream: quiet }, stopping);
    const streams = listening.transports
      .filter(([name]) => name !== "gRPC")
      .map(
        ([, transport]) =>
          () =>
            createClient(AuditService, transport).followRecords({}),
      );
    const open = streams.map((follow) => read(follow()));
    stopping.cancel();
    expect(await Promise.all(open)).toStrictEqual([1, 1, 1]);
    expect(await Promise.all(streams.map((follow) => read(follow())))).toStrictEqual([1, 1, 1]);
  });
});

describe("a request over HTTP", () => {
  const secret = "sk-proj-0123456789abcdef";
  const held: Uint8Array[] = [];
  const refusing = (refusal: Refusal): GuardedService => ({
    descriptor: KeyringService,
    unary: () => async (request) => {
      held.push((request as { secret: Uint8Array }).secret);
      throw refuse(refusal);
    },
    stream: () => async function* () {},
  });

  it.each([
    ["is wiped of its secret where it was refused", "unauthenticated", 401, ""],
    ["keeps it where the call may still be at work", "deadline-exceeded", 504, secret],
  ] as const)("%s", async (_name, refusal, expected, left) => {
    held.length = 0;
    await using listening = await listenWith([refusing(refusal)]);
    const message = create(CreateKeyRequestSchema, { secret: Buffer.from(secret) });
    const { status } = await fetch(`${listening.http}/${KeyringService.typeName}/CreateKey`, {
      method: "POST",
      headers: { "content-type": "application/proto" },
      body: toBinary(CreateKeyRequestSchema, message),
    });
    expect(status).toBe(expected);
    const texts = held.map((bytes) => Buffer.from(bytes).toString("utf8").replaceAll("\0", ""));
    expect(texts).toStrictEqual([left]);
  });
});
