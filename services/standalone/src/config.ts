import { relative } from "node:path";
import {
  type CrossProblem,
  duration,
  type HostPort,
  hostPort,
  isLoopback,
  type Kind,
  LOG_LEVELS,
  type LogLevel,
  list,
  oneOf,
  onOff,
  optional,
  pair,
  path,
  type Reading,
  readSettings,
  type SettingSources,
  type SettingsOf,
  secretFile,
  setting,
  word,
} from "@keyledger/runtime";

export interface StandaloneConfig<ProbeEndpoints> {
  readonly dataDir: string;
  /** `undefined` = in the data directory, under the name its adapter chose. */
  readonly kekFile: string | undefined;
  readonly grpcListen: HostPort;
  readonly httpListen: HostPort;
  readonly metricsListen: HostPort;
  /** `undefined` = AdminService is served beside the others. */
  readonly adminListen: HostPort | undefined;
  /** Paths of PEM files. */
  readonly tls:
    | { readonly cert: string; readonly key: string; readonly clientCa: string | undefined }
    | undefined;
  readonly readyFile: string | undefined;
  readonly initKeysFile: string | undefined;
  readonly jwt: JwtConfig | undefined;
  readonly probePolicy: {
    readonly isOn: boolean;
    readonly onRejected: "reject" | "store";
    readonly onIndeterminate: "store" | "reject";
  };
  readonly probeEndpoints: ProbeEndpoints;
  readonly insecureDev: boolean;
  readonly byokDefault: "on" | "off";
  readonly dialects: ReadonlySet<Dialect>;
  readonly reflection: boolean;
  readonly logLevel: LogLevel;
  readonly rebuildViews: boolean;
  /** `undefined` = for ever. */
  readonly accessRetentionMs: number | undefined;
}

export interface JwtConfig {
  readonly issuer: string;
  readonly audience: string;
  readonly jwks: JwksSource;
  readonly claims: JwtClaims;
}

export type JwksSource =
  | { readonly kind: "url"; readonly url: URL }
  | { readonly kind: "file"; readonly path: string };

/** Names of the claims that say who a caller is. */
export interface JwtClaims {
  readonly subject: string;
  readonly team: string;
  readonly teamRole: string;
  /** `pending` is no membership. */
  readonly teamStatus: string;
  readonly organization: string;
  readonly organizationRole: string;
  readonly organizationStatus: string;
  readonly features: string;
  /** Claim for service, auditor or operator; `undefined` = no token can be one. */
  readonly role: string | undefined;
}

const DIALECTS = ["neo"] as const;
export type Dialect = (typeof DIALECTS)[number];

const CLAIMS: JwtClaims = {
  subject: "sub",
  team: "team",
  teamRole: "team_role",
  teamStatus: "team_status",
  organization: "organization",
  organizationRole: "organization_role",
  organizationStatus: "organization_status",
  features: "features",
  role: undefined,
};

const CLAIM_NAMES = {
  subject: "subject",
  team: "team",
  "team-role": "teamRole",
  "team-status": "teamStatus",
  organization: "organization",
  "organization-role": "organizationRole",
  "organization-status": "organizationStatus",
  features: "features",
  role: "role",
} as const satisfies Record<string, keyof JwtClaims>;

const claimDefaults = Object.entries(CLAIM_NAMES).flatMap(([name, key]) => {
  const claim = CLAIMS[key];
  return claim === undefined ? [] : [`${name}=${claim}`];
});

const jwksSource: Kind<JwksSource> = {
  form: "URL|PATH",
  json: "string",
  parse(text) {
    if (!/^[a-z][a-z\d+.-]*:\/\//i.test(text)) {
      const file = path.parse(text);
      return "problem" in file ? file : { value: { kind: "file", path: file.value } };
    }
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url?.protocol !== "https:" && url?.protocol !== "http:") {
      return { problem: "must be an https URL or the path of a file" };
    }
    if (url.username !== "" || url.password !== "") {
      return { problem: "must not hold a user name or password" };
    }
    return { value: { kind: "url", url } };
  },
};

/** Every setting of the standalone process: the one source of its flags, its help and the table in the README. */
export const standaloneSettings = {
  dataDir: setting(path, "./keyledger-data", "directory that holds everything, made if missing"),
  kekFile: optional(
    secretFile,
    "inside the data directory",
    "file with the key that wraps all data keys, made at the first start; a backup must not hold it together with the data",
  ),
  grpcListen: setting(hostPort, "127.0.0.1:50051", "where gRPC listens; port 0 = any free port"),
  httpListen: setting(
    hostPort,
    "127.0.0.1:8080",
    "where REST, Connect and gRPC-Web listen, with `/docs`, `/healthz` and `/readyz`",
  ),
  metricsListen: setting(hostPort, "127.0.0.1:9464", "where Prometheus reads `/metrics`"),
  adminListen: optional(
    hostPort,
    "with the other services",
    "gRPC listener for AdminService alone",
  ),
  tlsCert: optional(path, "cleartext", "certificate chain (PEM) of the gRPC and HTTP listeners"),
  tlsKey: optional(secretFile, "cleartext", "private key (PEM) of the certificate"),
  tlsClientCa: optional(
    path,
    "no client certificates",
    "certificates (PEM) that sign clients' certificates, which are then required",
  ),
  readyFile: optional(
    path,
    "none",
    "JSON file with the addresses and the pid, written when serving and removed at stop",
  ),
  initKeysFile: optional(
    path,
    "the terminal, else `init-keys.json` in the data directory",
    "where the first start leaves the first API keys, with mode 0600",
  ),
  jwtIssuer: optional(word("ISSUER"), "no JWTs", "`iss` that a token must have"),
  jwtAudience: optional(word("AUDIENCE"), "no JWTs", "`aud` that a token must have"),
  jwks: optional(jwksSource, "no JWTs", "key set (JWKS) that verifies tokens"),
  jwtClaims: list(
    pair("NAME=CLAIM", CLAIM_NAMES),
    claimDefaults,
    "claims that say who a caller is; `role` names one for service, auditor or operator and is off unless set",
  ),
  probe: setting(onOff, "on", "whether providers are asked if a key works"),
  onRejected: setting(
    oneOf("reject", "store"),
    "reject",
    "what becomes of a key that its provider refuses",
  ),
  onIndeterminate: setting(
    oneOf("store", "reject"),
    "store",
    "what becomes of a key when its provider gave no answer",
  ),
  probeEndpoint: list(
    word("PROVIDER[/ROLE]=URL"),
    [],
    "another endpoint for a probe; plain http and this machine only with `--insecure-dev`",
  ),
  insecureDev: setting(onOff, "off", "allows endpoints that only a test bench should use"),
  byokDefault: setting(onOff, "on", "whether owners may bring keys where nothing else is said"),
  dialects: list(oneOf(...DIALECTS), DIALECTS, "REST dialects that are served"),
  reflection: setting(onOff, "off", "gRPC reflection"),
  logLevel: setting(oneOf(...LOG_LEVELS), "info", "least severe level that is logged"),
  rebuildViews: setting(onOff, "off", "rebuild the views from the log, then go on"),
  accessRetention: optional(
    duration({ min: "1h", max: "36500d" }),
    "for ever",
    "age at which whole segments of the access log go, as `90d`",
  ),
};

type Table = typeof standaloneSettings;
type Settings = SettingsOf<Table>;

/** Reads the values of `--probe-endpoint`; problems never quote a value. */
export type ParseProbeEndpoints<ProbeEndpoints> = (
  texts: readonly string[],
  options: { readonly insecureDev: boolean },
) => { readonly endpoints: ProbeEndpoints; readonly problems: readonly string[] };

export function readStandaloneConfig<ProbeEndpoints>(
  sources: SettingSources,
  parseProbeEndpoints: ParseProbeEndpoints<ProbeEndpoints>,
): Reading<StandaloneConfig<ProbeEndpoints>> {
  const endpointsOf = ({ probeEndpoint, insecureDev }: Settings) =>
    parseProbeEndpoints(probeEndpoint, { insecureDev });
  const reading = readSettings(standaloneSettings, sources, (settings) => [
    ...tlsProblems(settings),
    ...jwtProblems(settings),
    ...listenProblems(settings),
    ...fileProblems(settings),
    ...endpointsOf(settings).problems.map(
      (text): Problem => ({ about: ["probeEndpoint", "insecureDev"], text }),
    ),
  ]);
  if (reading.kind !== "settings") return reading;
  const { settings } = reading;
  return { kind: "settings", settings: configOf(settings, endpointsOf(settings).endpoints) };
}

/** What an operator should be told at each start, in whole sentences. */
export function warningsOf(config: StandaloneConfig<unknown>): readonly string[] {
  const { dataDir, kekFile, tls, grpcListen, httpListen, adminListen, insecureDev } = config;
  const warnings: string[] = [];
  if (insecureDev) {
    warnings.push(
      "INSECURE: --insecure-dev lets probes send keys over plain http and to this machine. Never use it with real keys.",
    );
  }
  if (kekFile === undefined || isInside(dataDir, kekFile)) {
    warnings.push(
      "The key file lies in the data directory: a backup that holds both can be opened by whoever finds it. See --kek-file.",
    );
  }
  const open = [grpcListen, httpListen, ...(adminListen ? [adminListen] : [])];
  if (tls === undefined && open.some(({ host }) => !isLoopback(host))) {
    warnings.push(
      "Others can reach this process without TLS: keys cross the network in the clear. See --tls-cert.",
    );
  }
  return warnings;
}

const isInside = (directory: string, file: string): boolean =>
  !/^(\.\.(\/|$)|\/)/.test(relative(directory, file));

type Problem = CrossProblem<Table>;

function tlsProblems({ tlsCert, tlsKey, tlsClientCa }: Settings): readonly Problem[] {
  const problems: Problem[] = [];
  if (tlsCert !== undefined && tlsKey === undefined) {
    problems.push({ about: ["tlsCert", "tlsKey"], text: "needs --tls-key too" });
  }
  if (tlsKey !== undefined && tlsCert === undefined) {
    problems.push({ about: ["tlsKey", "tlsCert"], text: "needs --tls-cert too" });
  }
  if (tlsClientCa !== undefined && tlsCert === undefined) {
    problems.push({ about: ["tlsClientCa", "tlsCert"], text: "needs --tls-cert too" });
  }
  return problems;
}

function jwtProblems(settings: Settings): readonly Problem[] {
  const { jwtIssuer, jwtAudience, jwks, jwtClaims, insecureDev } = settings;
  const problems: Problem[] = [];
  const together = { jwtIssuer, jwtAudience, jwks };
  const names = ["jwtIssuer", "jwtAudience", "jwks"] as const;
  const given = names.find((name) => together[name] !== undefined);
  if (given !== undefined && names.some((name) => together[name] === undefined)) {
    const text = "--jwt-issuer, --jwt-audience and --jwks are needed together";
    problems.push({ about: [given, ...names], text });
  }
  if (jwks?.kind === "url" && jwks.url.protocol === "http:") {
    if (!(insecureDev && isLoopback(jwks.url.hostname.replace(/^\[|\]$/g, "")))) {
      const text = "may use plain http only with --insecure-dev and an address of this machine";
      problems.push({ about: ["jwks", "insecureDev"], text });
    }
  }
  const claims = jwtClaims.map(({ name }) => name);
  if (new Set(claims).size < claims.length) {
    problems.push({ about: ["jwtClaims"], text: "names a claim twice" });
  }
  return problems;
}

function listenProblems(settings: Settings): readonly Problem[] {
  const taken = new Set<string>();
  const problems: Problem[] = [];
  for (const name of ["grpcListen", "httpListen", "metricsListen", "adminListen"] as const) {
    const listen = settings[name];
    if (listen === undefined || listen.port === 0) continue;
    const address = `${listen.host} ${listen.port}`;
    if (taken.has(address))
      problems.push({ about: [name], text: "is the address of another listener" });
    taken.add(address);
  }
  return problems;
}

function fileProblems(settings: Settings): readonly Problem[] {
  const taken = new Set<string>();
  const problems: Problem[] = [];
  for (const name of ["kekFile", "readyFile", "initKeysFile"] as const) {
    const file = settings[name];
    if (file === undefined) continue;
    if (taken.has(file))
      problems.push({ about: [name], text: "names the file of another setting" });
    taken.add(file);
  }
  return problems;
}

function configOf<ProbeEndpoints>(
  settings: Settings,
  probeEndpoints: ProbeEndpoints,
): StandaloneConfig<ProbeEndpoints> {
  const { tlsCert, tlsKey, tlsClientCa, jwtIssuer, jwtAudience, jwks } = settings;
  const { dataDir, kekFile, grpcListen, httpListen, metricsListen, adminListen } = settings;
  const { readyFile, initKeysFile, insecureDev, reflection, logLevel, rebuildViews } = settings;
  return {
    dataDir,
    kekFile,
    grpcListen,
    httpListen,
    metricsListen,
    adminListen,
    tls:
      tlsCert !== undefined && tlsKey !== undefined
        ? { cert: tlsCert, key: tlsKey, clientCa: tlsClientCa }
        : undefined,
    readyFile,
    initKeysFile,
    jwt:
      jwtIssuer !== undefined && jwtAudience !== undefined && jwks !== undefined
        ? { issuer: jwtIssuer, audience: jwtAudience, jwks, claims: claimsOf(settings.jwtClaims) }
        : undefined,
    probePolicy: {
      isOn: settings.probe,
      onRejected: settings.onRejected,
      onIndeterminate: settings.onIndeterminate,
    },
    probeEndpoints,
    insecureDev,
    byokDefault: settings.byokDefault ? "on" : "off",
    dialects: new Set(settings.dialects),
    reflection,
    logLevel,
    rebuildViews,
    accessRetentionMs: settings.accessRetention,
  };
}

/** Claims that are not named keep their defaults. */
function claimsOf(given: Settings["jwtClaims"]): JwtClaims {
  const claims: { -readonly [Name in keyof JwtClaims]: JwtClaims[Name] } = { ...CLAIMS };
  for (const { name, text } of given) claims[name] = text;
  return claims;
}
