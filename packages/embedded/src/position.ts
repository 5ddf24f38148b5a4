import type { Position, PositionCheck, Uuid } from "@keyledger/core";

/** First byte of a token: the embedded family's feeds. */
export const EMBEDDED_CHANGES = 0x01;
export const EMBEDDED_ACCESS = 0x02;

/** The tokens of one feed of one deployment: 25 bytes as lower-case hex, the last eight a big-endian sequence number. */
export interface Positions {
  /** Before the first event: sequence 0. */
  readonly zero: Position;
  encode(sequence: number): Position;
  /** @returns the sequence, or `undefined` where the text is no token of this feed. */
  parse(token: string): number | undefined;
  check(token: string, headSequence: number): PositionCheck;
  /**
   * Sequence to read behind. Whoever takes tokens from outside checks them first, so a wrong one here is a bug.
   * @throws {RangeError} no token of this feed, or beyond its end.
   */
  sequenceOf(token: Position, headSequence: number): number;
}

export function positionsOf(feed: number, deploymentId: Uuid): Positions {
  const prefix = byteHex(feed) + deploymentId.replaceAll("-", "");
  const encode = (sequence: number): Position =>
    prefix + sequence.toString(16).padStart(SEQUENCE_DIGITS, "0");
  const parse = (token: string): number | undefined => {
    const digits = token.slice(prefix.length);
    return token.startsWith(prefix) && SEQUENCE.test(digits)
      ? Number.parseInt(digits, 16)
      : undefined;
  };
  const check = (token: string, headSequence: number): PositionCheck => {
    const sequence = parse(token);
    if (sequence === undefined) return "foreign";
    return sequence > headSequence ? "ahead" : "known";
  };
  const sequenceOf = (token: Position, headSequence: number): number => {
    const sequence = parse(token);
    if (sequence === undefined) throw new RangeError("the position is not one of this feed");
    if (sequence > headSequence)
      throw new RangeError("the position is beyond the end of this feed");
    return sequence;
  };
  return { zero: encode(0), encode, parse, check, sequenceOf };
}

const SEQUENCE_DIGITS = 16;
const SEQUENCE = /^[0-9a-f]{16}$/;

const byteHex = (byte: number): string => byte.toString(16).padStart(2, "0");
