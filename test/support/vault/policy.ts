/** What a policy says of a path. */
export interface PathRule {
  /** With `+` for one segment and a `*` at the end for anything. */
  readonly path: string;
  readonly capabilities: readonly Capability[];
  /** Names of the fields that may be sent, with the values each may have (none = any); absent = every field. */
  readonly allowedParameters?: Readonly<Record<string, readonly unknown[]>>;
}

export type Capability =
  | "create"
  | "read"
  | "update"
  | "delete"
  | "list"
  | "patch"
  | "sudo"
  | "deny";

const CAPABILITIES: ReadonlySet<string> = new Set<Capability>([
  "create",
  "read",
  "update",
  "delete",
  "list",
  "patch",
  "sudo",
  "deny",
]);

/**
 * Reads the part of HCL that policies are written in here: `path "..." { capabilities = [...] allowed_parameters = { ... } }`
 * and comments. Anything else is refused rather than passed over, for a rule that is not understood must not be lost.
 * @throws {Error} naming the place.
 */
export function parsePolicy(source: string): readonly PathRule[] {
  const tokens = tokensOf(source);
  const rules: PathRule[] = [];
  while (tokens.peek() !== undefined) {
    expect(tokens, "path");
    const path = stringOf(tokens).replace(/^\//, "");
    if (path.includes("+*")) throw new Error(`policy: "+*" in ${path} is forbidden`);
    const { capabilities = [], allowed_parameters: allowed } = block(tokens);
    if (!isList(capabilities)) throw new Error(`policy: capabilities of ${path} are no list`);
    const rule = { path, capabilities: capabilities.map((name) => capability(path, name)) };
    if (allowed === undefined) rules.push(rule);
    else if (isBlock(allowed)) rules.push({ ...rule, allowedParameters: lists(path, allowed) });
    else throw new Error(`policy: allowed_parameters of ${path} are no block`);
  }
  return rules;
}

type Value = string | readonly Value[] | Block;
interface Block {
  readonly [name: string]: Value;
}

const isList = (value: Value): value is readonly Value[] => Array.isArray(value);
const isBlock = (value: Value): value is Block => typeof value === "object" && !isList(value);

function capability(path: string, name: Value): Capability {
  if (typeof name !== "string" || !CAPABILITIES.has(name)) {
    throw new Error(`policy: path "${path}": invalid capability ${JSON.stringify(name)}`);
  }
  return name as Capability;
}

const lists = (path: string, parameters: Block): Record<string, readonly unknown[]> =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, values]) => {
      if (!isList(values)) throw new Error(`policy: values of ${name} for ${path} are no list`);
      return [name.toLowerCase(), values];
    }),
  );

const KNOWN: ReadonlySet<string> = new Set(["capabilities", "allowed_parameters"]);

function block(tokens: Tokens, known: ReadonlySet<string> | null = KNOWN): Block {
  expect(tokens, "{");
  const fields: Record<string, Value> = {};
  while (!tokens.skip("}")) {
    const name = tokens.peek()?.startsWith('"') ? stringOf(tokens) : (tokens.take() ?? "the end");
    if (known !== null && !known.has(name)) throw new Error(`policy: unknown key ${name}`);
    expect(tokens, "=");
    fields[name] = value(tokens);
    tokens.skip(",");
  }
  return fields;
}

function value(tokens: Tokens): Value {
  if (tokens.peek() === "{") return block(tokens, null);
  if (!tokens.skip("[")) return stringOf(tokens);
  const values: Value[] = [];
  while (!tokens.skip("]")) {
    values.push(value(tokens));
    tokens.skip(",");
  }
  return values;
}

interface Tokens {
  peek(): string | undefined;
  take(): string | undefined;
  /** Takes the next one if it is this. */
  skip(token: string): boolean;
}

const TOKEN = /\s+|#[^\n]*|\/\/[^\n]*|("(?:[^"\\\n]|\\.)*"|[A-Za-z_][\w-]*|[{}[\]=,])/y;

function tokensOf(source: string): Tokens {
  const found: string[] = [];
  for (let at = 0; at < source.length; at = TOKEN.lastIndex) {
    TOKEN.lastIndex = at;
    const match = TOKEN.exec(source);
    if (match === null) throw new Error(`policy: not understood at character ${at}`);
    if (match[1] !== undefined) found.push(match[1]);
  }
  const take = (): string | undefined => found.shift();
  return {
    peek: () => found[0],
    take,
    skip: (token) => {
      const isNext = found[0] === token;
      if (isNext) take();
      return isNext;
    },
  };
}

function expect(tokens: Tokens, wanted: string): void {
  const found = tokens.take();
  if (found !== wanted) throw new Error(`policy: ${wanted} expected, not ${found ?? "the end"}`);
}

function stringOf(tokens: Tokens): string {
  const token = tokens.take();
  if (token?.startsWith('"') !== true) {
    throw new Error(`policy: a string expected, not ${token ?? "the end"}`);
  }
  return JSON.parse(token) as string;
}
