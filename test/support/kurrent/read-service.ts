import { setTimeout as pause } from "node:timers/promises";
import { streamDeleted } from "./failures.ts";
import { failureOf, type NodeContext, refusalOf } from "./node-context.ts";
import { eventAnswer, firstAnswer, lastAnswer, notFoundAnswer } from "./read-answers.ts";
import { parseReadQuery, type ReadQuery } from "./read-query.ts";
import { LiveSubscription, type ReadCall, write } from "./subscription.ts";

/** Events taken from the store in one go. */
const PAGE = 256;

/** `Streams/Read`: reads of one stream or all, and subscriptions to them. */
export async function serveRead(context: NodeContext, call: ReadCall): Promise<void> {
  const query = parseReadQuery(call.request);
  const fault = context.faults.strike(query.limit === "subscription" ? "subscribe" : "read");
  if (fault?.effect === "hang") return;
  if (fault?.effect === "delay") await pause(fault.delayMs);
  const failure = (fault && failureOf(context, fault.effect)) ?? refusalOf(context, call.metadata);
  if (failure) throw failure;
  if (query.limit === "subscription") {
    const subscription = new LiveSubscription(call, query, context.store, context.now);
    context.subscriptions.add(subscription);
    try {
      await subscription.run();
    } finally {
      context.subscriptions.delete(subscription);
    }
  } else if (query.stream === null) {
    await readAll(context, call, query, query.limit);
  } else {
    await readStream(context, call, query, query.stream, query.limit);
  }
  call.end();
}

async function readStream(
  { store }: NodeContext,
  call: ReadCall,
  { from, direction, compatibility, structuredIds }: ReadQuery,
  stream: string,
  limit: number,
): Promise<void> {
  let next = from;
  let sent = 0;
  for (;;) {
    const size = Math.min(PAGE, limit - sent);
    const read = store.readStream(stream, next, direction, size);
    if (read.kind === "deleted") throw streamDeleted(stream);
    if (read.kind === "missing") return write(call, notFoundAnswer(stream));
    if (sent === 0 && read.events.length === 0 && compatibility >= 1 && direction === "forwards") {
      await write(call, firstAnswer(read.first));
    }
    for (const event of read.events) {
      await write(call, eventAnswer(event, structuredIds));
      next = direction === "forwards" ? event.revision + 1n : event.revision - 1n;
      sent++;
    }
    if (call.cancelled || read.events.length < size || sent === limit || next === -1n) {
      if (compatibility >= 1) await write(call, lastAnswer(read.last));
      return;
    }
  }
}

async function readAll(
  { store }: NodeContext,
  call: ReadCall,
  { from, direction, filter, structuredIds }: ReadQuery,
  limit: number,
): Promise<void> {
  let next = from;
  let sent = 0;
  for (;;) {
    const page = store.readAll(next, direction, PAGE);
    for (const event of page) {
      next = direction === "forwards" ? event.position + 1n : event.position;
      if (filter && !filter(event)) continue;
      await write(call, eventAnswer(event, structuredIds));
      if (++sent === limit) return;
    }
    if (page.length < PAGE || call.cancelled) return;
    // A long scan leaves other calls their turn.
    await new Promise(setImmediate);
  }
}
