import { EventEmitter } from "node:events";
import type { Pause } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { drain, type StopSignal, untilSignal } from "./serve.ts";

/** A process whose time is set by hand. */
function fakeProcess() {
  const signals = new EventEmitter();
  const exits: number[] = [];
  let nowMs = 5000;
  const source = {
    on: (signal: StopSignal, listener: () => void) => signals.on(signal, listener),
    exit: (code: number) => void exits.push(code),
  };
  return {
    exits,
    stopped: untilSignal({ monotonicMs: () => nowMs }, source),
    at(laterMs: number, signal: StopSignal) {
      nowMs = 5000 + laterMs;
      signals.emit(signal);
    },
  };
}

describe("a stop signal", () => {
  it.for<StopSignal>(["SIGINT", "SIGTERM", "SIGHUP"])("may be %s", async (signal) => {
    const process = fakeProcess();
    process.at(0, signal);
    expect(await process.stopped).toBe(signal);
    expect(process.exits).toStrictEqual([]);
  });

  it("is the same one when it comes again within a second, as npm forwards it", () => {
    const process = fakeProcess();
    process.at(0, "SIGINT");
    process.at(30, "SIGINT");
    process.at(1000, "SIGTERM");
    expect(process.exits).toStrictEqual([]);
  });

  it.for<[StopSignal, number]>([
    ["SIGHUP", 129],
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ])("ends the process at once when a %s follows later, with code %i", ([signal, code]) => {
    const process = fakeProcess();
    process.at(0, "SIGTERM");
    process.at(1001, signal);
    expect(process.exits).toStrictEqual([code]);
  });
});

/** A host whose pauses take no time at all, but move the clock; an aborted one stands still. */
function fakeHost() {
  let nowMs = 0;
  const pauses: number[] = [];
  const pause: Pause = async (ms, signal) => {
    pauses.push(ms);
    // Everything that can end by itself ends before the pause does.
    for (let turn = 0; turn < 50 && !signal?.aborted; turn++) await Promise.resolve();
    if (!signal?.aborted) nowMs += ms;
  };
  const clock = { now: () => "2026-01-02T03:04:05.006Z", monotonicMs: () => nowMs };
  return { clock, pause, pauses, advance: (ms: number) => (nowMs += ms) };
}

const never = new Promise<void>(() => {});

describe("a drain", () => {
  it("takes the steps one after the other", async () => {
    const host = fakeHost();
    const order: string[] = [];
    const step = (name: string) => ({
      name,
      run: async () => {
        order.push(`${name} begins`);
        await Promise.resolve();
        host.advance(10);
        order.push(`${name} ends`);
      },
    });
    const drained = await drain([step("grpc"), step("log")], 1000, host);
    expect(order).toStrictEqual(["grpc begins", "grpc ends", "log begins", "log ends"]);
    expect(drained).toStrictEqual([
      { name: "grpc", end: "done", elapsedMs: 10 },
      { name: "log", end: "done", elapsedMs: 10 },
    ]);
  });

  it("goes on behind a step that fails, at once or later", async () => {
    const host = fakeHost();
    const error = new Error("no");
    const drained = await drain(
      [
        {
          name: "throws",
          run: () => {
            throw error;
          },
        },
        { name: "rejects", run: () => Promise.reject(error) },
        { name: "closes", run: () => Promise.resolve() },
      ],
      1000,
      host,
    );
    expect(drained).toStrictEqual([
      { name: "throws", end: "failed", error, elapsedMs: 0 },
      { name: "rejects", end: "failed", error, elapsedMs: 0 },
      { name: "closes", end: "done", elapsedMs: 0 },
    ]);
  });

  it("tells a step that the grace time is over, and takes its answer", async () => {
    const host = fakeHost();
    const run = (signal: AbortSignal) =>
      new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
    const drained = await drain([{ name: "streams", run }], 5000, host);
    expect(drained).toStrictEqual([{ name: "streams", end: "done", elapsedMs: 5000 }]);
  });

  it("cuts off a step that does not listen, and still gives those behind it a second each", async () => {
    const host = fakeHost();
    const aborted: boolean[] = [];
    const drained = await drain(
      [
        { name: "stuck", run: () => never },
        { name: "closes", run: async (signal) => void aborted.push(signal.aborted) },
        { name: "stuck too", run: () => never },
      ],
      5000,
      host,
    );
    expect(aborted).toStrictEqual([true]);
    expect(drained).toStrictEqual([
      { name: "stuck", end: "cut-off", elapsedMs: 6000 },
      { name: "closes", end: "done", elapsedMs: 0 },
      { name: "stuck too", end: "cut-off", elapsedMs: 1000 },
    ]);
  });

  it("leaves no timer behind", async () => {
    const host = fakeHost();
    const signals: (AbortSignal | undefined)[] = [];
    const pause: Pause = (ms, signal) => {
      signals.push(signal as AbortSignal);
      return host.pause(ms, signal);
    };
    const steps = [{ name: "closes", run: () => Promise.resolve() }];
    await drain(steps, 5000, { clock: host.clock, pause });
    expect(signals.map((signal) => signal?.aborted)).toStrictEqual([true]);
  });
});
