import { afterAll } from "vitest";
import { openKurrentEngine } from "../support/kurrent/engine.ts";
import { accessLogContract } from "./access-log.contract.ts";
import { newAccessLogStore, newEventLogStore } from "./cluster-kurrent.ts";
import { eventLogContract } from "./event-log.contract.ts";

const engine = await openKurrentEngine();
afterAll(() => engine[Symbol.asyncDispose]());

const on = `on KurrentDB ${engine.version}`;

eventLogContract(`The event log ${on}`, async () => newEventLogStore(engine), {
  gapFree: false,
  // The engine looks for an id only where it is expected to stand.
  seesEveryId: false,
});

accessLogContract(`The access log ${on}`, async () => newAccessLogStore(engine), {
  gapFree: false,
});
