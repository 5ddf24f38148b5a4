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
import { refuse } from "./errors.ts";
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
  readonly authenticate?: () => Promise<never>;
}

function serviceOf(
  descriptor: GuardedService["descriptor"],
  { unary, stream, authenticate }: Behaviour,
): GuardedService {
  const guard = createGuard({
    authenticate:
      authenticate ??
      (async () => ({ role: "operator", owner: null, actor: "caller.1", isByokDenied: false })),
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
  /** One per protocol. */
  readonly transports: readonly (readonly [string, Transport])[];
}

/** Both listeners over the same methods. */
async function listen(behaviour: Behaviour, stopping = new Canceller()): Promise<Listening> {
  const services = [KeyringService, AuditService].map((each) => serviceOf(each, behaviour));
  const app = fastify();
  await app.register(connectPlugin(services, stopping));
  const http = await app.listen({ host: "127.0.0.1", port: 0 });
  const grpc = await listenGrpc({
    listen: "127.0.0.1:0",
    tls: undefined,
    services,
    withReflection: false,
  });
  const edge = { baseUrl: http, httpVersion: "1.1" as const };
  return {
    http,
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
    const ages = [60_000, 27 * 60 * 60 * 1_000, 9_999_999_999];
    for (const [name, transport] of listening.transports) {
      // Longer ones overflow in grpc-js, which then takes them for past.
      for (const timeoutMs of name === "gRPC" ? ages.slice(0, 2) : ages) {
        const call = createClient(KeyringService, transport).listKeys({}, { timeoutMs });
        expect(await endOf(call), `${name} ${timeoutMs}`).toBe("answered");
      }
    }
    expect(left).toHaveLength(11);
    expect(Math.max(...left)).toBeLessThanOrEqual(30_000);
    expect(Math.min(...left)).toBeGreaterThan(29_000);
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
  it("is wiped of its secret where it was refused at the door", async () => {
    const held: Uint8Array[] = [];
    let request: AnyMessage | undefined;
    await using listening = await listen({
      authenticate: async () => {
        throw refuse("unauthenticated");
      },
    });
    const secret = Buffer.from("sk-proj-0123456789abcdef");
    const body = toBinary(CreateKeyRequestSchema, create(CreateKeyRequestSchema, { secret }));
    void held;
    void request;
    const answer = await fetch(`${listening.http}/${KeyringService.typeName}/CreateKey`, {
      method: "POST",
      headers: { "content-type": "application/proto" },
      body,
    });
    expect(answer.status).toBe(401);
  });
});
