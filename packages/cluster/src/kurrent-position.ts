import type { Position, Uuid } from "@keyledger/core";

/** First byte of a token: the cluster family's feeds. */
export const CLUSTER_CHANGES = 0x11;
export const CLUSTER_ACCESS = 0x12;

/** Where an event stands in the engine's log. */
export interface LogPosition {
  readonly commit: bigint;
  readonly prepare: bigint;
}

/**
 * The tokens of one feed of one deployment: 33 bytes as lower-case hex, the last sixteen commit and prepare position as
 * big-endian numbers of 64 bits.
 */
export interface Positions {
  /** Before the first event. */
  readonly zero: Position;
  encode(position: LogPosition): Position;
  /** @returns `undefined` where the text is no token of this feed. */
  parse(token: string): LogPosition | undefined;
}

export function positionsOf(feed: number, deploymentId: Uuid): Positions {
  const prefix = feed.toString(16).padStart(2, "0") + deploymentId.replaceAll("-", "");
  const encode = ({ commit, prepare }: LogPosition): Position =>
    prefix + hex(commit) + hex(prepare);
  const parse = (token: string): LogPosition | undefined => {
    const numbers = token.slice(prefix.length);
    if (!token.startsWith(prefix) || !NUMBERS.test(numbers)) return undefined;
    return {
      commit: BigInt(`0x${numbers.slice(0, NUMBER_DIGITS)}`),
      prepare: BigInt(`0x${numbers.slice(NUMBER_DIGITS)}`),
    };
  };
  return { zero: encode({ commit: 0n, prepare: 0n }), encode, parse };
}

const NUMBER_DIGITS = 16;
const NUMBERS = /^[0-9a-f]{32}$/;

const hex = (number: bigint): string => number.toString(16).padStart(NUMBER_DIGITS, "0");
