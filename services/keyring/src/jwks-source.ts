import { constants, open } from "node:fs/promises";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Fault } from "@keyledger/core";
import { isLoopback } from "@keyledger/runtime";

/** Where an issuer's key set (RFC 7517) lies. */
export type JwksSource =
  | { readonly kind: "url"; readonly url: URL }
  | { readonly kind: "file"; readonly path: string };

/** No key set could be had from its source. The message completes the sentence "the key set ..." and repeats no content. */
export class KeySetUnreadable extends Fault {
  constructor(message: string, cause?: unknown) {
    super(message, { retryable: true, ...(cause !== undefined && { cause }) });
  }
}

/** Bytes of a key set. Fifty RSA keys of 4,096 bits with their certificate chains fit. */
const BODY_BYTES_MAX = 256 * 1024;
const HEADER_BYTES_MAX = 16 * 1024;

/**
 * Reads a key set as text, at most 256 KiB. Where it asks is fixed by the source alone.
 * @throws {KeySetUnreadable} also when the signal aborts.
 */
export async function readJwks(source: JwksSource, signal?: AbortSignal): Promise<string> {
  try {
    return source.kind === "url" ? await download(source.url, signal) : await readText(source.path);
  } catch (error) {
    if (error instanceof KeySetUnreadable) throw error;
    throw new KeySetUnreadable(`cannot be read (${codeOf(error)})`, error);
  }
}

/**
 * Whoever can change the answer on its way can log in as anybody: plain http goes no further than this machine.
 * @throws {KeySetUnreadable}
 */
export function assertTrustworthy({ protocol, hostname }: URL): void {
  const isHere = protocol === "http:" && isLoopback(hostname.replace(/^\[|\]$/g, ""));
  if (protocol === "https:" || isHere) return;
  throw new KeySetUnreadable("needs https, or http to this machine");
}

async function download(url: URL, signal: AbortSignal | undefined): Promise<string> {
  assertTrustworthy(url);
  const response = await get(url, signal);
  try {
    const { statusCode, headers } = response;
    // A redirect too: where to ask is the operator's word, not that of whoever answers.
    if (statusCode !== 200) throw new KeySetUnreadable(`was answered with HTTP ${statusCode}`);
    if (headers["content-encoding"] !== undefined) {
      throw new KeySetUnreadable("came compressed, which was not asked for");
    }
    return await textOf(response);
  } finally {
    response.destroy();
  }
}

const get = (url: URL, signal: AbortSignal | undefined): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const send = url.protocol === "https:" ? httpsRequest : httpRequest;
    const options = {
      ...(signal !== undefined && { signal }),
      // A connection of its own: a pooled one may have died in the five minutes between two requests.
      agent: false,
      maxHeaderSize: HEADER_BYTES_MAX,
      // Said aloud, because an environment variable can turn the default off.
      rejectUnauthorized: true,
      headers: {
        accept: "application/jwk-set+json, application/json",
        "accept-encoding": "identity",
        "user-agent": "keyledger",
      },
    };
    send(url, options, resolve).on("error", reject).end();
  });

async function readText(path: string): Promise<string> {
  // Not blocking, or a named pipe in its place would hold a thread for ever.
  await using handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  if (!(await handle.stat()).isFile()) throw new KeySetUnreadable("is no regular file");
  return await textOf(handle.createReadStream({ autoClose: false }));
}

async function textOf(chunks: AsyncIterable<Buffer>): Promise<string> {
  const read: Buffer[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    length += chunk.byteLength;
    if (length > BODY_BYTES_MAX) {
      throw new KeySetUnreadable(`is too large, the most is ${BODY_BYTES_MAX} bytes`);
    }
    read.push(chunk);
  }
  return Buffer.concat(read).toString("utf8");
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Z][A-Z0-9_]{0,63}$/.test(code) ? code : "unknown reason";
}
