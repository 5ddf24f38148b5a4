import { type Figure, type Goal, judge } from "./figure.ts";

/** One line of a terminal: verdict, value and baseline with their spreads, ratio, goal. */
export function lineOf(figure: Figure): string {
  const { name, unit, subject, baseline, goal, note } = figure;
  const judged = judge(figure);
  const mark = goal === null ? "" : judged.ok ? "ok" : "MISSED";
  return [
    mark.padEnd(7),
    name.padEnd(40),
    `${number(judged.value)} ${unit} ${spread(subject)}`.padEnd(36),
    `${baseline.name} ${number(judged.baseline)} ${spread(baseline.samples)}`.padEnd(56),
    `${judged.ratio.toFixed(2)}x`.padEnd(8),
    goal === null ? "no goal" : `goal ${goalText(goal, unit)}`,
    ...(note === undefined ? [] : [`(${note})`]),
  ].join(" ");
}

/** What a program reads of a figure. */
export interface JsonFigure {
  readonly name: string;
  readonly value: number | null;
  readonly baseline: number | null;
  readonly goal: string | null;
  readonly ok: boolean;
}

export function jsonOf(figure: Figure): JsonFigure {
  const { value, baseline, ok } = judge(figure);
  const { name, unit, goal } = figure;
  return {
    name: `${name} (${unit})`,
    value: rounded(value),
    baseline: rounded(baseline),
    goal: goal && goalText(goal, unit),
    ok,
  };
}

/** What stands in the place of figures that could not be measured. */
export const notMeasured = (name: string): JsonFigure => ({
  name,
  value: null,
  baseline: null,
  goal: null,
  ok: false,
});

function goalText({ kind, bound }: Goal, unit: Figure["unit"]): string {
  switch (kind) {
    case "at-least-times-baseline":
      return `>= ${bound}x baseline`;
    case "at-most-times-baseline":
      return `<= ${bound}x baseline`;
    case "at-least":
      return `>= ${number(bound)} ${unit}`;
    case "at-most":
      return `<= ${number(bound)} ${unit}`;
  }
}

const spread = (samples: readonly number[]): string =>
  `(${number(Math.min(...samples))} to ${number(Math.max(...samples))})`;

/** Three digits say all that such a measurement knows. */
const number = (value: number): string =>
  value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : value < 100 ? 1 : 0 });

const rounded = (value: number): number => Number(value.toPrecision(6));
