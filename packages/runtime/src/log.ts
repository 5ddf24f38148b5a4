import { type Clock, Fault, Secret } from "@keyledger/core";
import { type DestinationStream, destination, pino } from "pino";

/** From the most to the least talkative. */
export const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "silent"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** All that a line may hold. Anything else is printed as `[not logged]`: there is no way to dump an object. */
export type LogValue = string | number | boolean | null | undefined | Secret | Error;

export interface LogFields {
  readonly [name: string]: LogValue;
  readonly level?: never;
  readonly time?: never;
  readonly event?: never;
  readonly error?: never;
}

/**
 * JSON lines of named events with plain fields. Strings are cut at 1 KiB and a `Secret` prints as `[secret]`. An error
 * shrinks to its name, its code and the places it came through; its message is printed only when it is ours (a `Fault`),
 * because the messages of libraries repeat what they were given.
 */
export interface Log {
  debug(event: string, fields?: LogFields, error?: unknown): void;
  info(event: string, fields?: LogFields, error?: unknown): void;
  warn(event: string, fields?: LogFields, error?: unknown): void;
  error(event: string, fields?: LogFields, error?: unknown): void;
  /** A log that adds these fields to each line. */
  child(fields: LogFields): Log;
}

/** @param options.destination standard error where left out. */
export function createLog(options: {
  readonly level: LogLevel;
  readonly clock: Pick<Clock, "now">;
  readonly destination?: DestinationStream;
}): Log {
  const { level, clock } = options;
  const logger = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${clock.now()}"`,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.destination ?? standardError(),
  );
  const bound = (fields: PlainFields): Log => {
    const at =
      (level: "debug" | "info" | "warn" | "error") =>
      (event: string, more?: LogFields, error?: unknown): void => {
        if (!logger.isLevelEnabled(level)) return;
        const about = error === undefined ? undefined : { error: errorFields(error) };
        logger[level]({ event: cut(event), ...fields, ...plainFields(more), ...about });
      };
    return {
      debug: at("debug"),
      info: at("info"),
      warn: at("warn"),
      error: at("error"),
      child: (more) => bound({ ...fields, ...plainFields(more) }),
    };
  };
  return bound({});
}

/** Synchronous, so that the last line before an exit is not lost. */
function standardError(): DestinationStream {
  const stream = destination({ dest: 2, sync: true, maxLength: UNWRITTEN_BYTES_MAX });
  // A full disk or a reader that went away must not take the service down; lines beyond the bound are dropped.
  stream.on("error", () => {});
  return stream;
}

const UNWRITTEN_BYTES_MAX = 1024 * 1024;

type PlainFields = Readonly<Record<string, unknown>>;

const RESERVED: ReadonlySet<string> = new Set(["level", "time", "event", "error"]);

function plainFields(fields: LogFields | undefined): PlainFields {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields ?? {})) {
    if (!RESERVED.has(name)) plain[name] = plainValue(value);
  }
  return plain;
}

function plainValue(value: unknown): unknown {
  switch (typeof value) {
    case "string":
      return cut(value);
    case "number":
    case "boolean":
    case "undefined":
      return value;
    default:
      if (value === null) return null;
      if (value instanceof Secret) return "[secret]";
      return value instanceof Error ? errorFields(value) : "[not logged]";
  }
}

/** Longest string of a line in bytes, the mark of a cut included. */
const STRING_BYTES_MAX = 1024;
const CUT_MARK = "…";
const encoder = new TextEncoder();
const scratch = new Uint8Array(STRING_BYTES_MAX - encoder.encode(CUT_MARK).byteLength);

function cut(text: string): string {
  // A UTF-16 unit takes at most three bytes.
  if (text.length * 3 <= scratch.byteLength) return text;
  const { read } = encoder.encodeInto(text, scratch);
  return read === text.length ? text : `${text.slice(0, read)}${CUT_MARK}`;
}

const CAUSES_MAX = 3;

function errorFields(error: unknown, causesLeft = CAUSES_MAX): PlainFields {
  if (!(error instanceof Error)) return { name: typeof error };
  const code = "code" in error ? error.code : undefined;
  return {
    name: /^[A-Za-z]\w{0,63}$/.test(error.name) ? error.name : "Error",
    // Codes of Node and of ours are names in capitals; of anything else we do not know what it holds.
    ...(typeof code === "string" && /^[A-Z][A-Z0-9_]{0,63}$/.test(code) && { code }),
    ...(error instanceof Fault && { message: cut(error.message), retryable: error.retryable }),
    at: places(error),
    ...(error.cause !== undefined &&
      causesLeft > 0 && { cause: errorFields(error.cause, causesLeft - 1) }),
  };
}

const PLACES_MAX = 6;

/** File names and lines of the stack, innermost first. Nothing else of it: its head repeats the message. */
function places(error: Error): string {
  const stack = typeof error.stack === "string" ? error.stack : "";
  const head = stack.indexOf(error.message);
  if (head < 0) return "";
  return [
    ...stack
      .slice(head + error.message.length)
      .matchAll(/^ {4}at .*?([\w.-]{1,64}\.[cm]?[jt]s:\d+:\d+)\)?$/gm),
  ]
    .slice(0, PLACES_MAX)
    .map(([, place]) => place)
    .join(" < ");
}
