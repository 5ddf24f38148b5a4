import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";

export interface VaultCall {
  readonly method: string;
  /** Sent as it stands, dots and all: `/v1/...`. */
  readonly path: string;
  readonly token?: string | null;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as it stands, instead of `body`. */
  readonly rawBody?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export interface VaultAnswer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  /** The JSON, or the text where it is none; `null` without a body. */
  readonly body: unknown;
}

/** An engine to ask: where it is and whom its certificate is to be signed by. */
export interface VaultAddress {
  readonly address: string;
  /** PEM; the system's authorities where absent. */
  readonly ca?: string;
}

/** Between two bytes of an answer. */
const IDLE_MS_MAX = 10_000;

/**
 * One request on a connection of its own, by hand: the tests of an engine share nothing with the client under test, and
 * no URL is tidied on its way. @throws {Error} no answer within 10 s, or the connection broke.
 */
export function askVault({ address, ca }: VaultAddress, call: VaultCall): Promise<VaultAnswer> {
  const { hostname, port, protocol } = new URL(address);
  const request = protocol === "https:" ? httpsRequest : httpRequest;
  const content = call.rawBody ?? (call.body === undefined ? "" : JSON.stringify(call.body));
  const { promise, resolve, reject } = Promise.withResolvers<VaultAnswer>();
  const sent = request(
    {
      hostname,
      port,
      method: call.method,
      path: call.path,
      agent: false,
      timeout: IDLE_MS_MAX,
      headers: {
        ...(content === "" ? {} : { "content-type": "application/json" }),
        ...(content === "" ? {} : { "content-length": Buffer.byteLength(content) }),
        ...(call.token == null ? {} : { "x-vault-token": call.token }),
        ...call.headers,
      },
      ...(ca === undefined ? {} : { ca }),
    },
    (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.once("error", reject);
      response.once("end", () => {
        const { statusCode = 0, headers } = response;
        resolve({ status: statusCode, headers, body: bodyOf(Buffer.concat(chunks).toString()) });
      });
    },
  );
  sent.once("timeout", () => sent.destroy(new Error("no answer within 10 s")));
  sent.once("error", reject);
  sent.end(content);
  return promise;
}

function bodyOf(text: string): unknown {
  if (text === "") return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** A value in an answer by its place: `data.batch_results.0.ciphertext`; `undefined` if it is not there. */
export const at = (answer: unknown, place: string): unknown =>
  place
    .split(".")
    .reduce<unknown>(
      (value, part) =>
        typeof value === "object" && value !== null
          ? (value as Record<string, unknown>)[part]
          : undefined,
      answer,
    );

/** @throws {Error} there is no text at that place. */
export function textAt(answer: unknown, place: string): string {
  const value = at(answer, place);
  if (typeof value !== "string") throw new Error(`no text at ${place} of the answer`);
  return value;
}
