import { closeSync, openSync } from "node:fs";
import { Fault, Secret, StoreUnavailable } from "@keyledger/core";
import fc from "fast-check";
import { destination } from "pino";
import { describe, expect, it } from "vitest";
import { createLog, type Log, type LogLevel } from "./log.ts";

const clock = { now: () => "2026-01-02T03:04:05.006Z" };
const canary = "sk-canary-0123456789abcdef";

function recorded(level: LogLevel, write: (log: Log) => void): readonly string[] {
  const lines: string[] = [];
  write(createLog({ level, clock, destination: { write: (line) => void lines.push(line) } }));
  return lines;
}

function only(write: (log: Log) => void): Record<string, unknown> {
  const lines = recorded("trace", write);
  expect(lines).toHaveLength(1);
  return JSON.parse(lines[0] ?? "");
}

describe("a log line", () => {
  it("holds level, time, event and the fields", () => {
    const line = only((log) => log.info("listening", { port: 8080, isTls: false, host: "::1" }));
    expect(line).toStrictEqual({
      level: "info",
      time: clock.now(),
      event: "listening",
      port: 8080,
      isTls: false,
      host: "::1",
    });
  });

  it("begins with level, time and event, for the eye and for grep", () => {
    const [line] = recorded("info", (log) => log.child({ part: "views" }).info("ready", { n: 1 }));
    expect(line).toBe(
      `{"level":"info","time":"${clock.now()}","event":"ready","part":"views","n":1}\n`,
    );
  });

  it("ends in exactly one newline, whatever a field holds", () => {
    const lines: string[] = [];
    const log = createLog({
      level: "info",
      clock,
      destination: { write: (line) => void lines.push(line) },
    });
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (event, text) => {
        log.info(event, { text });
        const line = lines.pop() ?? "";
        expect(line.indexOf("\n")).toBe(line.length - 1);
        expect(() => JSON.parse(line)).not.toThrow();
      }),
    );
  });

  it("cuts a string at 1 KiB, between characters", () => {
    const { text } = only((log) => log.info("long", { text: "é".repeat(100_000) }));
    expect(text).toBe(`${"é".repeat(510)}…`);
    expect(Buffer.byteLength(String(text))).toBeLessThanOrEqual(1024);
  });

  it("keeps a string that fits", () => {
    const text = "x".repeat(1000);
    expect(only((log) => log.info("fits", { text }))).toHaveProperty("text", text);
  });

  it("cuts a long event too", () => {
    expect(String(only((log) => log.info("e".repeat(5000))).event)).toHaveLength(1022);
  });

  it("prints a secret as [secret]", () => {
    const key = new Secret(new TextEncoder().encode(canary));
    expect(only((log) => log.info("stored", { key }))).toHaveProperty("key", "[secret]");
  });

  it("prints no object, array, function or bytes that slipped past the types", () => {
    for (const smuggled of [{ canary }, [canary], () => canary, Buffer.from(canary), 1n]) {
      const fields = { smuggled: smuggled as unknown as string };
      expect(only((log) => log.info("smuggled", fields))).toHaveProperty(
        "smuggled",
        "[not logged]",
      );
    }
  });

  it("cannot have its level, time or event replaced by a field", () => {
    const forged = { level: "error", time: "never", event: "forged" } as unknown as object;
    const [line = ""] = recorded("info", (log) =>
      log.child({ ...forged }).info("real", { ...forged }),
    );
    expect(line).toBe(`{"level":"info","time":"${clock.now()}","event":"real"}\n`);
  });

  it("carries the fields of its child once, the call's own winning", () => {
    const [line = ""] = recorded("info", (log) =>
      log
        .child({ part: "reaper", stream: "a" })
        .child({ stream: "b" })
        .info("wiped", { stream: "c" }),
    );
    expect(line.match(/"stream"/g)).toHaveLength(1);
    expect(JSON.parse(line)).toMatchObject({ part: "reaper", stream: "c" });
  });
});

describe("an error in a log line", () => {
  const loggedError = (error: unknown) =>
    only((log) => log.error("failed", {}, error)).error as Record<string, unknown>;

  it("keeps the message of a fault, which is ours", () => {
    const fault = new StoreUnavailable("the disk is full", { retryable: true });
    expect(loggedError(fault)).toMatchObject({
      name: "StoreUnavailable",
      message: "the disk is full",
      retryable: true,
    });
  });

  it("drops every message that is not ours, at any depth", () => {
    const library = new TypeError(`bad input ${canary}`, { cause: new Error(canary) });
    const fault = new Fault("the probe broke", { retryable: false, cause: library });
    for (const thrown of [
      library,
      fault,
      canary,
      { canary },
      new AggregateError([library], canary),
    ]) {
      expect(JSON.stringify(loggedError(thrown))).not.toContain(canary);
    }
    expect(loggedError(fault)).toMatchObject({
      cause: { name: "TypeError", cause: { name: "Error" } },
    });
  });

  it("says where it came from, without the message that heads the stack", () => {
    const error = new Error(`no\n    at ${canary}.ts:1:1\n${canary}`);
    expect(loggedError(error).at).toMatch(/^log\.test\.ts:\d+:\d+/);
    expect(String(loggedError(error).at)).not.toContain(canary);
  });

  it("says nothing of where it came from when the message was changed later", () => {
    const error = new Error(`first\n    at ${canary}.ts:1:1`);
    expect(error.stack).toContain("first");
    error.message = "second";
    expect(loggedError(error).at).toBe("");
  });

  it("keeps a code in capitals and drops any other", () => {
    const withCode = (code: unknown) => loggedError(Object.assign(new Error("x"), { code }));
    expect(withCode("ECONNREFUSED")).toHaveProperty("code", "ECONNREFUSED");
    for (const code of [canary, "A B", 5, { canary }, "A".repeat(65)]) {
      expect(withCode(code)).not.toHaveProperty("code");
    }
  });

  it("replaces a name that is no identifier", () => {
    const error = Object.assign(new Error("x"), { name: `${canary} !` });
    expect(loggedError(error)).toHaveProperty("name", "Error");
  });

  it("does not follow a circle of causes", () => {
    const error = new Error("x");
    error.cause = error;
    expect(JSON.stringify(loggedError(error)).match(/"cause"/g)).toHaveLength(3);
  });
});

describe("a log level", () => {
  it.for<[LogLevel, number]>([
    ["trace", 4],
    ["debug", 4],
    ["info", 3],
    ["warn", 2],
    ["error", 1],
    ["silent", 0],
  ])("%s lets %i of debug, info, warn and error through", ([level, count]) => {
    const lines = recorded(level, (log) => {
      log.debug("d");
      log.info("i");
      log.warn("w");
      log.error("e");
    });
    expect(lines).toHaveLength(count);
  });
});

describe("a log on a full disk", () => {
  it.skipIf(process.platform !== "linux")("does not throw", () => {
    const full = openSync("/dev/full", "w");
    const stream = destination({ dest: full, sync: true });
    const failures: unknown[] = [];
    stream.on("error", (error) => failures.push(error));
    const log = createLog({ level: "info", clock, destination: stream });
    for (let line = 0; line < 100; line++) log.info("lost");
    expect(failures).not.toHaveLength(0);
    closeSync(full);
  });
});
