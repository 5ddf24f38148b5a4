import type { Socket } from "node:net";
import type { Answer } from "./answer.ts";
import { type WireRequest, wireAnswer } from "./http-frame.ts";

/**
 * The engine knows a method of its own, LIST. Node's parser refuses it, so the head of such a request is read here from
 * the packet the parser gave up on, and its connection closed behind the answer. What is no LIST gets a plain 400.
 */
export function answerListVerb(
  error: NodeJS.ErrnoException & { readonly rawPacket?: Buffer },
  socket: Socket,
  handle: (request: WireRequest) => Answer,
): void {
  if (!socket.writable) return;
  const head = error.rawPacket?.toString("latin1").split("\r\n\r\n")[0] ?? "";
  const [start = "", ...lines] = head.split("\r\n");
  const url = /^LIST (\S+) HTTP\/1\.1$/.exec(start)?.[1];
  if (error.code !== "HPE_INVALID_METHOD" || url === undefined) {
    socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    return;
  }
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
    }),
  );
  const answer = handle({ method: "LIST", url, headers, body: Buffer.alloc(0) });
  const wire = wireAnswer(answer);
  const fields = { ...wire.headers, "content-length": wire.bytes.length, connection: "close" };
  const text = Object.entries(fields).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.write(`HTTP/1.1 ${answer.status} Listed\r\n${text.join("")}\r\n`);
  socket.end(wire.bytes);
}
