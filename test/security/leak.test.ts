import { create } from "@bufbuild/protobuf";
import { KeyringService } from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { Canaries, ENCODINGS } from "../support/canary.ts";
import { type FakeProviders, startFakeProviders } from "../support/fake-providers.ts";
import { openTestIssuer } from "../support/jwt.ts";
import {
  type KeyledgerProcess,
  launchKeyledger,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { callGrpc, METHODS, methodName, newDrive, SERVICES } from "../support/leak-drive.ts";
import {
  driveBrokenRequests,
  driveFields,
  driveHeaders,
  driveMaterial,
  drivePlain,
  driveProbes,
  driveRest,
  driveStrangers,
  driveTokens,
  driveWire,
  REFLECTION,
  restRoutes,
} from "../support/leak-sweeps.ts";
import { LEAKING_CHANNELS, LEAKS } from "../support/leaky-build.ts";
import { withSourceEdits } from "../support/source-edits.ts";
import { copyOf, filesBelow } from "../support/stored-secrets.ts";
import { type Sighting, Witness } from "../support/witness.ts";

const probeFlags = ({ providers, url }: FakeProviders): readonly string[] => [
  "--insecure-dev",
  ...providers.map((name) => `--probe-endpoint=${name}=${url(name)}`),
];

/** Everything that lies below the directory but the one file that is there to hold the first keys. */
function witnessFiles(witness: Witness, directory: string): void {
  using copy = copyOf(directory);
  const files = [...filesBelow(copy.path)].filter(([name]) => name !== "keys.json");
  for (const [name, bytes] of files) witness.saw(`file ${name}`, bytes);
  witness.saw("file names", files.map(([name]) => name).join("\n"));
}

function witnessOutput(witness: Witness, { written }: Pick<KeyledgerProcess, "written">): void {
  const { stdout, stderr } = written();
  witness.saw("stdout", stdout);
  witness.saw("stderr", stderr);
}

/** What must be kept by its nature: an owner is whatever those who name it call it. And what an answer must hold. */
const isByNature = ({ canary, channel }: Sighting): boolean =>
  canary.endsWith(" owner.id") || (canary === REFLECTION && channel === REFLECTION);

const told = ({ canary, channel, encoding }: Sighting): string =>
  `${canary}, seen in ${channel} as ${encoding}`;

describe("a secret", () => {
  it("is nowhere but in its sealed record, whatever is asked and however it goes wrong", async () => {
    await using directory = await temporaryDirectory();
    await using providers = await startFakeProviders();
    await using issuer = await openTestIssuer();
    const canaries = new Canaries();
    const witness = new Witness();
    const args = [
      "--log-level=trace",
      "--reflection",
      ...probeFlags(providers),
      `--jwt-issuer=${issuer.issuer}`,
      `--jwt-audience=${issuer.audience}`,
      `--jwks=${issuer.jwksUrl.href}`,
    ];
    const startedAt = performance.now();
    const counts = { fields: 0, routes: 0, cases: 0, tokens: 0 };
    {
      await using keyledger = await startKeyledger(directory.path, args);
      using drive = newDrive(keyledger, canaries, witness);
      const probing = driveProbes(drive);
      expect(await driveMaterial(drive, "material")).toStrictEqual([]);
      await drivePlain(drive);
      counts.fields = await driveFields(drive);
      await driveHeaders(drive);
      await driveBrokenRequests(drive);
      counts.routes = await driveRest(drive);
      counts.tokens = await driveTokens(drive, issuer);
      await driveStrangers(drive);
      await driveWire(drive);
      counts.cases = await probing;

      const expected = METHODS.flatMap((method) => {
        // Material leaves over gRPC only.
        const isOverHttp = methodName(method) !== "ResolveService/Resolve";
        const name = methodName(method);
        return [`gRPC ${name}`, ...(isOverHttp ? [`Connect ${name}`] : [])];
      });
      const routes = await restRoutes(drive);
      const rest = routes.map(({ method, path }) => `REST ${method} ${path}`);
      expect([...drive.called].toSorted()).toStrictEqual([...expected, ...rest].toSorted());
      expect(SERVICES.map(({ name }) => name).toSorted()).toStrictEqual([
        "AdminService",
        "AuditService",
        "KeyringService",
        "ResolveService",
      ]);
      expect(rest.toSorted()).toStrictEqual([
        "REST DELETE /api/v1/byok/providers/{provider}",
        "REST GET /api/v1/byok/mode",
        "REST GET /api/v1/byok/providers",
        "REST GET /healthz",
        "REST GET /readyz",
        "REST PATCH /api/v1/byok/mode",
        "REST PATCH /api/v1/byok/providers/{provider}",
        "REST POST /api/v1/byok/providers/{provider}/validate",
      ]);
      witnessFiles(witness, directory.path);
      await keyledger.end("SIGKILL");
      witnessOutput(witness, keyledger);
    }
    {
      await using keyledger = await startKeyledger(directory.path, args);
      using drive = newDrive(keyledger, canaries, witness);
      expect(await driveMaterial(drive, "after-a-crash")).toStrictEqual([]);
      await keyledger.end();
      witnessOutput(witness, keyledger);
      witnessFiles(witness, directory.path);
    }

    const sightings = witness.sightings(canaries);
    expect(sightings.filter((sighting) => !isByNature(sighting)).map(told)).toStrictEqual([]);
    const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
    console.log(
      `leak: ${canaries.count} canaries in ${ENCODINGS.length} encodings, put into ${counts.fields} fields, ${counts.routes} routes, ` +
        `${counts.cases} probes and ${counts.tokens} tokens; ${witness.bytes} bytes of ${witness.channels.length} channels searched: ` +
        `0 hits (and ${sightings.length} by nature) in ${seconds} s`,
    );
  }, 120_000);

  it("is found by the same search in a build that leaks, in every channel and in every encoding", async () => {
    await using directory = await temporaryDirectory();
    await using providers = await startFakeProviders();
    const canaries = new Canaries();
    const witness = new Witness();
    await using keyledger = await startKeyledger(
      directory.path,
      ["--log-level=trace", ...probeFlags(providers)],
      { env: withSourceEdits(...LEAKS) },
    );
    using drive = newDrive(keyledger, canaries, witness);
    await driveMaterial(drive, "default");
    await drivePlain(drive);
    await driveRest(drive);
    await driveStrangers(drive);
    const { upsertKey } = KeyringService.method;
    const secret = Buffer.from(canaries.make("too long", { shape: "spiky" }).repeat(600));
    const tooLong = create(upsertKey.input, { provider: "openai", secret });
    await callGrpc(drive, upsertKey, tooLong, { key: keyledger.keys.team_key });
    await driveFields(drive);
    witnessFiles(witness, directory.path);
    await keyledger.end();
    witnessOutput(witness, keyledger);
    witnessFiles(witness, directory.path);

    const sightings = witness.sightings(canaries).filter((sighting) => !isByNature(sighting));
    const seen = new Set(sightings.map(({ channel }) => channel));
    expect(LEAKING_CHANNELS.filter((channel) => !seen.has(channel))).toStrictEqual([]);
    const inStderr = sightings.filter(({ channel }) => channel === "stderr");
    const encodings = new Set(inStderr.map(({ encoding }) => encoding));
    expect(ENCODINGS.filter((encoding) => !encodings.has(encoding))).toStrictEqual([]);
    expect(sightings.map(told)).toContain("too long, seen in gRPC KeyringService/UpsertKey as raw");
    console.log(
      `leak: the leaking build was caught in ${seen.size} channels and ${encodings.size} encodings, ${sightings.length} hits`,
    );
  }, 120_000);
});

describe("a process in an environment that would print secrets", () => {
  it.each([
    ["DEBUG", "*"],
    ["NODE_OPTIONS", "--report-on-fatalerror"],
  ])("does not start with %s=%s", async (name, value) => {
    await using directory = await temporaryDirectory();
    await using launched = launchKeyledger(directory.path, [], { env: { [name]: value } });
    expect(await launched.ended).toStrictEqual({ code: 2, signal: null });
    expect(launched.output()).toContain("this environment would leak secrets");
    expect(launched.output()).toContain(name);
  });
});
