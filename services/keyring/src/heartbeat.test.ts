import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { withHeartbeat } from "./heartbeat.ts";

/** A pause that ends when the test says so. */
function manualPause() {
  const ends: (() => void)[] = [];
  const pause = (_ms: number): Promise<void> => new Promise((resolve) => ends.push(resolve));
  return { pause, end: () => ends.at(-1)?.() };
}

async function* slowly(release: Promise<void>): AsyncGenerator<string> {
  yield "first";
  await release;
  yield "second";
}

describe("a stream with a heartbeat", () => {
  it("passes every item on in order, and beats while none comes", async () => {
    const { pause, end } = manualPause();
    const { promise, resolve } = Promise.withResolvers<void>();
    const stream = withHeartbeat(slowly(promise), { everyMs: 1, pause, beat: () => "beat" });
    expect((await stream.next()).value).toBe("first");
    for (let count = 0; count < 2; count++) {
      const next = stream.next();
      await turn();
      end();
      expect((await next).value).toBe("beat");
    }
    resolve();
    expect((await stream.next()).value).toBe("second");
    expect((await stream.next()).done).toBe(true);
  });

  it("ends at once when its reader leaves while it waits", async () => {
    const { pause } = manualPause();
    const stream = withHeartbeat(slowly(new Promise(() => {})), {
      everyMs: 1,
      pause,
      beat: () => "beat",
    });
    for await (const item of stream) {
      expect(item).toBe("first");
      break;
    }
    expect((await stream.next()).done).toBe(true);
  });

  it("does not mind a source that cannot even be left in peace", async () => {
    const { pause } = manualPause();
    let isLeft = false;
    const source: AsyncIterable<string> = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ value: "first", done: false }),
        return: async () => {
          isLeft = true;
          throw new Error("the feed is broken");
        },
      }),
    };
    // A rejection that nobody takes would end the process, as it ends a run of tests.
    for await (const item of withHeartbeat(source, { everyMs: 1, pause, beat: () => "beat" })) {
      expect(item).toBe("first");
      break;
    }
    await turn();
    expect(isLeft).toBe(true);
  });
});
