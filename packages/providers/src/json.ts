/** Reading JSON of others: nothing here throws, and nothing looks beyond an object's own members. */

/**
 * @returns `undefined` where the text is no JSON. The exception of `JSON.parse` quotes its input, so it ends here.
 */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Follows names down from a value; `undefined` where the way ends. */
export function member(value: unknown, ...names: readonly string[]): unknown {
  let found = value;
  for (const name of names) {
    if (!isObject(found) || !Object.hasOwn(found, name)) return undefined;
    found = found[name];
  }
  return found;
}

/** The same, where only a text will do. */
export function textMember(value: unknown, ...names: readonly string[]): string | undefined {
  const found = member(value, ...names);
  return typeof found === "string" ? found : undefined;
}

/** Neither `null` nor an array. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
