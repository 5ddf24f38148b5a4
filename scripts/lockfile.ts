import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Keys to texts or to further keys. */
export interface YamlMap {
  readonly [key: string]: YamlMap | string;
}

/** The part of YAML that pnpm writes for its lockfile: keys indented by two blanks. Lists are left out. */
export function readLockfile(root: string): YamlMap {
  return parse(readFileSync(join(root, "pnpm-lock.yaml"), "utf8"));
}

export function parse(text: string): YamlMap {
  const top: Record<string, YamlMap | string> = {};
  const open: Record<string, YamlMap | string>[] = [top];
  for (const line of text.split("\n")) {
    const match = /^( *)(?:'([^']+)'|([^\s'#-][^:]*)):(?: (.+))?$/.exec(line);
    if (!match) continue;
    const [, indent = "", quoted, plain, value] = match;
    const depth = indent.length / 2;
    const parent = open[depth];
    const key = quoted ?? plain ?? "";
    if (parent === undefined) throw new SyntaxError(`pnpm-lock.yaml: nothing above "${key}"`);
    open.length = depth + 1;
    if (value === undefined) {
      const child: Record<string, YamlMap | string> = {};
      parent[key] = child;
      open.push(child);
    } else {
      parent[key] = value;
    }
  }
  return top;
}

/** @returns the map at a path of keys, empty where there is none */
export function at(map: YamlMap, ...path: readonly string[]): YamlMap {
  let found = map;
  for (const key of path) {
    const next = found[key];
    if (next === undefined || typeof next === "string") return {};
    found = next;
  }
  return found;
}

/**
 * Packages that a service takes along, as `name@version`: what the packages of the workspace depend on, and what that
 * depends on. Tools and tests are not among them.
 */
export function productionPackages(
  lockfile: YamlMap,
  isIncluded: (importer: string) => boolean = () => true,
): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (name: string, version: string): void => {
    const id = `${name}@${version}`;
    if (found.has(id)) return;
    found.add(id);
    const snapshot = at(lockfile, "snapshots", id);
    for (const kind of ["dependencies", "optionalDependencies"]) {
      for (const [child, childVersion] of Object.entries(at(snapshot, kind))) {
        if (typeof childVersion === "string") visit(child, childVersion);
      }
    }
  };
  for (const importer of Object.keys(at(lockfile, "importers")).filter(isIncluded)) {
    if (!/^(packages|services)\//.test(importer)) continue;
    for (const name of Object.keys(at(lockfile, "importers", importer, "dependencies"))) {
      const { version } = at(lockfile, "importers", importer, "dependencies", name);
      if (typeof version === "string" && !version.startsWith("link:")) visit(name, version);
    }
  }
  return new Set([...found].map((id) => id.replace(/\(.*$/, "")));
}
