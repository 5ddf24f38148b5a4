import type { Parsed } from "./setting-kinds.ts";
import {
  CONFIG,
  flagOf,
  renderHelp,
  type Setting,
  type SettingsOf,
  type SettingTable,
  VARIABLE_PREFIX,
  variableOf,
} from "./setting-table.ts";

/** Where settings come from. The reader itself touches neither process nor disk. */
export interface SettingSources {
  /** Without the names of node and the script. */
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Reads the file named by `--config`. */
  readFile(path: string): string;
}

/** Something wrong between settings that are each fine. */
export interface CrossProblem<Table extends SettingTable> {
  /** The settings it speaks of, the one to blame first. It is left out where one of them has a problem of its own. */
  readonly about: readonly [keyof Table & string, ...(keyof Table & string)[]];
  readonly text: string;
}

export type Reading<Settings> =
  | { readonly kind: "settings"; readonly settings: Settings }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "problems"; readonly problems: readonly string[]; readonly text: string };

/**
 * Reads every setting from the first place that names it: flag, environment, file, default. Strict: what is not
 * understood is a problem, and all problems are reported at once. No message repeats a value, which may be a secret in
 * the wrong place.
 * @param check looks for what is wrong between settings
 */
export function readSettings<Table extends SettingTable>(
  table: Table,
  sources: SettingSources,
  check: (settings: SettingsOf<Table>) => readonly CrossProblem<Table>[] = () => [],
): Reading<SettingsOf<Table>> {
  const { argv, env } = sources;
  if (argv.includes("--help") || argv.includes("-h")) {
    return { kind: "help", text: renderHelp(table) };
  }
  const names = new Map(Object.keys(table).map((name) => [flagOf(name).slice(2), name]));
  const flags = readFlags(table, names, argv);
  const variables = readEnvironment(table, names, env);
  const file = readFile(
    table,
    names,
    sources,
    flags.given.get(CONFIG) ?? variables.given.get(CONFIG),
  );
  const problems = [...flags.problems, ...variables.problems, ...file.problems];

  const settings: Record<string, unknown> = {};
  const sourceOf = new Map<string, string>();
  const broken = new Set<string>([...flags.broken, ...variables.broken, ...file.broken]);
  for (const [name, row] of Object.entries(table)) {
    const given = flags.given.get(name) ?? variables.given.get(name) ?? file.given.get(name);
    const parsed = given ? row.read(given.texts) : { value: row.fallback };
    if (given) sourceOf.set(name, given.source);
    if ("value" in parsed) settings[name] = parsed.value;
    else {
      settings[name] = row.fallback;
      broken.add(name);
      problems.push(`${given?.source ?? flagOf(name)}: ${parsed.problem}`);
    }
  }
  const whole = settings as SettingsOf<Table>;
  for (const { about, text } of check(whole)) {
    if (about.some((name) => broken.has(name))) continue;
    problems.push(`${sourceOf.get(about[0]) ?? flagOf(about[0])}: ${text}`);
  }
  if (problems.length === 0) return { kind: "settings", settings: whole };
  return { kind: "problems", problems, text: renderProblems(problems) };
}

interface Given {
  /** How the user named it: `--x`, `KEYLEDGER_X`, `"x" in the file`. */
  readonly source: string;
  readonly texts: readonly string[];
}

interface Found {
  readonly given: Map<string, Given>;
  readonly problems: string[];
  /** Settings named here in a way that gives no value. */
  readonly broken: Set<string>;
}

const found = (): Found => ({ given: new Map(), problems: [], broken: new Set() });

function readFlags(
  table: SettingTable,
  names: ReadonlyMap<string, string>,
  argv: readonly string[],
): Found {
  const { given, problems, broken } = found();
  for (let index = 0; index < argv.length; index++) {
    const [, flag, joined] = /^--([a-z][a-z-]{0,39})(?:=(.*))?$/s.exec(argv[index] ?? "") ?? [];
    if (flag === undefined) {
      problems.push(`argument ${index + 1} is no flag (behind npm, flags stand after "--")`);
      continue;
    }
    const name = flag === CONFIG ? CONFIG : names.get(flag);
    const row = name === undefined ? undefined : table[name];
    const next = joined ?? valueIn(row, argv[index + 1]);
    if (joined === undefined && next !== undefined) index++;
    if (name === undefined) {
      problems.push(`--${flag}: no such flag`);
      continue;
    }
    const text = next ?? (row?.json === "boolean" ? "on" : undefined);
    const before = given.get(name);
    if (text === undefined || text === "" || (before && !row?.isList)) {
      const problem = text === undefined ? "needs a value" : text && "is given twice";
      problems.push(`--${flag}: ${problem || "is empty"}`);
      broken.add(name);
    } else {
      const texts = [...(before?.texts ?? []), ...split(row, text)];
      given.set(name, { source: `--${flag}`, texts });
    }
  }
  return { given, problems, broken };
}

/** The argument behind a flag, where it is the flag's value. */
function valueIn(row: Setting<unknown> | undefined, next: string | undefined): string | undefined {
  const isValue = row?.json === "boolean" ? /^(on|off)$/ : /^(?!--[a-z])/i;
  return next !== undefined && isValue.test(next) ? next : undefined;
}

/**
 * What Kubernetes puts into a pod for each Service of the namespace: for one called keyledger these look like settings.
 * https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
 */
const SERVICE_LINK =
  /^KEYLEDGER(_[A-Z0-9_]+)?_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)$/;
const isForeign = (variable: string): boolean =>
  !variable.startsWith(VARIABLE_PREFIX) ||
  variable.startsWith("KEYLEDGER_TEST_") ||
  SERVICE_LINK.test(variable);

function readEnvironment(
  table: SettingTable,
  names: ReadonlyMap<string, string>,
  env: SettingSources["env"],
): Found {
  const { given, problems, broken } = found();
  const variables = new Map([...names.values(), CONFIG].map((name) => [variableOf(name), name]));
  for (const [variable, text] of Object.entries(env)) {
    const name = variables.get(variable);
    if (text === undefined || (name === undefined && isForeign(variable))) continue;
    if (name === undefined) {
      const isPlain = /^[A-Z_]{1,50}$/.test(variable);
      problems.push(`${isPlain ? variable : `a variable KEYLEDGER_...`}: no such setting`);
    } else if (text === "") {
      // Not the same as unset: an empty KEYLEDGER_TLS_CERT must not mean cleartext.
      problems.push(`${variable}: is empty; unset it to take the default`);
      broken.add(name);
    } else {
      given.set(name, { source: variable, texts: split(table[name], text) });
    }
  }
  return { given, problems, broken };
}

const FILE_CHARACTERS_MAX = 64 * 1024;

function readFile(
  table: SettingTable,
  names: ReadonlyMap<string, string>,
  sources: SettingSources,
  config: Given | undefined,
): Found {
  const { given, problems, broken } = found();
  const [path] = config?.texts ?? [];
  if (config === undefined || path === undefined) return { given, problems, broken };
  const content = parseFile(() => sources.readFile(path));
  if ("problem" in content) {
    return { given, problems: [`${config.source}: the file ${content.problem}`], broken };
  }
  for (const [key, value] of Object.entries(content.value)) {
    const name = names.get(key);
    const row = name === undefined ? undefined : table[name];
    if (name === undefined || row === undefined) {
      const shown = /^[a-z][a-z-]{0,39}$/.test(key) ? `"${key}"` : "a key";
      problems.push(`${shown} in the file of ${config.source}: no such setting`);
      continue;
    }
    const source = `"${key}" in the file of ${config.source}`;
    const texts = textsOf(row, value);
    if ("value" in texts) given.set(name, { source, texts: texts.value });
    else {
      problems.push(`${source}: ${texts.problem}`);
      broken.add(name);
    }
  }
  return { given, problems, broken };
}

function parseFile(read: () => string): Parsed<object> {
  let text: string;
  try {
    text = read();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "";
    return { problem: `cannot be read${/^E[A-Z]+$/.test(code) ? ` (${code})` : ""}` };
  }
  if (text.length > FILE_CHARACTERS_MAX) {
    return { problem: `has over ${FILE_CHARACTERS_MAX} characters` };
  }
  try {
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? { value } : { problem: "is no JSON object" };
  } catch (error) {
    // The message repeats what it could not read; only its place is safe to tell.
    const place = /\(line \d+ column \d+\)/.exec(error instanceof Error ? error.message : "");
    return { problem: `is not JSON${place ? ` ${place[0]}` : ""}` };
  }
}

function textsOf(row: Setting<unknown>, value: unknown): Parsed<readonly string[]> {
  if (row.isList) {
    const isTexts = Array.isArray(value) && value.every((item) => typeof item === "string");
    return isTexts ? { value } : { problem: "must be a list of strings" };
  }
  if (typeof value === "string") return value === "" ? { problem: "is empty" } : { value: [value] };
  if (row.json === "boolean" && typeof value === "boolean")
    return { value: [value ? "on" : "off"] };
  if (row.json === "number" && typeof value === "number") return { value: [String(value)] };
  return { problem: row.json === "string" ? "must be a string" : `must be a ${row.json}` };
}

const split = (row: Setting<unknown> | undefined, text: string): readonly string[] =>
  row?.isList ? text.split(",").map((value) => value.trim()) : [text];

function renderProblems(problems: readonly string[]): string {
  const count = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  const lines = problems.map((problem) => `  ${problem}`);
  return [`keyledger: ${count} in the settings`, ...lines, "--help lists every setting.", ""].join(
    "\n",
  );
}
