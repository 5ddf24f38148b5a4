/**
 * Whether an object in a JSON text has two members of one name. A parser keeps the last of them and says nothing.
 * @param json valid JSON
 */
export function repeatsAName(json: string): boolean {
  /** Names of each object that is open; none of an array. */
  const open: (Set<unknown> | undefined)[] = [];
  for (const [token, text, isName] of json.matchAll(STRUCTURE)) {
    if (token === "{") open.push(new Set());
    else if (token === "[") open.push(undefined);
    else if (text === undefined) open.pop();
    else if (isName !== undefined) {
      const names = open.at(-1);
      // A name can be spelled in several ways, with escapes.
      const name: unknown = JSON.parse(text);
      if (names?.has(name)) return true;
      names?.add(name);
    }
  }
  return false;
}

/** A string, with the colon behind it where it is a name; or a bracket. */
const STRUCTURE = /("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g;
