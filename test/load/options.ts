import { parseArgs } from "node:util";

export interface Options {
  /** Smaller and fewer samples: at most 45 s, and a wider spread. */
  readonly isQuick: boolean;
  /** Where the figures go as JSON, besides the terminal. */
  readonly jsonFile: string | undefined;
}

/** @returns the options, or what is wrong with the arguments. */
export function readOptions(args: readonly string[]): Options | { readonly problem: string } {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { quick: { type: "boolean", default: false }, json: { type: "string" } },
    });
    return { isQuick: values.quick, jsonFile: values.json };
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) };
  }
}

/** How much is measured. */
export interface Effort {
  /** Samples of each side; their medians are compared. */
  readonly rounds: number;
  /** After this time no further samples are begun, in milliseconds: a machine that is busy otherwise takes long. */
  readonly roundsMs: number;
  /** Length of one sample under load, in milliseconds. */
  readonly sampleMs: number;
  /** Longest load beforehand that does not count, in milliseconds. */
  readonly warmUpMs: number;
  /** Events in the log of the rebuild and start-up figures. */
  readonly historyEvents: number;
  /** Starts of a process are dear, so there are fewer of them. */
  readonly starts: number;
}

export const effortOf = ({ isQuick }: Options): Effort =>
  isQuick
    ? {
        rounds: 3,
        roundsMs: 3_500,
        sampleMs: 300,
        warmUpMs: 1_200,
        historyEvents: 20_000,
        starts: 2,
      }
    : {
        rounds: 7,
        roundsMs: 25_000,
        sampleMs: 1_200,
        warmUpMs: 6_000,
        historyEvents: 100_000,
        starts: 5,
      };
