import { setTimeout as pause } from "node:timers/promises";
import type { Metadata } from "@grpc/grpc-js";
import { expectedOf } from "./append-request.ts";
import { plain, streamDeleted, wrongVersionOnDelete } from "./failures.ts";
import { streams } from "./generated.ts";
import { failureOf, type NodeContext, refusalOf } from "./node-context.ts";
import { textOf } from "./read-query.ts";
import type { Expected } from "./store.ts";

interface Call<Request> {
  readonly request: Request;
  readonly metadata: Metadata;
}

/** `Streams/Delete`. */
export async function serveDelete(
  context: NodeContext,
  call: Call<streams.DeleteReq>,
): Promise<streams.DeleteResp | undefined> {
  const position = await remove(context, "delete", call.metadata, call.request.getOptions());
  if (position === undefined) return undefined;
  const at = new streams.DeleteResp.Position();
  return new streams.DeleteResp().setPosition(
    at.setCommitPosition(String(position)).setPreparePosition(String(position)),
  );
}

/** `Streams/Tombstone`. */
export async function serveTombstone(
  context: NodeContext,
  call: Call<streams.TombstoneReq>,
): Promise<streams.TombstoneResp | undefined> {
  const position = await remove(context, "tombstone", call.metadata, call.request.getOptions());
  if (position === undefined) return undefined;
  const at = new streams.TombstoneResp.Position();
  return new streams.TombstoneResp().setPosition(
    at.setCommitPosition(String(position)).setPreparePosition(String(position)),
  );
}

/** @returns `undefined` where no answer is given. */
async function remove(
  context: NodeContext,
  how: "delete" | "tombstone",
  metadata: Metadata,
  options: streams.DeleteReq.Options | streams.TombstoneReq.Options | undefined,
): Promise<bigint | undefined> {
  const fault = context.faults.strike("delete");
  const failure = (fault && failureOf(context, fault.effect)) ?? refusalOf(context, metadata);
  if (failure) throw failure;
  if (fault?.effect === "hang") return undefined;
  if (fault?.effect === "delay") await pause(fault.delayMs);
  const stream = textOf(options?.getStreamIdentifier()?.getStreamName_asU8());
  const expected = options ? expectedOf(options, options.getRevision()) : "any";
  const removed = context.store[how](stream, expected);
  if (fault?.effect === "ack-lost") return undefined;
  if (fault?.effect === "ack-cut") throw plain.unavailable();
  switch (removed.kind) {
    case "deleted":
      throw streamDeleted(stream);
    case "wrong-version":
      throw wrongVersionOnDelete(stream, numberOf(expected), removed.current);
    default:
      return removed.position;
  }
}

/** As the server counts what is no revision. */
function numberOf(expected: Expected): bigint {
  if (expected === "none") return -1n;
  if (expected === "any") return -2n;
  return expected === "exists" ? -4n : expected;
}
