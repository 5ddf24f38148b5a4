import { setTimeout as pause } from "node:timers/promises";
import type { ServerReadableStream, sendUnaryData } from "@grpc/grpc-js";
import { assertSize, expectedOf, parseProposed } from "./append-request.ts";
import { invalidArgument, plain, streamDeleted } from "./failures.ts";
import { shared, streams } from "./generated.ts";
import { failureOf, type NodeContext, refusalOf } from "./node-context.ts";
import { textOf } from "./read-query.ts";
import type { Expected, ProposedEvent, Written } from "./store.ts";

const { AppendResp } = streams;
const empty = () => new shared.Empty();

/** `Streams/Append`: options first, then one message for each event. */
export async function serveAppend(
  context: NodeContext,
  call: ServerReadableStream<streams.AppendReq, streams.AppendResp>,
  answer: sendUnaryData<streams.AppendResp>,
): Promise<void> {
  const fault = context.faults.strike("append");
  const failure = (fault && failureOf(context, fault.effect)) ?? refusalOf(context, call.metadata);
  if (failure) throw failure;
  let options: streams.AppendReq.Options | undefined;
  const events: ProposedEvent[] = [];
  for await (const request of call as AsyncIterable<streams.AppendReq>) {
    const proposed = request.getProposedMessage();
    if (proposed) events.push(parseProposed(proposed));
    else options = request.getOptions();
  }
  if (!options) throw invalidArgument("Options must come first");
  assertSize(events, context.limits);
  if (fault?.effect === "hang") return;
  if (fault?.effect === "delay") await pause(fault.delayMs);
  const stream = textOf(options.getStreamIdentifier()?.getStreamName_asU8());
  const expected = expectedOf(options, options.getRevision());
  const written = context.store.append(stream, expected, events);
  if (fault?.effect === "ack-lost") return;
  if (fault?.effect === "ack-cut") throw plain.unavailable();
  answer(null, responseOf(stream, expected, written));
}

function responseOf(stream: string, expected: Expected, written: Written): streams.AppendResp {
  switch (written.kind) {
    case "deleted":
      throw streamDeleted(stream);
    case "wrong-version":
      return new AppendResp().setWrongExpectedVersion(conflictOf(expected, written.current));
    default: {
      const success = new AppendResp.Success();
      success.setCurrentRevision(String(written.revision));
      if (written.position === undefined) success.setNoPosition(empty());
      else {
        const position = new AppendResp.Position();
        position
          .setCommitPosition(String(written.position))
          .setPreparePosition(String(written.position));
        success.setPosition(position);
      }
      return new AppendResp().setSuccess(success);
    }
  }
}

/** A conflict is an answer, not a status. The fields of servers before 21.2 are left out: no client reads them. */
function conflictOf(
  expected: Expected,
  current: bigint | undefined,
): streams.AppendResp.WrongExpectedVersion {
  const conflict = new AppendResp.WrongExpectedVersion();
  if (current === undefined) conflict.setCurrentNoStream(empty());
  else conflict.setCurrentRevision(String(current));
  if (expected === "any") conflict.setExpectedAny(empty());
  else if (expected === "none") conflict.setExpectedNoStream(empty());
  else if (expected === "exists") conflict.setExpectedStreamExists(empty());
  else conflict.setExpectedRevision(String(expected));
  return conflict;
}
