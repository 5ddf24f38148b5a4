import { setTimeout as pause } from "node:timers/promises";
import { type ServerDuplexStream, status } from "@grpc/grpc-js";
import { assertSize, expectedOf, parseProposed } from "./append-request.ts";
import { Failure, plain } from "./failures.ts";
import { any, emptyMessage, shared, status as statuses, streams } from "./generated.ts";
import { checkCredentials, failureOf, type NodeContext, refusalOf } from "./node-context.ts";
import { identifier } from "./read-answers.ts";
import { textOf } from "./read-query.ts";
import type { Expected, ProposedEvent, Written } from "./store.ts";
import { readUuid } from "./uuid.ts";

export type BatchCall = ServerDuplexStream<streams.BatchAppendReq, streams.BatchAppendResp>;

const { BatchAppendResp } = streams;
const empty = () => new emptyMessage.Empty();

/** One append, which may come in several requests. */
interface Pending {
  readonly stream: string;
  readonly expected: Expected;
  readonly events: ProposedEvent[];
}

/** `Streams/BatchAppend`: one long call that carries all appends of a client, each answered exactly once. */
export async function serveBatchAppend(context: NodeContext, call: BatchCall): Promise<void> {
  const refusal = refusalOf(context, call.metadata);
  const mayWrite = checkCredentials(context.users, call.metadata) === "fine";
  if (refusal && mayWrite) throw refusal;
  if (refusal && refusal.code === status.UNAUTHENTICATED) throw refusal;
  const pending = new Map<string, Pending>();
  for await (const request of call as AsyncIterable<streams.BatchAppendReq>) {
    const id = readUuid(request.getCorrelationId());
    const options = request.getOptions();
    if (options) {
      const stream = textOf(options.getStreamIdentifier()?.getStreamName_asU8());
      const problem = mayWrite ? lateness(options, context.now()) : accessDeniedStatus();
      if (problem) {
        call.write(answerTo(request, stream).setError(problem));
        continue;
      }
      const expected = expectedOf(options, options.getStreamPosition());
      pending.set(id, { stream, expected, events: [] });
    }
    const append = pending.get(id);
    // What was answered already, for being too large or too late, is not answered again.
    if (!append) continue;
    try {
      append.events.push(...request.getProposedMessagesList().map(parseProposed));
      assertSize(append.events, context.limits);
    } catch (error) {
      pending.delete(id);
      if (!(error instanceof Failure)) throw error;
      call.write(answerTo(request, append.stream).setError(tooLarge(error, context)));
      continue;
    }
    if (!request.getIsFinal()) continue;
    pending.delete(id);
    const fault = context.faults.strike("append");
    // Each append goes its own way: one that is slow holds up no other.
    void commit(context, call, request, append, fault);
  }
  call.end();
}

async function commit(
  context: NodeContext,
  call: BatchCall,
  request: streams.BatchAppendReq,
  { stream, expected, events }: Pending,
  fault: ReturnType<NodeContext["faults"]["strike"]>,
): Promise<void> {
  if (fault?.effect === "hang") return;
  if (fault?.effect === "delay") await pause(fault.delayMs);
  const answer = answerTo(request, stream);
  if (fault?.effect === "timeout" || fault?.effect === "unknown") {
    const Detail = fault.effect === "timeout" ? shared.Timeout : shared.Unknown;
    const name = fault.effect === "timeout" ? "Timeout" : "Unknown";
    call.write(answer.setError(statusOf(status.UNKNOWN, name, new Detail().serializeBinary())));
    return;
  }
  const failure = fault && failureOf(context, fault.effect);
  if (failure) {
    call.emit("error", failure);
    return;
  }
  const written = context.store.append(stream, expected, events);
  if (fault?.effect === "ack-lost" || call.cancelled) return;
  if (fault?.effect === "ack-cut") call.emit("error", plain.unavailable());
  else call.write(withOutcome(answer, stream, expected, written));
}

const answerTo = (request: streams.BatchAppendReq, stream: string): streams.BatchAppendResp => {
  const correlationId = request.getCorrelationId();
  const answer = new BatchAppendResp().setStreamIdentifier(identifier(stream));
  return correlationId ? answer.setCorrelationId(correlationId) : answer;
};

function withOutcome(
  answer: streams.BatchAppendResp,
  stream: string,
  expected: Expected,
  written: Written,
): streams.BatchAppendResp {
  switch (written.kind) {
    case "deleted": {
      const detail = new shared.StreamDeleted().setStreamIdentifier(identifier(stream));
      return answer.setError(
        statusOf(status.FAILED_PRECONDITION, "StreamDeleted", detail.serializeBinary()),
      );
    }
    case "wrong-version": {
      const detail = conflictOf(expected, written.current).serializeBinary();
      return answer.setError(statusOf(status.FAILED_PRECONDITION, "WrongExpectedVersion", detail));
    }
    default: {
      const success = new BatchAppendResp.Success();
      success.setCurrentRevision(String(written.revision));
      if (written.position === undefined) return answer.setSuccess(success.setNoPosition(empty()));
      const position = new shared.AllStreamPosition();
      position
        .setCommitPosition(String(written.position))
        .setPreparePosition(String(written.position));
      return answer.setSuccess(success.setPosition(position));
    }
  }
}

function conflictOf(expected: Expected, current: bigint | undefined): shared.WrongExpectedVersion {
  const conflict = new shared.WrongExpectedVersion();
  if (current === undefined) conflict.setCurrentNoStream(empty());
  else conflict.setCurrentStreamRevision(String(current));
  if (expected === "any") conflict.setExpectedAny(empty());
  else if (expected === "none") conflict.setExpectedNoStream(empty());
  else if (expected === "exists") conflict.setExpectedStreamExists(empty());
  else conflict.setExpectedStreamPosition(String(expected));
  return conflict;
}

/** The client says when it will have given up; what comes after that is not tried. */
function lateness(
  options: streams.BatchAppendReq.Options,
  nowMs: number,
): statuses.Status | undefined {
  const deadline = options.getDeadline21100()?.toDate().getTime();
  if (deadline === undefined || deadline > nowMs) return undefined;
  return statusOf(status.DEADLINE_EXCEEDED, "Timeout", new shared.Timeout().serializeBinary());
}

const accessDeniedStatus = (): statuses.Status =>
  statusOf(status.PERMISSION_DENIED, "AccessDenied", new shared.AccessDenied().serializeBinary());

function tooLarge(failure: Failure, { limits }: NodeContext): statuses.Status {
  if (failure.metadata.get("exception")[0] !== "maximum-append-size-exceeded") {
    const detail = new shared.BadRequest().setMessage(failure.details);
    return statusOf(status.INVALID_ARGUMENT, "BadRequest", detail.serializeBinary());
  }
  const detail = new shared.MaximumAppendSizeExceeded().setMaxappendsize(limits.appendBytesMax);
  return statusOf(status.INVALID_ARGUMENT, "MaximumAppendSizeExceeded", detail.serializeBinary());
}

/** One detail, packed: that is what clients look for. */
function statusOf(code: number, name: string, detail: Uint8Array): statuses.Status {
  const packed = new any.Any();
  packed.pack(detail, `event_store.client.${name}`);
  return new statuses.Status().setCode(code).setMessage(name).setDetails(packed);
}
