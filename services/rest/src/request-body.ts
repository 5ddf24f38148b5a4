import type { IncomingHttpHeaders } from "node:http";
import type { Readable } from "node:stream";
import { Failure } from "./failure.ts";

/**
 * Collects a request body into one buffer of its own, for the reader to wipe, and wipes the pieces it arrived in: they
 * may hold a secret, and freed memory keeps its contents. `done` gets the bytes, TOO_LARGE at the first byte too many, or
 * CANCELLED where the rest never came.
 */
export function collectBody(
  payload: Readable,
  contentLength: number,
  bytesMax: number,
  done: (error: null, body: Uint8Array | Failure) => void,
): void {
  if (contentLength > bytesMax) {
    done(null, new Failure("TOO_LARGE"));
    return;
  }
  const pieces: Buffer[] = [];
  let length = 0;
  const finish = (body: Uint8Array | Failure) => {
    payload.off("data", onData).off("end", onEnd).off("error", onError);
    for (const piece of pieces) piece.fill(0);
    done(null, body);
  };
  const onData = (piece: Buffer) => {
    pieces.push(piece);
    length += piece.length;
    if (length > bytesMax) finish(new Failure("TOO_LARGE"));
  };
  const onEnd = () => {
    const body = new Uint8Array(new ArrayBuffer(length));
    let at = 0;
    for (const piece of pieces) {
      body.set(piece, at);
      at += piece.length;
    }
    finish(body);
  };
  // The client went away before its body was here.
  const onError = () => finish(new Failure("CANCELLED"));
  payload.on("data", onData).on("end", onEnd).on("error", onError);
}

/** Whether the headers announce JSON in UTF-8, unencoded. */
export function announcesJson(headers: IncomingHttpHeaders): boolean {
  const encoding = headers["content-encoding"] ?? "identity";
  const [type = "", ...parameters] = (headers["content-type"] ?? "").toLowerCase().split(";");
  return (
    encoding === "identity" &&
    type.trim() === "application/json" &&
    parameters.every((parameter) => {
      const [name = "", value = ""] = parameter.split("=");
      return name.trim() !== "charset" || /^\s*"?utf-8"?\s*$/.test(value);
    })
  );
}
