import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type CrossProblem, readSettings } from "./config.ts";
import { duration, hostPort, integer, oneOf, onOff, path, secretFile } from "./setting-kinds.ts";
import { list, optional, renderHelp, renderMarkdown, setting } from "./setting-table.ts";

const table = {
  dataDir: setting(path, "./data", "where the data lies"),
  grpcListen: setting(hostPort, "127.0.0.1:50051", "where gRPC listens"),
  dialects: list(oneOf("neo", "edgee"), ["neo"], "which dialects are served"),
  reflection: setting(onOff, "off", "gRPC reflection"),
  streamsMax: setting(integer({ min: 1, max: 100 }), "10", "streams a caller"),
  keepFor: optional(duration({ min: "1h", max: "365d" }), "for ever", "age at which it goes"),
  tlsCert: optional(path, "none", "certificate"),
  tlsKey: optional(secretFile, "none", "its key"),
};
type Table = typeof table;

interface Given {
  readonly argv?: readonly string[];
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly file?: string;
}

const bothOrNone: Parameters<typeof readSettings<Table>>[2] = ({ tlsCert, tlsKey }) => {
  const problem: CrossProblem<Table> = {
    about: ["tlsCert", "tlsKey"],
    text: "needs --tls-key too",
  };
  return (tlsCert === undefined) === (tlsKey === undefined) ? [] : [problem];
};

const read = ({ argv = [], env = {}, file }: Given) =>
  readSettings(
    table,
    {
      argv: file === undefined ? argv : [...argv, "--config", "settings.json"],
      env,
      readFile: (path) => {
        if (path === "settings.json" && file !== undefined) return file;
        throw Object.assign(new Error(`no such file: ${path}`), { code: "ENOENT" });
      },
    },
    bothOrNone,
  );

const settingsOf = (given: Given) => {
  const reading = read(given);
  if (reading.kind !== "settings") throw new Error(JSON.stringify(reading));
  return reading.settings;
};

const problemsOf = (given: Given): readonly string[] => {
  const reading = read(given);
  return reading.kind === "problems" ? reading.problems : [];
};

describe("the settings", () => {
  it("have their defaults where nothing is said", () => {
    expect(settingsOf({})).toStrictEqual({
      dataDir: "./data",
      grpcListen: { host: "127.0.0.1", port: 50051 },
      dialects: ["neo"],
      reflection: false,
      streamsMax: 10,
      keepFor: undefined,
      tlsCert: undefined,
      tlsKey: undefined,
    });
  });

  it("take a value from the flag before the environment before the file", () => {
    const env = { KEYLEDGER_DATA_DIR: "env", KEYLEDGER_STREAMS_MAX: "2" };
    const file = `{"data-dir": "file", "streams-max": 3, "reflection": true}`;
    expect(settingsOf({ argv: ["--data-dir", "flag"], env, file })).toMatchObject({
      dataDir: "flag",
      streamsMax: 2,
      reflection: true,
    });
  });

  it("take a flag's value behind a blank or an equals sign", () => {
    expect(settingsOf({ argv: ["--data-dir=a=b"] }).dataDir).toBe("a=b");
    expect(settingsOf({ argv: ["--data-dir", "a=b"] }).dataDir).toBe("a=b");
  });

  it.for<[readonly string[], boolean]>([
    [["--reflection"], true],
    [["--reflection", "on"], true],
    [["--reflection", "off"], false],
    [["--reflection=off"], false],
    [["--reflection", "--data-dir", "x"], true],
  ])("take %j as an on/off flag", ([argv, expected]) => {
    expect(settingsOf({ argv }).reflection).toBe(expected);
  });

  it("gather a list from repeated flags and from commas", () => {
    const argv = ["--dialects", "neo", "--dialects=edgee, neo"];
    expect(settingsOf({ argv }).dialects).toStrictEqual(["neo", "edgee", "neo"]);
    const env = { KEYLEDGER_DIALECTS: "edgee,neo" };
    expect(settingsOf({ env }).dialects).toStrictEqual(["edgee", "neo"]);
    expect(settingsOf({ file: `{"dialects": ["edgee"]}` }).dialects).toStrictEqual(["edgee"]);
  });

  it("take the file's name from the environment too", () => {
    const readFile = () => `{"data-dir": "file"}`;
    const reading = readSettings(table, { argv: [], env: { KEYLEDGER_CONFIG: "x" }, readFile });
    expect(reading).toMatchObject({ kind: "settings", settings: { dataDir: "file" } });
  });

  it("leave variables alone that are not theirs", () => {
    const env = {
      PATH: "/bin",
      KEYLEDGER_TEST_VAULT: "http://127.0.0.1:8200",
      KEYLEDGER_SERVICE_HOST: "10.0.0.1",
      KEYLEDGER_SERVICE_PORT: "50051",
      KEYLEDGER_SERVICE_PORT_GRPC: "50051",
      KEYLEDGER_PORT: "tcp://10.0.0.1:50051",
      KEYLEDGER_PORT_50051_TCP_ADDR: "10.0.0.1",
      KEYLEDGER_KEYRING_PORT_50051_TCP: "tcp://10.0.0.1:50051",
    };
    expect(problemsOf({ env })).toStrictEqual([]);
  });
});

describe("a problem with the settings", () => {
  it.for<[string, Given, string]>([
    ["an unknown flag", { argv: ["--dta-dir", "x"] }, "--dta-dir: no such flag"],
    ["a flag without its value", { argv: ["--data-dir"] }, "--data-dir: needs a value"],
    ["an empty value", { argv: ["--data-dir="] }, "--data-dir: is empty"],
    ["a repeated flag", { argv: ["--data-dir=a", "--data-dir=b"] }, "--data-dir: is given twice"],
    [
      "a positional",
      { argv: ["debug"] },
      `argument 1 is no flag (behind npm, flags stand after "--")`,
    ],
    [
      "an unknown variable",
      { env: { KEYLEDGER_DATADIR: "x" } },
      "KEYLEDGER_DATADIR: no such setting",
    ],
    [
      "an empty variable",
      { env: { KEYLEDGER_TLS_CERT: "" } },
      "KEYLEDGER_TLS_CERT: is empty; unset it to take the default",
    ],
    [
      "an unknown key",
      { file: `{"datadir": "x"}` },
      `"datadir" in the file of --config: no such setting`,
    ],
    [
      "a file in a file",
      { file: `{"config": "x"}` },
      `"config" in the file of --config: no such setting`,
    ],
    [
      "a value of a wrong type",
      { file: `{"data-dir": true}` },
      `"data-dir" in the file of --config: must be a string`,
    ],
    [
      "a null",
      { file: `{"reflection": null}` },
      `"reflection" in the file of --config: must be a boolean`,
    ],
    [
      "a text for a list",
      { file: `{"dialects": "neo"}` },
      `"dialects" in the file of --config: must be a list of strings`,
    ],
    [
      "a missing file",
      { argv: ["--config", "absent.json"] },
      "--config: the file cannot be read (ENOENT)",
    ],
    ["a file that is no JSON", { file: `{"data-dir":` }, "--config: the file is not JSON"],
    ["a file of another shape", { file: `["data-dir"]` }, "--config: the file is no JSON object"],
    ["a giant file", { file: " ".repeat(70_000) }, "--config: the file has over 65536 characters"],
    [
      "a value out of bounds",
      { env: { KEYLEDGER_STREAMS_MAX: "0" } },
      "KEYLEDGER_STREAMS_MAX: must be a whole number from 1 to 100",
    ],
    [
      "a bad list value",
      { argv: ["--dialects", "neo,x"] },
      "--dialects: value 2 must be one of neo, edgee",
    ],
    [
      "an endless list",
      { argv: ["--dialects", "neo,".repeat(64).concat("neo")] },
      "--dialects: has over 64 values",
    ],
    [
      "half of a pair",
      { env: { KEYLEDGER_TLS_CERT: "c.pem" } },
      "KEYLEDGER_TLS_CERT: needs --tls-key too",
    ],
  ])("is %s", ([, given, problem]) => {
    expect(problemsOf(given)).toStrictEqual([problem]);
  });

  it("is reported together with all others, in one text", () => {
    const reading = read({
      argv: ["--streams-max", "many", "--nonsense"],
      env: { KEYLEDGER_GRPC_LISTEN: "50051" },
      file: `{"tls-cert": "c.pem", "keep-for": "90"}`,
    });
    expect(reading).toMatchObject({
      text: `keyledger: 5 problems in the settings
  --nonsense: no such flag
  KEYLEDGER_GRPC_LISTEN: must be host:port with a port from 0 to 65535, as 127.0.0.1:8080 or [::1]:8080
  --streams-max: must be a whole number from 1 to 100
  "keep-for" in the file of --config: must be a duration from 1h to 365d (units: ms, s, m, h, d)
  "tls-cert" in the file of --config: needs --tls-key too
--help lists every setting.
`,
    });
  });

  it("hides what is wrong only because of it", () => {
    const argv = ["--tls-cert", "c.pem", "--tls-key", "-----BEGIN PRIVATE KEY-----"];
    expect(problemsOf({ argv })).toStrictEqual([
      "--tls-key: must be the path of a file that holds the secret, not the secret",
    ]);
  });

  it("never repeats a value, wherever it stands", () => {
    const canary = fc.stringMatching(/^[a-zA-Z0-9_-]{12,40}$/).map((text) => `Zq7${text}`);
    const places: ((value: string) => Given)[] = [
      (value) => ({ argv: [value] }),
      (value) => ({ argv: [`--${value}`] }),
      (value) => ({ argv: [`--${value}=1`] }),
      (value) => ({ argv: ["--data-dir=x", `--data-dir=${value}`] }),
      (value) => ({ argv: ["--grpc-listen", value] }),
      (value) => ({ argv: ["--dialects", value] }),
      (value) => ({ argv: ["--config", value] }),
      (value) => ({ env: { KEYLEDGER_KEEP_FOR: value } }),
      (value) => ({ env: { [`KEYLEDGER_${value}`]: value } }),
      (value) => ({ file: value }),
      (value) => ({ file: JSON.stringify({ [value]: 1 }) }),
      (value) => ({ file: JSON.stringify({ "streams-max": value, reflection: value }) }),
      (value) => ({ argv: ["--tls-key", `sk-${value}`] }),
    ];
    fc.assert(
      fc.property(canary, fc.constantFrom(...places), (value, place) => {
        const reading = read(place(value));
        expect(reading.kind).toBe("problems");
        expect(JSON.stringify(reading)).not.toContain(value);
      }),
    );
  });
});

describe("the table of settings", () => {
  it.for(["--help", "-h"])("is what %s asks for, whatever else is wrong", (flag) => {
    expect(read({ argv: ["--nonsense", flag] })).toStrictEqual({
      kind: "help",
      text: renderHelp(table),
    });
  });

  it("lists each flag with its form, default and meaning", () => {
    const help = renderHelp(table);
    expect(help).toContain(
      "--grpc-listen HOST:PORT\n      where gRPC listens (default: 127.0.0.1:50051)",
    );
    expect(help).toContain(
      "--dialects neo|edgee,...\n      which dialects are served (default: neo)",
    );
    expect(help).toContain("--keep-for DURATION\n      age at which it goes (default: for ever)");
    expect(help).toContain("--config PATH");
  });

  it("is a Markdown table with a row for each setting and one for --config", () => {
    const lines = renderMarkdown(table).split("\n");
    expect(lines).toHaveLength(2 + Object.keys(table).length + 1);
    expect(lines).toContain("| `--reflection on\\|off` | off | gRPC reflection |");
    for (const line of lines) expect(line.replaceAll("\\|", "").split("|")).toHaveLength(5);
  });

  it("refuses a default that its own kind refuses", () => {
    expect(() => setting(onOff, "maybe", "x")).toThrow(TypeError);
  });
});
