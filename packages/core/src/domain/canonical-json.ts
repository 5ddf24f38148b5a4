export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [name: string]: Json };

/**
 * JSON with sorted names and no spaces, in the manner of RFC 8785: the same value always gives the same text. Numbers
 * are safe integers only; names are ASCII, so sorting by UTF-16 code unit is the order the RFC asks for.
 * @throws {TypeError} on a number that is not a safe integer.
 */
export function canonicalJson(value: Json): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value))
      throw new TypeError("canonical JSON holds safe integers only");
    return String(value);
  }
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`;
  const given = Object.keys(value);
  // Most of what is hashed is a flat map of texts that was written in order: it is canonical as it stands.
  if (isFlatAndSorted(given, value)) return JSON.stringify(value);
  const names = given.toSorted();
  const members = names.map(
    (name) => `${JSON.stringify(name)}:${canonicalJson(value[name] ?? null)}`,
  );
  return `{${members.join(",")}}`;
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

const isFlatAndSorted = (
  names: readonly string[],
  value: { readonly [name: string]: Json },
): boolean =>
  names.every(
    (name, index) =>
      typeof value[name] === "string" && (index === 0 || (names[index - 1] ?? "") < name),
  );
