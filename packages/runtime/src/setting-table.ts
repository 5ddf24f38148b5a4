import type { Kind, Parsed } from "./setting-kinds.ts";

/** One row of the table of settings. */
export interface Setting<T> {
  readonly doc: string;
  /** What one value looks like: `PATH`, `HOST:PORT`, `on|off` ... */
  readonly form: string;
  readonly json: Kind<unknown>["json"];
  readonly isList: boolean;
  /** What holds where nothing is said, in words for the table. */
  readonly otherwise: string;
  readonly fallback: T;
  /** @param texts one value, or those of a list */
  read(texts: readonly string[]): Parsed<T>;
}

/** Settings by name in camel case: `dataDir` is the flag `--data-dir` and the variable `KEYLEDGER_DATA_DIR`. */
export type SettingTable = Readonly<Record<string, Setting<unknown>>>;

export type SettingsOf<Table extends SettingTable> = {
  readonly [Name in keyof Table]: Table[Name] extends Setting<infer Value> ? Value : never;
};

/** A setting that always has a value. @param fallback as it would be typed; it stands in the table. */
export function setting<T>(kind: Kind<T>, fallback: string, doc: string): Setting<T> {
  const read = ([text = ""]: readonly string[]) => kind.parse(text);
  return row(kind, doc, {
    isList: false,
    otherwise: fallback,
    fallback: mustParse(read([fallback])),
    read,
  });
}

/** A setting that may be absent. @param otherwise what holds then, in words for the table */
export function optional<T>(kind: Kind<T>, otherwise: string, doc: string): Setting<T | undefined> {
  const read = ([text = ""]: readonly string[]) => kind.parse(text);
  return row<T | undefined>(kind, doc, { isList: false, otherwise, fallback: undefined, read });
}

/** Values in a list: a bound against nonsense, not a design. */
const LIST_LENGTH_MAX = 64;

/** A repeatable setting. Commas part its values wherever it is given as one text. */
export function list<T>(
  kind: Kind<T>,
  fallback: readonly string[],
  doc: string,
): Setting<readonly T[]> {
  const read = (texts: readonly string[]): Parsed<readonly T[]> => {
    if (texts.length > LIST_LENGTH_MAX) return { problem: `has over ${LIST_LENGTH_MAX} values` };
    const values: T[] = [];
    for (const [index, text] of texts.entries()) {
      const parsed = kind.parse(text);
      if ("problem" in parsed) return { problem: `value ${index + 1} ${parsed.problem}` };
      values.push(parsed.value);
    }
    return { value: values };
  };
  const otherwise = fallback.join(", ") || "none";
  return row(kind, doc, { isList: true, otherwise, fallback: mustParse(read(fallback)), read });
}

function row<T>(
  { form, json }: Kind<unknown>,
  doc: string,
  rest: Pick<Setting<T>, "isList" | "otherwise" | "fallback" | "read">,
): Setting<T> {
  return { doc, form, json, ...rest };
}

function mustParse<T>(parsed: Parsed<T>): T {
  if ("problem" in parsed) throw new TypeError(`the default of a setting ${parsed.problem}`);
  return parsed.value;
}

export const VARIABLE_PREFIX = "KEYLEDGER_";
export const flagOf = (name: string): string => `--${kebab(name)}`;
export const variableOf = (name: string): string =>
  `${VARIABLE_PREFIX}${kebab(name).replaceAll("-", "_").toUpperCase()}`;

const kebab = (name: string): string =>
  name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** The one setting that every process has. */
export const CONFIG = "config";
const CONFIG_DOC = "a JSON file with any of these settings, by flag name without the dashes";

interface TableRow {
  readonly flag: string;
  readonly form: string;
  readonly otherwise: string;
  readonly doc: string;
}

function rowsOf(table: SettingTable): readonly TableRow[] {
  const rows = Object.entries(table).map(([name, { form, isList, otherwise, doc }]) => ({
    flag: flagOf(name),
    form: isList ? `${form},...` : form,
    otherwise,
    doc,
  }));
  return [...rows, { flag: flagOf(CONFIG), form: "PATH", otherwise: "none", doc: CONFIG_DOC }];
}

const HOW = [
  "A setting comes from the first place that names it: flag, environment, file, default.",
  'In the environment --data-dir is KEYLEDGER_DATA_DIR; in the file of --config it is "data-dir".',
  "Where several values are allowed, commas part them and the flag may be repeated.",
];

/** The table of settings for a terminal. */
export function renderHelp(table: SettingTable): string {
  const lines = rowsOf(table).map(
    ({ flag, form, otherwise, doc }) => `  ${flag} ${form}\n      ${doc} (default: ${otherwise})`,
  );
  return [...HOW, "", ...lines, ""].join("\n");
}

/** The same table as Markdown, for the README. */
export function renderMarkdown(table: SettingTable): string {
  const cell = (text: string) => text.replaceAll("|", "\\|");
  const lines = rowsOf(table).map(
    ({ flag, form, otherwise, doc }) =>
      `| \`${flag} ${cell(form)}\` | ${cell(otherwise)} | ${cell(doc)} |`,
  );
  return ["| flag | default | meaning |", "|---|---|---|", ...lines].join("\n");
}
