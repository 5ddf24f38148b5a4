import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { type Answer, Refusal, refused } from "./answer.ts";
import type { Fault, VaultRequest } from "./control.ts";
import { createEarlierAnswers, type Faults } from "./faults.ts";
import {
  askedOf,
  BODY_BYTES_MAX,
  pathOf,
  redirectOf,
  type WireRequest,
  wireAnswer,
} from "./http-frame.ts";
import { answerListVerb } from "./list-verb.ts";
import { roleOf } from "./tokens.ts";
import type { Asked, Vault } from "./vault.ts";

/** Some 50 MB; a long run drops the older half when it gets there. */
const REQUESTS_KEPT_MAX = 200_000;

type Recorded = { -readonly [field in keyof VaultRequest]: VaultRequest[field] };

/** The engine behind sockets, with what goes wrong there. */
export interface VaultServer extends AsyncDisposable {
  readonly server: Server;
  readonly requests: readonly VaultRequest[];
  /** Cuts off what hangs. */
  releaseHanging(): void;
}

export function createVaultServer(
  vault: Vault,
  faults: Faults,
  tls: { readonly cert: string; readonly key: string } | undefined,
): VaultServer {
  const startedAt = performance.now();
  const requests: Recorded[] = [];
  const hanging = new Set<Socket>();
  const timers = new Set<NodeJS.Timeout>();
  const earlier = createEarlierAnswers();
  let inFlight = 0;

  const record = ({ method, url, headers }: Omit<WireRequest, "body">): Recorded => {
    const token = headers["x-vault-token"];
    const found = typeof token === "string" ? vault.tokens.find(token) : undefined;
    const namespace = headers["x-vault-namespace"];
    const recorded = {
      method,
      url,
      path: pathOf(url),
      items: 1,
      role: roleOf(found),
      namespace: typeof namespace === "string" ? namespace : null,
      status: 0,
      startedAtMs: performance.now() - startedAt,
      inFlight,
    };
    requests.push(recorded);
    if (requests.length > REQUESTS_KEPT_MAX) requests.splice(0, REQUESTS_KEPT_MAX / 2);
    return recorded;
  };

  /** The answer, and what befalls it on its way. */
  const handle = (request: WireRequest, recorded: Recorded): [Answer, Fault | undefined] => {
    const asked = read(request);
    if ("status" in asked) return [asked, faults.next(recorded)];
    recorded.items = Array.isArray(asked.body.batch_input) ? asked.body.batch_input.length : 1;
    const fault = faults.next(recorded);
    if (fault?.kind === "status") return [injected(fault), undefined];
    if (fault?.kind === "hang" || fault?.kind === "reset") return [{ status: 0 }, fault];
    const failing = new Set(fault?.kind === "failed-items" ? fault.items : []);
    const answer = vault.handle({ ...asked, failing });
    const content = request.body.toString("latin1");
    if (fault?.kind === "another-answer") return [earlier.otherThan(asked.path, content), fault];
    earlier.remember(asked.path, content, answer);
    return [answer, fault];
  };

  const listener = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const { method = "", url = "", headers } = request;
    const recorded = record({ method, url, headers });
    inFlight += 1;
    response.once("close", () => {
      inFlight -= 1;
    });
    const body = await bodyOf(request);
    if (body === null) return send(response, refused(TOO_LARGE), recorded);
    const [answer, fault] = handle({ method, url, headers, body }, recorded);
    switch (fault?.kind) {
      case "hang":
        hanging.add(request.socket);
        request.socket.once("close", () => hanging.delete(request.socket));
        return;
      case "reset":
      case "lost-answer":
        request.socket.resetAndDestroy();
        return;
      case "delay": {
        const timer = setTimeout(() => {
          timers.delete(timer);
          send(response, answer, recorded);
        }, fault.delayMs);
        timers.add(timer);
        return;
      }
      default:
        send(response, answer, recorded, fault?.kind === "truncated");
    }
  };

  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    listener(request, response).catch((fault: unknown) => {
      // A client that went away is none of ours; anything else is a mistake here, and must be seen.
      if (!request.destroyed) throw fault;
    });
  };
  const server = tls === undefined ? createServer(onRequest) : createTlsServer(tls, onRequest);
  server.keepAliveTimeout = 300_000;
  server.on("clientError", (error, socket) => {
    answerListVerb(error, socket as Socket, (request) => {
      const recorded = record(request);
      const [answer] = handle(request, recorded);
      recorded.status = answer.status;
      return answer;
    });
  });

  return {
    server,
    requests,
    releaseHanging: () => {
      for (const socket of hanging) socket.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const TOO_LARGE = new Refusal(413, "http: request body too large");

const injected = ({ status, retryAfterSeconds }: Extract<Fault, { kind: "status" }>): Answer => ({
  ...refused(new Refusal(status, `injected ${status}`)),
  ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
});

function read(request: WireRequest): Omit<Asked, "failing"> | Answer {
  try {
    return redirectOf(request.url) ?? askedOf(request);
  } catch (fault) {
    if (fault instanceof Refusal) return refused(fault);
    if (fault instanceof URIError) return refused(new Refusal(400));
    throw fault;
  }
}

/** @returns `null` if it is too large. */
async function bodyOf(request: IncomingMessage): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  return size > BODY_BYTES_MAX ? null : Buffer.concat(chunks);
}

function send(
  response: ServerResponse,
  answer: Answer,
  recorded: Recorded,
  truncated = false,
): void {
  const { headers, bytes } = wireAnswer(answer);
  const sent = truncated ? bytes.subarray(0, bytes.length >> 1) : bytes;
  recorded.status = answer.status;
  const length = answer.status === 204 ? {} : { "content-length": sent.length };
  response.writeHead(answer.status, { ...headers, ...length }).end(sent);
}
