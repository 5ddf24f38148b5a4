/** How the port's stream names stand in the engine. */
export interface KurrentNames {
  toEngine(stream: string): string;
  fromEngine(name: string): string;
}

const NAMESPACE = /^[a-z0-9]{1,32}$/;

/**
 * @param namespace put before each name, with a dot, so that several deployments can share one engine; none unless given.
 * @throws {RangeError}
 */
export function namesIn(namespace: string | undefined): KurrentNames {
  if (namespace === undefined) return { toEngine: (stream) => stream, fromEngine: (name) => name };
  if (!NAMESPACE.test(namespace)) throw new RangeError("a namespace has 1 to 32 of a-z and 0-9");
  const prefix = `${namespace}.`;
  return {
    toEngine: (stream) => prefix + stream,
    fromEngine: (name) => (name.startsWith(prefix) ? name.slice(prefix.length) : name),
  };
}
