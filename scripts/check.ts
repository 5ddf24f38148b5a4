// Everything that can be said about the code without running it. With --json FILE, the counts go there too.
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type Outcome, root, run, stopSignal } from "./command.ts";
import { checkGenerated, RELEASED } from "./contract.ts";
import {
  brokenRules,
  looseVersions,
  readImports,
  readManifests,
  undeclared,
  unneeded,
} from "./import-rules.ts";

const [option, jsonFile, ...rest] = process.argv.slice(2);
if (rest.length > 0 || (option !== undefined && (option !== "--json" || jsonFile === undefined))) {
  console.error("usage: npm run check [-- --json FILE]");
  process.exit(1);
}

const signal = stopSignal();
const tool = (command: string, ...args: readonly string[]) => run(command, args, signal);

const CHECKS: Readonly<Record<string, () => Promise<Outcome>>> = {
  types: () => tool("tsc", "-b"),
  "lint and format": () =>
    tool("biome", "check", "--error-on-warnings", "--diagnostic-level=warn", "."),
  "contract lint": () => tool("buf", "lint"),
  "contract format": () => tool("buf", "format", "proto", "--diff", "--exit-code"),
  "contract unbroken": () => tool("buf", "breaking", "proto", "--against", RELEASED),
  "generated code": () => checkGenerated(signal),
  imports: async () => {
    const [imports, manifests] = [readImports(root), readManifests(root)];
    const problems = [
      ...brokenRules(imports),
      ...undeclared(imports, manifests),
      ...unneeded(imports, manifests),
      ...looseVersions(manifests),
    ];
    return { isOk: problems.length === 0, output: problems.join("\n") };
  },
};

const width = Math.max(...Object.keys(CHECKS).map((name) => name.length));
const failed: { readonly name: string; readonly output: string }[] = [];
const startMs = performance.now();
await Promise.all(
  Object.entries(CHECKS).map(async ([name, check]) => {
    const { isOk, output } = await check();
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
    console.log(`${isOk ? "ok  " : "FAIL"}  ${name.padEnd(width)}  ${seconds} s`);
    if (!isOk) failed.push({ name, output });
  }),
);

for (const { name, output } of failed) console.log(`\n--- ${name}\n${output}`);
const counts = { passed: Object.keys(CHECKS).length - failed.length, failed: failed.length };
console.log(`\n${counts.passed} checks passed, ${counts.failed} failed`);
if (jsonFile !== undefined) {
  mkdirSync(dirname(jsonFile), { recursive: true });
  writeFileSync(jsonFile, JSON.stringify(counts));
}
if (failed.length > 0) process.exitCode ??= 1;
