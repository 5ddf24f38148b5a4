import { connect, type Socket } from "node:net";
import { type LoadJob, type LoadResult, Tally } from "./load-job.ts";

/**
 * HTTP/1.1 by hand on sockets, one request at a time on each: next to nothing, so that the server is what is measured.
 * Knows only answers with a content-length.
 */
export async function loadHttp(job: LoadJob): Promise<LoadResult> {
  const sockets = await Promise.all(
    Array.from({ length: job.inFlight }, () => opened(job.address)),
  );
  const head = [
    `GET ${job.path} HTTP/1.1`,
    `host: ${job.address}`,
    ...Object.entries(job.headers).map(([name, value]) => `${name}: ${value}`),
    "\r\n",
  ].join("\r\n");
  const tally = new Tally(job);
  try {
    await Promise.all(sockets.map((socket) => caller(socket, Buffer.from(head), tally)));
    return tally.result();
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

function opened(address: string): Promise<Socket> {
  const at = address.lastIndexOf(":");
  return new Promise((resolve, reject) => {
    const socket = connect(Number(address.slice(at + 1)), address.slice(0, at));
    socket.setNoDelay(true);
    socket.once("error", reject);
    socket.once("connect", () => resolve(socket));
  });
}

function caller(socket: Socket, request: Buffer, tally: Tally): Promise<void> {
  return new Promise((resolve, reject) => {
    let read = "";
    const ask = () => {
      if (tally.next()) socket.write(request);
      else resolve();
    };
    socket.on("data", (chunk: Buffer) => {
      read += chunk.toString("latin1");
      const length = answerLength(read);
      if (length === undefined || read.length < length) return;
      tally.ended(read.startsWith("HTTP/1.1 200 "));
      read = read.slice(length);
      ask();
    });
    socket.once("close", () => reject(new Error("the server closed a connection under load")));
    ask();
  });
}

/** @returns bytes of headers and body; `undefined` while the headers are not all there. */
function answerLength(read: string): number | undefined {
  const end = read.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const [, length] = /\r\ncontent-length: (\d+)/i.exec(read.slice(0, end)) ?? [];
  if (length === undefined) throw new Error("an answer has no content-length");
  return end + 4 + Number(length);
}
