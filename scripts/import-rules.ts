import { globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** One import: the file it stands in, and what it names. Paths count from the root of the workspace. */
export interface Import {
  readonly from: string;
  /** A file of the workspace, or the name as it stands for everything else. */
  readonly to: string;
}

/** Forbids every import whose file matches `from`, and not `except`, and whose target matches `to`. */
export interface ImportRule {
  readonly rule: string;
  readonly from: RegExp;
  readonly to: RegExp;
  readonly except?: RegExp;
}

const TEST = /\.(test|test-support|contract)\.ts$/;
const ADAPTERS = "embedded|cluster|providers";
const SERVICES = "keyring|rest|audit|standalone";

/** Which way the arrows point, and why the code can be taken apart along them. ARCHITECTURE.md draws the picture. */
export const IMPORT_RULES: readonly ImportRule[] = [
  {
    rule: "the core imports nothing from outside",
    from: /^packages\/core\//,
    to: /^(?!packages\/core\/)/,
    except: TEST,
  },
  {
    rule: "the core's tests need nothing but the test tools",
    from: /^packages\/core\/.*\.(test|test-support)\.ts$/,
    to: /^(?!packages\/core\/|vitest$|fast-check$)/,
  },
  {
    rule: "the domain imports only the domain",
    from: /^packages\/core\/src\/domain\//,
    to: /^packages\/core\/src\/(?!domain\/)/,
  },
  {
    rule: "ports import only ports and the domain",
    from: /^packages\/core\/src\/ports\//,
    to: /^packages\/core\/src\/(?!domain\/|ports\/)/,
  },
  {
    rule: "of the workspace, adapters and the runtime import the core alone",
    from: new RegExp(`^packages/(${ADAPTERS}|runtime)/`),
    to: /^@keyledger\/(?!core$)/,
  },
  {
    rule: "the contracts import the protobuf runtime alone",
    from: /^packages\/contracts\//,
    to: /^(?!packages\/contracts\/|@bufbuild\/protobuf($|\/))/,
  },
  {
    rule: "packages do not import services",
    from: /^packages\//,
    to: new RegExp(`^@keyledger/(${SERVICES})$`),
  },
  {
    rule: "in a service, only main.ts names an adapter",
    from: /^services\//,
    to: new RegExp(`^@keyledger/(${ADAPTERS})$`),
    except: /^services\/[a-z-]+\/src\/main\.ts$/,
  },
  {
    rule: "rest knows the vault through its contracts, not its core",
    from: /^services\/rest\//,
    to: /^@keyledger\/(?!contracts$|runtime$)/,
  },
  {
    rule: "services do not import each other; standalone puts them together",
    from: /^services\/(?!standalone\/)/,
    to: new RegExp(`^@keyledger/(${SERVICES})$`),
  },
  {
    rule: "wire types stop at the services and the ways in",
    from: /^(packages\/(?!contracts\/|client\/|cli\/|console\/)|services\/(audit|standalone)\/)/,
    to: /^@keyledger\/contracts$/,
  },
  {
    rule: "only the cluster adapters, and the engines' counterparts in tests, know the engines' clients",
    from: /^(?!packages\/cluster\/|test\/)/,
    to: /^(node-vault|kafkajs|@kurrent\/kurrentdb-client)($|\/)/,
  },
  {
    rule: "outbound HTTP is for the providers' probes, behind their address guard",
    from: /^packages\/(?!providers\/|cluster\/|cli\/|client\/|console\/)/,
    to: /^(undici|axios|node-fetch)($|\/)/,
  },
  // Loading a schema runs code that the schema names: CVE-2026-44291 and its siblings.
  {
    rule: "schemas are generated, never loaded",
    from: /^/,
    to: /^(@grpc\/proto-loader|protobufjs)($|\/)/,
  },
  {
    rule: "sources do not import tests or test tools",
    from: /^(packages|services)\//,
    to: /^(vitest|fast-check|@keyledger\/test)($|\/)|\.(test|test-support)\.ts$/,
    except: TEST,
  },
];

export function brokenRules(
  imports: readonly Import[],
  rules: readonly ImportRule[] = IMPORT_RULES,
): readonly string[] {
  return rules.flatMap(({ rule, from, to, except }) =>
    imports
      .filter((edge) => from.test(edge.from) && !except?.test(edge.from) && to.test(edge.to))
      .map((edge) => `${edge.from} imports ${edge.to}: ${rule}`),
  );
}

/** Every TypeScript source of the workspace, generated ones included. */
export const sourceFiles = (root: string): readonly string[] =>
  globSync(["{packages,services}/*/src/**/*.ts", "{test,scripts}/**/*.ts"], {
    cwd: root,
    exclude: ["**/node_modules/**"],
  }).toSorted();

export const readImports = (root: string): readonly Import[] =>
  sourceFiles(root).flatMap((file) => importsOf(file, readFileSync(join(root, file), "utf8")));

// The compiler has no stable interface to parse with. The formatter puts every statement at the start of its line, so
// that neither a comment nor a string is taken for one; `import(` counts wherever it stands.
const STATEMENT = /^(?:import|export)\s[^"';]*?\bfrom\s+"([^"]+)"|^import\s+"([^"]+)"/gm;
const CALL = /\bimport\(\s*"([^"]+)"/g;

export function importsOf(file: string, source: string): readonly Import[] {
  return [...source.matchAll(STATEMENT), ...source.matchAll(CALL)].map((match) => {
    const name = match[1] ?? match[2] ?? "";
    return { from: file, to: name.startsWith(".") ? join(dirname(file), name) : name };
  });
}

/** What the manifests of a package allow it to import. */
export interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Manifests by folder; the root's is under `.`. */
export function readManifests(root: string): ReadonlyMap<string, Manifest> {
  const files = globSync("{.,test,packages/*,services/*}/package.json", { cwd: root });
  return new Map(
    files.map((file) => [dirname(file), JSON.parse(readFileSync(join(root, file), "utf8"))]),
  );
}

/**
 * Imports that leave a package other than by a declared dependency. The tools of the root are for tests and scripts alone:
 * installed as they are, they could be imported from anywhere. Scripts and the tests of `test/` may reach into any package.
 */
export function undeclared(
  imports: readonly Import[],
  manifests: ReadonlyMap<string, Manifest>,
): readonly string[] {
  return imports.flatMap(({ from, to }) => {
    const home = homeOf(from);
    if (isFile(to)) {
      const isInside = home === "test" || home === "." || homeOf(to) === home;
      return isInside ? [] : [`${from} imports ${to}, a file of another package`];
    }
    if (to.startsWith("node:")) return [];
    const name = packageOf(to);
    const { dependencies, devDependencies } = manifests.get(home) ?? {};
    const isTest = TEST.test(from) || home === "test" || home === ".";
    const tools = isTest ? { ...manifests.get(".")?.devDependencies, ...devDependencies } : {};
    const isDeclared = Object.hasOwn({ ...dependencies, ...tools }, name);
    const manifest = join(home, "package.json");
    return isDeclared ? [] : [`${from} imports ${name}, which ${manifest} does not declare`];
  });
}

/** Declared because another package asks its user for them, not because anything imports them. */
const PEERS: ReadonlySet<string> = new Set(["@connectrpc/connect-node"]);

/** Dependencies of packages and services that nothing there imports: they only add to what a release takes along. */
export function unneeded(
  imports: readonly Import[],
  manifests: ReadonlyMap<string, Manifest>,
): readonly string[] {
  const used = new Set(imports.map(({ from, to }) => `${homeOf(from)} ${packageOf(to)}`));
  return [...manifests].flatMap(([home, { dependencies, devDependencies }]) =>
    Object.keys(/^(packages|services)\//.test(home) ? { ...dependencies, ...devDependencies } : {})
      .filter((name) => !PEERS.has(name) && !used.has(`${home} ${name}`))
      .map((name) => `${join(home, "package.json")} declares ${name}, which nothing there imports`),
  );
}

/** What stands in a manifest and is no exact version: ranges float, and links and addresses come from elsewhere. */
export function looseVersions(manifests: ReadonlyMap<string, Manifest>): readonly string[] {
  return [...manifests].flatMap(([home, manifest]) =>
    Object.entries({
      ...manifest.dependencies,
      ...manifest.devDependencies,
      ...manifest.optionalDependencies,
    })
      .filter(([name, version]) => {
        const exact = name.startsWith("@keyledger/")
          ? /^workspace:\*$/
          : /^\d+\.\d+\.\d+(-[\w.]+)?$/;
        return !exact.test(version);
      })
      .map(([name]) => `${join(home, "package.json")} does not pin ${name}`),
  );
}

const isFile = (to: string): boolean =>
  /^(packages|services|test|scripts)\//.test(to) || to.startsWith("../");

/** The folder of the manifest that rules a file. */
const homeOf = (file: string): string =>
  /^((packages|services)\/[^/]+|test)\//.exec(file)?.[1] ?? ".";

const packageOf = (name: string): string => name.split("/", name.startsWith("@") ? 2 : 1).join("/");
