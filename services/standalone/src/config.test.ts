import { renderHelp, renderMarkdown } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import {
  type ParseProbeEndpoints,
  readStandaloneConfig,
  type StandaloneConfig,
  standaloneSettings,
  warningsOf,
} from "./config.ts";

const parseProbeEndpoints: ParseProbeEndpoints<readonly string[]> = (texts, { insecureDev }) => ({
  endpoints: texts,
  problems: insecureDev ? [] : texts.map((_, index) => `probe endpoint ${index + 1} is insecure`),
});

const read = (argv: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  readStandaloneConfig(
    {
      argv,
      env,
      readFile: () => {
        throw new Error("no file");
      },
    },
    parseProbeEndpoints,
  );

function configOf(...argv: string[]): StandaloneConfig<readonly string[]> {
  const reading = read(argv);
  if (reading.kind !== "settings") throw new Error(reading.text);
  return reading.settings;
}

function problemsOf(...argv: string[]): readonly string[] {
  const reading = read(argv);
  return reading.kind === "problems" ? reading.problems : [];
}

const jwt = ["--jwt-issuer=https://issuer.example/", "--jwt-audience=keyledger"];

describe("the standalone configuration", () => {
  it("needs nothing to be said", () => {
    expect(configOf()).toStrictEqual({
      dataDir: "./keyledger-data",
      kekFile: undefined,
      grpcListen: { host: "127.0.0.1", port: 50051 },
      httpListen: { host: "127.0.0.1", port: 8080 },
      metricsListen: { host: "127.0.0.1", port: 9464 },
      adminListen: undefined,
      tls: undefined,
      readyFile: undefined,
      initKeysFile: undefined,
      jwt: undefined,
      probePolicy: { isOn: true, onRejected: "reject", onIndeterminate: "store" },
      probeEndpoints: [],
      insecureDev: false,
      byokDefault: "on",
      dialects: new Set(["neo"]),
      reflection: false,
      logLevel: "info",
      rebuildViews: false,
      accessRetentionMs: undefined,
    });
  });

  it("takes every flag", () => {
    const config = configOf(
      ...["--data-dir=/d", "--kek-file=/k", "--grpc-listen=0.0.0.0:1", "--http-listen=[::1]:2"],
      ...[
        "--metrics-listen=127.0.0.1:0",
        "--admin-listen=127.0.0.1:3",
        "--tls-cert=c",
        "--tls-key=k",
      ],
      ...["--tls-client-ca=a", "--ready-file=r", "--init-keys-file=i", ...jwt, "--jwks=keys.json"],
      ...["--jwt-claims=team=org_team,role=kl_role", "--probe=off", "--on-rejected=store"],
      ...[
        "--on-indeterminate=reject",
        "--insecure-dev",
        "--probe-endpoint=openai=http://127.0.0.1:9",
      ],
      ...["--probe-endpoint=google=http://127.0.0.1:9", "--byok-default=off", "--dialects=neo"],
      ...["--reflection", "--log-level=trace", "--rebuild-views", "--access-retention=90d"],
    );
    expect(config).toStrictEqual({
      dataDir: "/d",
      kekFile: "/k",
      grpcListen: { host: "0.0.0.0", port: 1 },
      httpListen: { host: "::1", port: 2 },
      metricsListen: { host: "127.0.0.1", port: 0 },
      adminListen: { host: "127.0.0.1", port: 3 },
      tls: { cert: "c", key: "k", clientCa: "a" },
      readyFile: "r",
      initKeysFile: "i",
      jwt: {
        issuer: "https://issuer.example/",
        audience: "keyledger",
        jwks: { kind: "file", path: "keys.json" },
        claims: {
          subject: "sub",
          team: "org_team",
          teamRole: "team_role",
          teamStatus: "team_status",
          organization: "organization",
          organizationRole: "organization_role",
          organizationStatus: "organization_status",
          features: "features",
          role: "kl_role",
        },
      },
      probePolicy: { isOn: false, onRejected: "store", onIndeterminate: "reject" },
      probeEndpoints: ["openai=http://127.0.0.1:9", "google=http://127.0.0.1:9"],
      insecureDev: true,
      byokDefault: "off",
      dialects: new Set(["neo"]),
      reflection: true,
      logLevel: "trace",
      rebuildViews: true,
      accessRetentionMs: 90 * 86_400_000,
    });
  });

  it("takes every setting from the environment as well", () => {
    const reading = read([], {
      KEYLEDGER_GRPC_LISTEN: "127.0.0.1:0",
      KEYLEDGER_INSECURE_DEV: "on",
      KEYLEDGER_PROBE_ENDPOINT: "openai=http://127.0.0.1:9,google=http://127.0.0.1:9",
    });
    expect(reading).toMatchObject({
      settings: {
        grpcListen: { port: 0 },
        probeEndpoints: ["openai=http://127.0.0.1:9", "google=http://127.0.0.1:9"],
      },
    });
  });

  it("takes a key set from an https URL", () => {
    const { jwt: read } = configOf(...jwt, "--jwks=https://issuer.example/keys");
    expect(read?.jwks).toStrictEqual({ kind: "url", url: new URL("https://issuer.example/keys") });
  });

  it("gives no token a privileged role unless told so", () => {
    expect(configOf(...jwt, "--jwks=keys.json").jwt?.claims.role).toBeUndefined();
  });
});

describe("a contradiction", () => {
  const together = "--jwt-issuer, --jwt-audience and --jwks are needed together";
  const plainHttp = "may use plain http only with --insecure-dev and an address of this machine";

  it.for<[readonly string[], string]>([
    [["--tls-cert=c"], "--tls-cert: needs --tls-key too"],
    [["--tls-key=k"], "--tls-key: needs --tls-cert too"],
    [["--tls-client-ca=a"], "--tls-client-ca: needs --tls-cert too"],
    [["--jwks=keys.json"], `--jwks: ${together}`],
    [["--jwt-issuer=i"], `--jwt-issuer: ${together}`],
    [["--jwt-audience=a", "--jwks=k"], `--jwt-audience: ${together}`],
    [[...jwt, "--jwks=http://issuer.example/keys"], `--jwks: ${plainHttp}`],
    [[...jwt, "--jwks=http://issuer.example/keys", "--insecure-dev"], `--jwks: ${plainHttp}`],
    [[...jwt, "--jwks=http://127.0.0.1/keys"], `--jwks: ${plainHttp}`],
    [[...jwt, "--jwks=ftp://x/keys"], "--jwks: must be an https URL or the path of a file"],
    [[...jwt, "--jwks=https://u:p@x/keys"], "--jwks: must not hold a user name or password"],
    [["--jwt-claims=team=a,team=b"], "--jwt-claims: names a claim twice"],
    [["--http-listen=127.0.0.1:50051"], "--http-listen: is the address of another listener"],
    [["--admin-listen=127.0.0.1:8080"], "--admin-listen: is the address of another listener"],
    [
      ["--ready-file=f", "--init-keys-file=f"],
      "--init-keys-file: names the file of another setting",
    ],
    [["--probe-endpoint=openai=http://x"], "--probe-endpoint: probe endpoint 1 is insecure"],
    [["--access-retention=90m", "--access-retention=1m"], "--access-retention: is given twice"],
    [
      ["--access-retention=1m"],
      "--access-retention: must be a duration from 1h to 36500d (units: ms, s, m, h, d)",
    ],
    [["--dialects=openrouter"], "--dialects: value 1 must be one of neo"],
  ])("of %j is one problem", ([argv, problem]) => {
    expect(problemsOf(...argv)).toStrictEqual([problem]);
  });

  it("is none between listeners that take any free port, or different hosts", () => {
    expect(problemsOf("--grpc-listen=127.0.0.1:0", "--http-listen=127.0.0.1:0")).toStrictEqual([]);
    expect(problemsOf("--grpc-listen=127.0.0.1:8", "--http-listen=[::1]:8")).toStrictEqual([]);
  });

  it("is none for a key set of this machine under --insecure-dev", () => {
    for (const host of ["127.0.0.1", "localhost", "[::1]"]) {
      expect(problemsOf(...jwt, `--jwks=http://${host}:9/keys`, "--insecure-dev")).toStrictEqual(
        [],
      );
    }
  });

  it("is reported together with every other", () => {
    expect(problemsOf("--tls-cert=c", "--jwks=k", "--log-level=loud", "--what")).toHaveLength(4);
  });
});

describe("a warning at the start", () => {
  const warnings = (...argv: string[]) => warningsOf(configOf(...argv)).join("\n");

  it("speaks of a key file in the data directory, and of no other", () => {
    for (const inside of [
      [],
      ["--kek-file=./keyledger-data/k"],
      ["--kek-file=keyledger-data/a/b"],
    ]) {
      expect(warnings(...inside)).toContain("backup");
    }
    for (const outside of ["/run/secrets/kek", "../kek", "kek", "keyledger-data-kek"]) {
      expect(warnings(`--kek-file=${outside}`)).toBe("");
    }
  });

  it("shouts about --insecure-dev", () => {
    expect(warnings("--kek-file=/k", "--insecure-dev")).toContain("INSECURE");
  });

  it("speaks of cleartext only where others can reach the process", () => {
    const away = ["--kek-file=/k", "--tls-cert=c", "--tls-key=k"];
    for (const flag of ["--grpc-listen", "--http-listen", "--admin-listen"]) {
      expect(warnings("--kek-file=/k", `${flag}=0.0.0.0:1`)).toContain("without TLS");
      expect(warnings(...away, `${flag}=0.0.0.0:1`)).toBe("");
    }
  });
});

describe("the table of the standalone's settings", () => {
  it("has a row for every flag, in help and Markdown", () => {
    const flags =
      `data-dir kek-file grpc-listen http-listen metrics-listen admin-listen tls-cert tls-key
      tls-client-ca ready-file init-keys-file jwt-issuer jwt-audience jwks jwt-claims probe on-rejected
      on-indeterminate probe-endpoint insecure-dev byok-default dialects reflection log-level rebuild-views
      access-retention config`.split(/\s+/);
    const inHelp = [...renderHelp(standaloneSettings).matchAll(/^ {2}--([a-z-]+) /gm)];
    const inMarkdown = [...renderMarkdown(standaloneSettings).matchAll(/^\| `--([a-z-]+) /gm)];
    expect(inHelp.map(([, flag]) => flag)).toStrictEqual(flags);
    expect(inMarkdown.map(([, flag]) => flag)).toStrictEqual(flags);
  });
});
