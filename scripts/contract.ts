import { readFileSync } from "node:fs";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Outcome, root, run } from "./command.ts";

/** Where `buf generate` puts the code, below the folder it is told. */
export const GENERATED = "packages/contracts/src/gen";

/**
 * The contract as it was last released, compiled. Changes are measured against it and not against an earlier commit, or
 * a break would count as one only until it is committed. Renewed at a release and never otherwise:
 * `npm run generate -- --release`.
 */
export const RELEASED = "proto/keyledger.v1.binpb";

/** Generates the code below a folder, replacing what stood there. */
export const generate = (folder: string, signal: AbortSignal): Promise<Outcome> =>
  run("buf", ["generate", "--template", "packages/contracts/buf.gen.yaml", "-o", folder], signal);

/** Compiles the contract into the image of a release. */
export const buildRelease = (signal: AbortSignal): Promise<Outcome> =>
  run("buf", ["build", "proto", "--exclude-source-info", "-o", RELEASED], signal);

/** Whether the committed code is what the contract generates today. */
export async function checkGenerated(signal: AbortSignal): Promise<Outcome> {
  const folder = await mkdtemp(join(tmpdir(), "keyledger-generated-"));
  try {
    const generated = await generate(folder, signal);
    if (!generated.isOk) return generated;
    const differences = await compare(join(folder, GENERATED), join(root, GENERATED));
    if (differences.length === 0) return { isOk: true, output: "" };
    const output = [...differences, "Run `npm run generate` and commit what it changes."].join(
      "\n",
    );
    return { isOk: false, output };
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function compare(fresh: string, committed: string): Promise<readonly string[]> {
  const [expected, present] = await Promise.all([filesOf(fresh), filesOf(committed)]);
  const isSame = (file: string) =>
    readFileSync(join(fresh, file)).equals(readFileSync(join(committed, file)));
  return [
    ...expected.filter((file) => !present.includes(file)).map((file) => `${file} is missing`),
    ...present.filter((file) => !expected.includes(file)).map((file) => `${file} is left over`),
    ...expected
      .filter((file) => present.includes(file) && !isSame(file))
      .map((file) => `${file} is not what the contract generates`),
  ];
}

async function filesOf(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
}
