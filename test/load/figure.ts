/** What a value must be, measured against the baseline of the same run or by itself. */
export type Goal =
  | { readonly kind: "at-least-times-baseline"; readonly bound: number }
  | { readonly kind: "at-most-times-baseline"; readonly bound: number }
  | { readonly kind: "at-least"; readonly bound: number }
  | { readonly kind: "at-most"; readonly bound: number };

export interface Figure {
  /** What was measured, in words. */
  readonly name: string;
  readonly unit: "/s" | "µs/call" | "s";
  readonly subject: readonly number[];
  readonly baseline: { readonly name: string; readonly samples: readonly number[] };
  /** `null`: shown for orientation. */
  readonly goal: Goal | null;
  /** What whoever reads the figure should know of this run. */
  readonly note?: string;
}

/** A figure summed up. */
export interface Judged {
  readonly value: number;
  readonly baseline: number;
  readonly ratio: number;
  /** A figure without a goal misses none. */
  readonly ok: boolean;
}

export function judge({ subject, baseline, goal }: Figure): Judged {
  const value = median(subject);
  const base = median(baseline.samples);
  const ratio = value / base;
  return { value, baseline: base, ratio, ok: goal === null || meets(goal, value, ratio) };
}

function meets({ kind, bound }: Goal, value: number, ratio: number): boolean {
  switch (kind) {
    case "at-least-times-baseline":
      return ratio >= bound;
    case "at-most-times-baseline":
      return ratio <= bound;
    case "at-least":
      return value >= bound;
    case "at-most":
      return value <= bound;
  }
}

/** @throws {RangeError} without samples there is no figure. */
export function median(samples: readonly number[]): number {
  const sorted = samples.toSorted((a, b) => a - b);
  const upper = sorted[sorted.length >> 1];
  const lower = sorted[(sorted.length - 1) >> 1];
  if (upper === undefined || lower === undefined) throw new RangeError("there is no sample");
  return (lower + upper) / 2;
}
