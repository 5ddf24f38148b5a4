import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { withSettings } from "../../scripts/readme.ts";

const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

describe("the README", () => {
  it("lists the settings as they are; `npm run generate` brings it up to date", () => {
    expect(readme).toBe(withSettings(readme));
    expect(readme).toContain("| `--data-dir PATH` |");
  });

  it("is not written to where it has no place for them", () => {
    expect(() => withSettings("# Keyledger\n")).toThrow("no place for the settings");
  });

  it("names no command of npm that is not there", () => {
    const { scripts } = JSON.parse(
      readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
    );
    const named = [...readme.matchAll(/\bnpm (?:run )?(start|test|(?<=run )[a-z:]+)/g)];
    expect(named.length).toBeGreaterThan(3);
    for (const [, name = ""] of named) expect(scripts).toHaveProperty([name]);
  });
});
