import { request } from "node:http";
import { connect } from "node:http2";
import { Code, ConnectError } from "@connectrpc/connect";
import { endStreamFromJson, errorFromJsonBytes } from "@connectrpc/connect/protocol-connect";
import { findTrailerError } from "@connectrpc/connect/protocol-grpc";
import { trailerParse } from "@connectrpc/connect/protocol-grpc-web";
import { ErrorInfoSchema } from "@keyledger/contracts";

/** A call as it goes over the wire: nothing in it is made right on the way. */
export interface WireCall {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array | string | undefined;
}

export interface WireAnswer {
  /** Of HTTP. */
  readonly status: number;
  readonly headers: Headers;
  readonly body: Buffer;
  readonly trailers: Headers;
}

const WITHIN_MS = 15_000;

const headersOf = (found: Readonly<Record<string, string | string[] | number | undefined>>) =>
  new Headers(
    Object.entries(found).flatMap(([name, value]) =>
      name.startsWith(":") || value === undefined ? [] : [[name, String(value)] as const],
    ) as [string, string][],
  );

/** Over HTTP/1.1, as browsers and `curl` speak to the HTTP edge. */
export const callHttp1 = (
  address: string,
  { method = "POST", path, headers = {}, body }: WireCall,
): Promise<WireAnswer> =>
  new Promise((resolve, reject) => {
    const [host, port] = address.split(":");
    const call = request({ host, port, method, path, headers, timeout: WITHIN_MS }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on("data", (chunk: Buffer) => chunks.push(chunk));
      answer.on("error", reject);
      answer.on("end", () =>
        resolve({
          status: answer.statusCode ?? 0,
          headers: headersOf(answer.headers),
          body: Buffer.concat(chunks),
          trailers: headersOf(answer.trailers),
        }),
      );
    });
    call.on("timeout", () => call.destroy(new Error("no answer")));
    call.on("error", reject);
    call.end(body);
  });

/** Over HTTP/2 in the clear, as gRPC clients speak. */
export const callHttp2 = (
  address: string,
  { method = "POST", path, headers = {}, body }: WireCall,
): Promise<WireAnswer> =>
  new Promise((resolve, reject) => {
    const session = connect(`http://${address}`);
    session.on("error", reject);
    const call = session.request({
      ":method": method,
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const chunks: Buffer[] = [];
    let initial: Readonly<Record<string, string | string[] | undefined>> = {};
    let trailing: typeof initial = {};
    call.setTimeout(WITHIN_MS, () => call.destroy(new Error("no answer")));
    call.on("response", (found) => {
      initial = found as typeof initial;
    });
    call.on("trailers", (found) => {
      trailing = found as typeof initial;
    });
    call.on("data", (chunk: Buffer) => chunks.push(chunk));
    call.on("error", (error) => {
      session.destroy();
      reject(error);
    });
    call.on("close", () => {
      session.close();
      resolve({
        status: Number(initial[":status"] ?? 0),
        headers: headersOf(initial),
        body: Buffer.concat(chunks),
        trailers: headersOf(trailing),
      });
    });
    call.end(body);
  });

/** All that a caller can read of an answer, base64 of binary headers undone. */
export function heardOf({ headers, body, trailers }: WireAnswer): string {
  const texts = [...headers, ...trailers].flatMap(([name, value]) =>
    name.endsWith("-bin") ? [Buffer.from(value, "base64").toString("latin1")] : [value],
  );
  const written = body.toString("latin1");
  const details = [...written.matchAll(/[A-Za-z0-9+/]{16,}/g)].map(([text]) =>
    Buffer.from(text, "base64").toString("latin1"),
  );
  return [...texts, written, ...details].join("\n");
}

/** A message in the envelope of gRPC, gRPC-Web and Connect's streams. */
export function envelope(message: Uint8Array | string, flags = 0): Buffer {
  const bytes = Buffer.from(message);
  const head = Buffer.alloc(5);
  head.writeUInt8(flags, 0);
  head.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([head, bytes]);
}

/** Enveloped parts of a body. */
export function enveloped(body: Buffer): readonly { flags: number; data: Buffer }[] {
  const found: { flags: number; data: Buffer }[] = [];
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1);
    found.push({ flags: body.readUInt8(at), data: body.subarray(at + 5, end) });
    at = end;
  }
  return found;
}

/** The error of an answer, whichever protocol it is in; `undefined` where it has none in words. */
export function errorIn(answer: WireAnswer): ConnectError | undefined {
  const type = answer.headers.get("content-type") ?? "";
  const last = enveloped(answer.body).at(-1)?.data ?? Buffer.alloc(0);
  if (type.startsWith("application/connect+")) return endStreamFromJson(last).error;
  if (type.startsWith("application/grpc-web")) return findTrailerError(trailerParse(last));
  if (type.startsWith("application/grpc"))
    return findTrailerError(answer.headers) ?? findTrailerError(answer.trailers);
  // Errors of the HTTP edge itself have no code.
  if (answer.status === 200 || !answer.body.includes('"code":')) return undefined;
  const fallback = new ConnectError("no error of Connect", Code.Unknown);
  return errorFromJsonBytes(answer.body, undefined, fallback);
}

/** What programs branch on: code and reason, as `InvalidArgument MALFORMED_REQUEST`. */
export function reasonIn(answer: WireAnswer): string {
  const error = errorIn(answer);
  if (!error) return `HTTP ${answer.status}`;
  const [info] = error.findDetails(ErrorInfoSchema);
  return `${Code[error.code]} ${info?.domain === "keyledger.v1" ? info.reason : "without a reason"}`;
}
