import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import {
  CreateKeyRequestSchema,
  KeyringService,
  type ResolveResponseSchema,
  ResolveService,
} from "@keyledger/contracts";
import { afterEach, describe, expect, it, vi } from "vitest";
import { refuse } from "./errors.ts";
import { type GrpcListener, listenGrpc } from "./grpc.ts";
import type { AnyMessage, GuardedService } from "./guarded.ts";

type Run = (request: AnyMessage) => Promise<AnyMessage>;

/** A service each of whose methods does the same. */
const service = (descriptor: GuardedService["descriptor"], run: Run): GuardedService => ({
  descriptor,
  unary: () => run,
  stream: () => (request) =>
    (async function* () {
      yield await run(request);
    })(),
});

interface Listening extends AsyncDisposable {
  /** Answers and failures as they come back. */
  unary(path: string, request?: Uint8Array): Promise<Buffer | ServiceError>;
  stream(path: string, request: Uint8Array): Promise<readonly (Buffer | ServiceError)[]>;
  readonly faults: readonly string[];
}

const same = (bytes: Buffer): Buffer => bytes;

async function listen(services: readonly GuardedService[]): Promise<Listening> {
  const faults: string[] = [];
  const listener: GrpcListener = await listenGrpc({
    listen: "127.0.0.1:0",
    tls: undefined,
    services,
    withReflection: true,
    onFault: (method, _error, reason) => void faults.push(`${method} ${reason}`),
  });
  const client = new Client(listener.address, credentials.createInsecure());
  return {
    faults,
    unary: (path, request = new Uint8Array()) =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          path,
          same,
          same,
          Buffer.from(request),
          new Metadata(),
          { deadline: Date.now() + 5_000 },
          (error, answer) => resolve(error ?? answer ?? Buffer.alloc(0)),
        );
      }),
    stream: (path, request) =>
      new Promise((resolve) => {
        const heard: (Buffer | ServiceError)[] = [];
        const call = client.makeBidiStreamRequest(path, same, same);
        call.on("data", (answer: Buffer) => heard.push(answer));
        call.on("error", (error: ServiceError) => heard.push(error));
        call.on("status", () => resolve(heard));
        call.write(Buffer.from(request));
        call.end();
      }),
    async [Symbol.asyncDispose]() {
      client.close();
      await listener.drain(1_000);
    },
  };
}

const failure = (heard: unknown) =>
  heard instanceof Error && "code" in heard && "details" in heard
    ? `${status[Number(heard.code)]} ${String(heard.details)}`
    : "answered";

const LIST_KEYS = `/${KeyringService.typeName}/ListKeys`;
const CREATE_KEY = `/${KeyringService.typeName}/CreateKey`;
const RESOLVE = `/${ResolveService.typeName}/Resolve`;
const SECRET = "sk-proj-0123456789abcdef";

const creation = (): Uint8Array =>
  toBinary(
    CreateKeyRequestSchema,
    create(CreateKeyRequestSchema, { provider: "openai", secret: Buffer.from(SECRET) }),
  );

describe("a gRPC listener", () => {
  afterEach(() => void vi.restoreAllMocks());

  it("answers INTERNAL where an answer cannot be encoded, and has it logged", async () => {
    const nonsense = async () => ({ revision: "no number" }) as AnyMessage;
    await using listening = await listen([service(KeyringService, nonsense)]);
    expect(failure(await listening.unary(LIST_KEYS))).toBe("INTERNAL internal error");
    expect(listening.faults).toStrictEqual(["keyledger.v1.KeyringService/ListKeys INTERNAL"]);
  });

  it("refuses to give an answer that is larger than clients take", async () => {
    const large: MessageInitShape<typeof ResolveResponseSchema> = { reason: "x".repeat(1 << 20) };
    await using listening = await listen([
      service(ResolveService, async () => large as unknown as AnyMessage),
    ]);
    expect(failure(await listening.unary(RESOLVE))).toBe(
      "RESOURCE_EXHAUSTED the answer is too large: ask for less at a time",
    );
    expect(listening.faults).toStrictEqual([]);
  });

  it("wipes the secret of a request that was refused or answered", async () => {
    const seen: Uint8Array[] = [];
    const secretOf = (request: AnyMessage) => {
      const { secret } = request as { secret: Uint8Array };
      seen.push(secret);
      return Buffer.from(secret).toString("utf8");
    };
    let isRefused = true;
    await using listening = await listen([
      service(KeyringService, async (request) => {
        expect(secretOf(request)).toBe(SECRET);
        if (isRefused) throw refuse("unauthenticated");
        return {};
      }),
    ]);
    expect(failure(await listening.unary(CREATE_KEY, creation()))).toMatch(/^UNAUTHENTICATED/);
    isRefused = false;
    expect(failure(await listening.unary(CREATE_KEY, creation()))).toBe("answered");
    expect(seen.map((secret) => Buffer.from(secret).toString("hex"))).toStrictEqual(
      Array(2).fill("00".repeat(SECRET.length)),
    );
  });

  it("leaves the secret to a call that ran out of time: it may be about to be stored", async () => {
    let secret: Uint8Array = new Uint8Array();
    await using listening = await listen([
      service(KeyringService, async (request) => {
        ({ secret } = request as { secret: Uint8Array });
        throw refuse("deadline-exceeded");
      }),
    ]);
    expect(failure(await listening.unary(CREATE_KEY, creation()))).toMatch(/^DEADLINE_EXCEEDED/);
    expect(Buffer.from(secret).toString("utf8")).toBe(SECRET);
  });

  it("wipes what an answer with material was encoded into, once it is handed over", async () => {
    const wiped: Buffer[] = [];
    const { fill } = Buffer.prototype;
    vi.spyOn(Buffer.prototype, "fill").mockImplementation(function (this: Buffer, ...args) {
      if (this.includes(SECRET)) wiped.push(this);
      return fill.apply(this, args as Parameters<typeof fill>);
    });
    const answer = { material: Buffer.from(SECRET), keyId: "1" };
    await using listening = await listen([service(ResolveService, async () => answer)]);
    const heard = await listening.unary(RESOLVE);
    expect(heard).toBeInstanceOf(Buffer);
    expect((heard as Buffer).includes(SECRET)).toBe(true);
    expect(wiped).toHaveLength(1);
    expect(wiped[0]?.every((byte) => byte === 0)).toBe(true);
  });
});

describe("reflection", () => {
  const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  /** `ServerReflectionRequest` with one text. */
  const asking = (field: number, text: string) =>
    Buffer.concat([Buffer.from([(field << 3) | 2, text.length]), Buffer.from(text)]);
  const idle = service(KeyringService, async () => ({}));

  it("lists what is served, the health service too", async () => {
    await using listening = await listen([idle]);
    const [answer] = await listening.stream(REFLECTION, asking(7, "*"));
    const text = answer instanceof Buffer ? answer.toString("latin1") : String(answer);
    expect(text.match(/[a-z]+(\.[a-z0-9]+)+\.[A-Z]\w+/g)?.toSorted()).toStrictEqual([
      "grpc.health.v1.Health",
      "keyledger.v1.KeyringService",
    ]);
  });

  it("describes both", async () => {
    await using listening = await listen([idle]);
    for (const [symbol, message] of [
      ["grpc.health.v1.Health", "HealthCheckRequest"],
      ["keyledger.v1.KeyringService", "ListKeysRequest"],
    ] as const) {
      const [answer] = await listening.stream(REFLECTION, asking(4, symbol));
      expect(answer).toBeInstanceOf(Buffer);
      expect((answer as Buffer).includes(message), symbol).toBe(true);
    }
  });
});
