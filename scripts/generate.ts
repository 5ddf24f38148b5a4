// Generates the code of the contract. With --release, also makes today's contract the one that later changes must keep.
import { root, run, stopSignal } from "./command.ts";
import { buildRelease, GENERATED, generate, RELEASED } from "./contract.ts";

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
const status = await run("git", ["status", "--short", GENERATED, RELEASED], signal);
console.log(status.isOk && status.output !== "" ? status.output : "nothing changed");
