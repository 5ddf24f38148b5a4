import { type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { Clock } from "@keyledger/core";
import { asciiText } from "./ascii.ts";
import { hostnameOf } from "./connection.ts";
import { type Answer, type Question, type Unanswered, unanswered } from "./question.ts";

/** Enough for every list of models that is wanted. */
const SUCCESS_BYTES_MAX = 1024 * 1024;
/** Reason codes stand in the first few hundred bytes. */
const ERROR_BYTES_MAX = 64 * 1024;
const HEADER_BYTES_MAX = 16 * 1024;
const USER_AGENT = "keyledger-probe/1";

/**
 * One HTTP/1.1 request on a connection of its own, which is destroyed behind it: no redirect is followed, and nothing
 * keeps the key. Never rejects.
 * @param signal aborted: no answer, `timed-out`.
 */
export function exchange(
  socket: Socket,
  url: URL,
  question: Question,
  clock: Clock,
  signal: AbortSignal,
): Promise<Answer | Unanswered> {
  return new Promise((resolve) => {
    const settle = (reply: Answer | Unanswered) => {
      signal.removeEventListener("abort", onAbort);
      socket.destroy();
      resolve(reply);
    };
    const onAbort = () => settle(unanswered("timed-out"));
    if (signal.aborted) return onAbort();
    signal.addEventListener("abort", onAbort);

    let request: ClientRequest;
    try {
      request = send(socket, url, question);
    } catch {
      return settle(unanswered("malformed"));
    }
    request.on("error", (error) => settle(unanswered(isParseError(error) ? "malformed" : "cut")));
    request.on("close", () => settle(unanswered("cut")));
    request.on("response", (response) => {
      response.on("error", () => settle(unanswered("cut")));
      const { statusCode: status = 0 } = response;
      const headers = flattened(response);
      const answer = (body: string) =>
        settle({ kind: "answer", status, headers, body, at: clock.now() });
      if (status === 200 && !question.readsSuccess) answer("");
      else collect(response, status === 200 ? SUCCESS_BYTES_MAX : ERROR_BYTES_MAX, answer);
    });
  });
}

/**
 * Node's client takes headers as text only, so here, and for the one request, the key is a string. It was checked to be
 * visible ASCII.
 */
function send(socket: Socket, url: URL, question: Question): ClientRequest {
  const { method = "GET", headers = {}, keyHeader, body } = question;
  const request = url.protocol === "https:" ? httpsRequest : httpRequest;
  return request({
    method,
    host: hostnameOf(url),
    port: url.port,
    path: url.pathname + url.search,
    maxHeaderSize: HEADER_BYTES_MAX,
    // No agent: it would keep the connection, and with it the request.
    createConnection: () => socket,
    headers: {
      accept: "application/json",
      // Nothing is unpacked, so nothing can burst.
      "accept-encoding": "identity",
      "user-agent": USER_AGENT,
      ...headers,
      ...(body && { "content-length": String(body.byteLength) }),
      ...(keyHeader && { [keyHeader.name]: keyHeader.prefix + asciiText(keyHeader.key) }),
    },
  }).end(body);
}

/** Reads up to a bound and hands over what came; an answer that breaks off is settled by the end of its request. */
function collect(response: IncomingMessage, bytesMax: number, done: (body: string) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  const text = () => Buffer.concat(chunks).toString("utf8", 0, Math.min(length, bytesMax));
  response.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    length += chunk.byteLength;
    if (length >= bytesMax) done(text());
  });
  response.on("end", () => done(text()));
}

const isParseError = (error: Error): boolean =>
  "code" in error && typeof error.code === "string" && error.code.startsWith("HPE_");

function flattened({ headers }: IncomingMessage): Readonly<Record<string, string>> {
  const entries = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name, String(value)]));
}
