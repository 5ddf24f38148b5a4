/**
 * Looks for switches that make Node or a library print or write down what passes through, or that turn off the checks of
 * TLS. A service that holds keys does not start with them.
 * @param execArgv the options given to Node itself (`process.execArgv`)
 * @returns one sentence a finding, naming what to unset; never a value
 */
export function refuseLeakyEnvironment(
  env: Readonly<Record<string, string | undefined>>,
  execArgv: readonly string[] = [],
): readonly string[] {
  const isSet = (name: string): boolean => (env[name] ?? "") !== "";
  const problems = REFUSED.filter(({ name, when }) => when?.(env[name] ?? "") ?? isSet(name)).map(
    ({ name, because }) => `unset ${name}: ${because}`,
  );
  if (leaks(env.NODE_OPTIONS?.split(/\s+/) ?? [])) {
    problems.push(`take the leaking option out of NODE_OPTIONS: ${NODE_OPTION_LEAKS}`);
  }
  if (leaks(execArgv)) problems.push(`start node without the leaking option: ${NODE_OPTION_LEAKS}`);
  return problems;
}

interface Refused {
  readonly name: string;
  readonly because: string;
  /** Left out: any value but none. */
  readonly when?: (value: string) => boolean;
}

const PRINTS = "it makes a library print requests, and with them keys";
const PRINTS_NODE = "it makes Node print what goes over its connections";
const UNCHECKED = "it turns off the checks of TLS certificates";

const REFUSED: readonly Refused[] = [
  { name: "DEBUG", because: PRINTS, when: matchesLeakyNamespace },
  { name: "NODE_DEBUG", because: PRINTS_NODE },
  { name: "NODE_DEBUG_NATIVE", because: PRINTS_NODE },
  { name: "GRPC_TRACE", because: PRINTS },
  { name: "GRPC_NODE_TRACE", because: PRINTS },
  { name: "GRPC_VERBOSITY", because: PRINTS, when: isDebug },
  { name: "GRPC_NODE_VERBOSITY", because: PRINTS, when: isDebug },
  {
    name: "GRPC_NODE_DEBUG_SEND_ERROR_DETAILS",
    because: "it sends the texts of internal errors to clients",
    when: (value) => value === "true",
  },
  { name: "KAFKAJS_DEBUG_PROTOCOL_BUFFERS", because: PRINTS },
  { name: "KAFKAJS_DEBUG_EXTENDED_PROTOCOL_BUFFERS", because: PRINTS },
  // Any text but none turns the checks off, "false" included.
  { name: "VAULT_SKIP_VERIFY", because: UNCHECKED },
  { name: "NODE_TLS_REJECT_UNAUTHORIZED", because: UNCHECKED, when: (value) => value === "0" },
];

function isDebug(value: string): boolean {
  return value.toUpperCase() === "DEBUG";
}

/** Libraries that print requests under `DEBUG`: node-vault their JSON, follow-redirects their headers. */
const LEAKY_NAMESPACES = ["node-vault", "kafkajs", "follow-redirects"] as const;

/** `DEBUG` by the rules of the package debug: patterns with `*`, separated by commas or blanks. */
function matchesLeakyNamespace(value: string): boolean {
  return value
    .split(/[\s,]+/)
    .filter((pattern) => pattern !== "" && !pattern.startsWith("-"))
    .some((pattern) => LEAKY_NAMESPACES.some((namespace) => matches(pattern, namespace)));
}

/** Whether a pattern may name the namespace or one below it (`kafkajs:client`). What stands behind a `*` is not looked at. */
function matches(pattern: string, namespace: string): boolean {
  const [start = "", ...rest] = pattern.split("*");
  if (rest.length === 0) return start === namespace || start.startsWith(`${namespace}:`);
  return namespace.startsWith(start) || start.startsWith(`${namespace}:`);
}

const NODE_OPTION_LEAKS =
  "an inspector, a report, a snapshot, a core or a key log holds keys in the clear";

function leaks(nodeOptions: readonly string[]): boolean {
  return nodeOptions.some((option) => {
    const name = option.replaceAll("_", "-").split("=", 1)[0] ?? "";
    return /^--(inspect|report-|experimental-report|heapsnapshot-|heap-prof|abort-on-uncaught-|tls-keylog|trace-tls)/.test(
      name,
    );
  });
}
