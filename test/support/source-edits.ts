import { registerHooks } from "node:module";
import { fileURLToPath } from "node:url";

/** One place in the source of a process under test that is to read otherwise while it runs. */
export interface SourceEdit {
  /** End of the file's path: `services/standalone/src/init-keys.ts`. */
  readonly file: string;
  /** Stands in the file exactly once. */
  readonly find: string;
  readonly replace: string;
}

const VARIABLE = "TEST_SOURCE_EDITS";

/**
 * The environment that makes a Node process run with its source edited: with a fault built in, or ending itself at one
 * exact point. A text that is not there exactly once ends the process, so that no edit gets lost when the source changes.
 */
export const withSourceEdits = (
  ...edits: readonly SourceEdit[]
): Readonly<Record<string, string>> => ({
  NODE_OPTIONS: `--import=${import.meta.url}`,
  [VARIABLE]: JSON.stringify(edits),
});

/** Kills the process as the machine's operator would, right where the statement stands. */
export const KILL = 'process.kill(process.pid, "SIGKILL");';

/** Loaded ahead of the program: this file is its own preload. */
const asked = process.env[VARIABLE];
if (asked !== undefined) {
  const edits = JSON.parse(asked) as readonly SourceEdit[];
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      if (!url.startsWith("file:")) return loaded;
      const path = fileURLToPath(url);
      const own = edits.filter(({ file }) => path.endsWith(`/${file}`));
      if (own.length === 0) return loaded;
      const source = own.reduce(edited, String(loaded.source));
      return { ...loaded, source };
    },
  });
}

function edited(source: string, { file, find, replace }: SourceEdit): string {
  const [before, after, ...more] = source.split(find);
  if (before === undefined || after === undefined || more.length > 0) {
    process.stderr.write(`${file} does not hold exactly once: ${find}\n`);
    process.exit(97);
  }
  return before + replace + after;
}
