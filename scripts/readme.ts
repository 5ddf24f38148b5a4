import { renderMarkdown } from "../packages/runtime/src/setting-table.ts";
import { standaloneSettings } from "../services/standalone/src/config.ts";

const START = "<!-- settings -->\n";
const END = "\n<!-- /settings -->";

/** The README with the table of settings between its two marks. */
export function withSettings(readme: string): string {
  const [before, rest] = readme.split(START);
  const [, after] = rest?.split(END.trimStart()) ?? [];
  if (before === undefined || after === undefined) {
    throw new Error(`README.md has no place for the settings: ${START.trim()} to ${END.trim()}`);
  }
  return before + START + renderMarkdown(standaloneSettings) + END + after;
}
