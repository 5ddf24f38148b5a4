import { EventEmitter } from "node:events";
import type { CancelSignal, RecordedEvent } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { type Heard, KurrentEcho } from "./kurrent-echo.ts";
import type { Resolved } from "./kurrent-event.ts";

class FakeSubscription extends EventEmitter implements Heard {
  isCancelled = false;
  async unsubscribe(): Promise<void> {
    this.isCancelled = true;
  }
}

/** Time passes at once where `pauses` are over; a wait for an echo lasts until the test says so. */
function listening(decode: (resolved: Resolved) => RecordedEvent | undefined = decodeAny) {
  const subscriptions: FakeSubscription[] = [];
  const host = {
    pause: (_ms: number, signal?: CancelSignal) =>
      new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 5);
        signal?.addEventListener("abort", () => {
          clearTimeout(timer);
          resolve();
        });
      }),
    random: {
      bytes: (length: number) => new Uint8Array(length),
      uuid: () => "",
      fraction: () => 0,
    },
  };
  const echo = new KurrentEcho(
    host,
    () => {
      const subscription = new FakeSubscription();
      subscriptions.push(subscription);
      return subscription;
    },
    decode,
  );
  echo.begin();
  return { echo, subscriptions, live: () => subscriptions.at(-1)?.emit("confirmation") };
}

const eventAt = (revision: number, data = "{}"): Resolved => ({
  event: {
    streamId: "keyring-user.1",
    revision: BigInt(revision),
    id: "i",
    type: "T",
    data,
    isJson: true,
  },
});

const decodeAny = ({ event }: Resolved): RecordedEvent | undefined =>
  event && {
    stream: event.streamId,
    revision: Number(event.revision),
    position: "",
    id: event.id,
    type: event.type,
    data: String(event.data),
    metadata: {},
  };

const STREAM = "keyring-user.1";

describe("The echo of what was written", () => {
  it("gives all events of a span, also those that come while it is waited for", async () => {
    const { echo, subscriptions, live } = listening();
    live();
    subscriptions[0]?.emit("data", eventAt(3));
    const span = echo.span(STREAM, 3, 4);
    subscriptions[0]?.emit("data", eventAt(4));
    expect((await span)?.map(({ revision }) => revision)).toStrictEqual([3, 4]);
    expect(await Promise.all([echo.span(STREAM, 4, 4), echo.span(STREAM, 4, 4)])).toHaveLength(2);
    await echo.end();
  });

  it("gives nothing before it is heard, nor what does not come in time", async () => {
    const { echo, subscriptions, live } = listening();
    expect(await echo.span(STREAM, 0, 0)).toBeUndefined();
    live();
    expect(await echo.span(STREAM, 0, 0)).toBeUndefined();
    subscriptions[0]?.emit("data", eventAt(1));
    expect(await echo.span(STREAM, 0, 1)).toBeUndefined();
    expect(await echo.span("keyring-user.2", 1, 1)).toBeUndefined();
    await echo.end();
  });

  it("takes another subscription when three in a row did not come back", async () => {
    const { echo, subscriptions, live } = listening();
    live();
    for (let nth = 0; nth < 2; nth++) await echo.span(STREAM, nth, nth);
    subscriptions[0]?.emit("data", eventAt(2));
    await echo.span(STREAM, 2, 2);
    for (let nth = 3; nth < 5; nth++) await echo.span(STREAM, nth, nth);
    expect(subscriptions).toHaveLength(1);
    await echo.span(STREAM, 5, 5);
    await expect.poll(() => subscriptions.length).toBe(2);
    expect(subscriptions[0]?.isCancelled).toBe(true);
    live();
    const span = echo.span(STREAM, 6, 6);
    subscriptions[1]?.emit("data", eventAt(6));
    expect(await span).toHaveLength(1);
    await echo.end();
  });

  it.for(["error", "close", "end"])("takes another subscription after %s", async (sign) => {
    const { echo, subscriptions, live } = listening();
    live();
    subscriptions[0]?.emit(sign, new Error("gone"));
    expect(await echo.span(STREAM, 0, 0)).toBeUndefined();
    await expect.poll(() => subscriptions.length).toBe(2);
    await echo.end();
  });

  it("keeps no more than some megabytes", async () => {
    const { echo, subscriptions, live } = listening();
    live();
    for (let nth = 0; nth < 10; nth++)
      subscriptions[0]?.emit("data", eventAt(nth, "x".repeat(1_048_576)));
    expect(await echo.span(STREAM, 5, 5)).toBeUndefined();
    expect(await echo.span(STREAM, 6, 9)).toHaveLength(4);
    for (let nth = 10; nth < 2_015; nth++) subscriptions[0]?.emit("data", eventAt(nth));
    expect(await echo.span(STREAM, 14, 14)).toBeUndefined();
    expect(await echo.span(STREAM, 15, 2_014)).toHaveLength(2_000);
    await echo.end();
  });

  it("passes over what cannot be read", async () => {
    const { echo, subscriptions, live } = listening(() => {
      throw new Error("damaged");
    });
    live();
    subscriptions[0]?.emit("data", eventAt(0));
    expect(await echo.span(STREAM, 0, 0)).toBeUndefined();
    await echo.end();
  });
});
