import { connect } from "node:net";

const WITHIN_MS = 25_000;

/**
 * Sends bytes and takes what comes back, to the end of the connection: nothing on the way reads or mends them.
 * @param isCut our side ends right behind them, whatever they announce.
 */
export function exchange(
  address: string,
  request: Uint8Array | string,
  { isCut = false } = {},
): Promise<Buffer> {
  const [host = "", port = ""] = address.split(":");
  return new Promise((resolve) => {
    const received: Buffer[] = [];
    const socket = connect({ host, port: Number(port) }, () => {
      if (isCut) socket.end(request);
      else socket.write(request);
    });
    const timer = setTimeout(() => socket.destroy(), WITHIN_MS);
    socket.on("data", (chunk: Buffer) => received.push(chunk));
    socket.on("error", () => {});
    socket.once("close", () => {
      clearTimeout(timer);
      resolve(Buffer.concat(received));
    });
  });
}

export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | undefined;
}

/** The bytes of a request, with nothing added but its length and the end of the connection. */
export function requestBytes({ method, path, headers = {}, body }: HttpRequest): Buffer {
  const content = Buffer.from(body ?? "");
  const lines = [
    `${method} ${path} HTTP/1.1`,
    "host: localhost",
    "connection: close",
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    ...(body === undefined || "transfer-encoding" in headers
      ? []
      : [`content-length: ${content.length}`]),
  ];
  return Buffer.concat([Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"), content]);
}

/** Status and body of what came back; 0 where it was no answer at all. */
export function readAnswer(bytes: Buffer): { readonly status: number; readonly body: Buffer } {
  const end = bytes.indexOf("\r\n\r\n");
  const head = bytes.subarray(0, Math.max(end, 0)).toString("latin1");
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(head)?.[1] ?? 0);
  const body = bytes.subarray(end + 4);
  return { status, body: /^transfer-encoding: chunked/im.test(head) ? joined(body) : body };
}

function joined(chunked: Buffer): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = chunked.indexOf("\r\n", at);
    const length = Number.parseInt(chunked.subarray(at, line).toString("latin1"), 16);
    if (line < 0 || !(length > 0)) return Buffer.concat(parts);
    parts.push(chunked.subarray(line + 2, line + 2 + length));
    at = line + 2 + length + 2;
  }
}
