/** What the adapters take of a connection string, checked before the client sees it: its own errors echo the text. */
export interface KurrentAddress {
  /** For the client, with every setting that matters spelled out. It holds the password: never show it. */
  readonly connectionString: string;
  readonly credentials?: { readonly username: string; readonly password: string };
}

/**
 * `kurrentdb://[user:password@]host[:2113][,host...][?setting=value&...]`, or `kurrentdb+discover://` with one DNS name.
 * Several hosts are the seeds of one cluster.
 * @param insecure takes `tls=false`, which sends everything in clear and no credentials at all.
 * @throws {RangeError} names the part that is wrong, never its value.
 */
export function parseKurrentConnectionString(
  text: string,
  { insecure = false }: { insecure?: boolean } = {},
): KurrentAddress {
  const parts = FORM.exec(text.trim())?.groups;
  if (!parts) throw refused("has the form kurrentdb://[user:password@]host[:port][,...][?...]");
  const { scheme = "", userInfo, hosts = "", query = "" } = parts;
  assertHosts(hosts.split(","), scheme.endsWith("+discover"));
  const settings = parseSettings(query);
  const credentials = userInfo === undefined ? undefined : parseCredentials(userInfo);
  if (settings.get("tls") === "false") {
    if (!insecure) throw refused("has tls=false, which needs the insecure setting");
    // The client would drop them without a word.
    if (credentials) throw refused("has credentials together with tls=false");
  }
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (!settings.has(name)) settings.set(name, value);
  }
  const query_ = [...settings].map(([name, value]) => `${name}=${value}`).join("&");
  const at = userInfo === undefined ? "" : `${userInfo}@`;
  return {
    connectionString: `${scheme}://${at}${hosts}?${query_}`,
    ...(credentials && { credentials }),
  };
}

const FORM =
  /^(?<scheme>(?:kurrentdb|kurrent|kdb)(?:\+discover)?):\/\/(?:(?<userInfo>[^@/?,]*)@)?(?<hosts>[^@/?]+)\/?(?:\?(?<query>[^?]*))?$/;

const HOST = /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}(?::(?<port>\d{1,5}))?$/;

/**
 * Before its first connection, and after every loss of one, the client's native half sleeps for the interval, half a
 * second unless told otherwise. Twenty times 50 ms outlast an election of one second.
 */
const DEFAULTS = { discoveryInterval: "50", maxDiscoverAttempts: "20" };

/** Settings by their name without case, `_` and `-`, as the client looks at them; the text is why one is refused. */
const SETTINGS = new Map<string, { readonly name: string; readonly form: RegExp } | string>([
  ["tls", { name: "tls", form: /^(?:true|false)$/ }],
  ["tlscafile", { name: "tlsCAFile", form: /^[^&?]+$/ }],
  ["usercertfile", { name: "userCertFile", form: /^[^&?]+$/ }],
  ["userkeyfile", { name: "userKeyFile", form: /^[^&?]+$/ }],
  ["connectionname", { name: "connectionName", form: /^[A-Za-z0-9._%-]{1,128}$/ }],
  // With a single attempt the client's native half never connects.
  ["maxdiscoverattempts", { name: "maxDiscoverAttempts", form: /^(?:[2-9]|[1-9]\d{1,3})$/ }],
  ["discoveryinterval", { name: "discoveryInterval", form: /^[1-9]\d{0,4}$/ }],
  ["defaultdeadline", { name: "defaultDeadline", form: /^[1-9]\d{2,5}$/ }],
  // Below ten seconds the client complains on the console.
  ["keepaliveinterval", { name: "keepAliveInterval", form: /^(?:-1|[1-9]\d{4,6})$/ }],
  // What is read must not lag behind what was acknowledged, and the freshness lease is the leader's word.
  ["nodepreference", { name: "nodePreference", form: /^leader$/i }],
  // Told apart by it, clients get connections of their own.
  ["keepalivetimeout", "is not taken: it is set for each connection"],
  ["tlsverifycert", "is not taken: give the authority's certificate with tlsCAFile"],
  ["throwonappendfailure", "is not taken: without it conflicts are reported with wrong revisions"],
  ["gossiptimeout", "is not taken: the two halves of the client read it in different units"],
]);

function parseSettings(query: string): Map<string, string> {
  const settings = new Map<string, string>();
  for (const pair of query.split("&").filter((part) => part !== "")) {
    const equals = pair.indexOf("=");
    const known = SETTINGS.get(pair.slice(0, equals).toLowerCase().replace(/[_-]/g, ""));
    // A name that is not known may be part of a password.
    if (known === undefined) throw refused("has a setting that is not known");
    if (typeof known === "string") throw refused(`has a setting that ${known}`);
    const value = pair.slice(equals + 1);
    if (!known.form.test(value)) throw refused(`has a ${known.name} of the wrong form`);
    if (settings.has(known.name)) throw refused(`has ${known.name} twice`);
    settings.set(known.name, value);
  }
  return settings;
}

function parseCredentials(userInfo: string): { username: string; password: string } {
  const parts = userInfo.split(":");
  const [username = "", password = ""] = parts.map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      throw refused("has credentials that are not percent-encoded");
    }
  });
  if (parts.length !== 2 || username === "" || password === "") {
    throw refused("has credentials that are not user:password, percent-encoded");
  }
  return { username, password };
}

function assertHosts(hosts: readonly string[], discover: boolean): void {
  if (discover && hosts.length > 1) throw refused("has several hosts together with +discover");
  for (const host of hosts) {
    const match = HOST.exec(host);
    const port = Number(match?.groups?.port ?? 2113);
    if (!match || port < 1 || port > 65_535) throw refused("has a host of the wrong form");
  }
}

const refused = (problem: string): RangeError =>
  new RangeError(`the KurrentDB connection string ${problem}`);
