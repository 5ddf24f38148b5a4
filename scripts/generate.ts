// Generates the code of the contract, and the table of settings in the README. With --release, also makes today's contract
// the one that later changes must keep.
import { readFileSync, writeFileSync } from "node:fs";
import { root, stopSignal } from "./command.ts";
import { buildRelease, GENERATED, generate, RELEASED } from "./contract.ts";
import { withSettings } from "./readme.ts";

const [option, ...rest] = process.argv.slice(2);
if ((option !== undefined && option !== "--release") || rest.length > 0) {
  console.error("usage: npm run generate [-- --release]");
  process.exit(1);
}

const signal = stopSignal();
const steps = [
  { makes: GENERATED, run: () => generate(root, signal) },
  ...(option === "--release" ? [{ makes: RELEASED, run: () => buildRelease(signal) }] : []),
];
for (const step of steps) {
  const { isOk, output } = await step.run();
  if (output !== "") console.error(output);
  if (!isOk) process.exit(process.exitCode ?? 1);
  console.log(`made ${step.makes}`);
}
const readme = `${root}README.md`;
writeFileSync(readme, withSettings(readFileSync(readme, "utf8")));
console.log("made the settings in README.md");
