import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";

const root = new URL("../..", import.meta.url).pathname;
const setup = `${root}scripts/setup.cjs`;

/** Runs the script under a Node that says it is another one. Nothing is found to install with. */
function setUpOn(version: string) {
  const pretend = `
    Object.defineProperty(process.versions, "node", { value: "${version}" });
    require(${JSON.stringify(setup)});`;
  return spawnSync(process.execPath, ["-e", pretend], {
    cwd: root,
    encoding: "utf8",
    env: { PATH: "/nonexistent" },
  });
}

describe("the set-up", () => {
  it.for(["6.17.1", "14.21.3", "16.20.2", "17.9.1"])(
    "refuses Node %s in one sentence",
    (version) => {
      const { status, stdout, stderr } = setUpOn(version);
      expect(status).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toBe(
        `keyledger: this is Node ${version}, and setting up needs Node 18 or newer.\n`,
      );
    },
  );

  it.for(["18.0.0", "20.20.2", "24.21.0"])("goes on to install with Node %s", (version) => {
    const { status, stderr } = setUpOn(version);
    expect(stderr).toContain("installing packages");
    expect(stderr).toContain("keyledger: the installation failed");
    expect(status).toBe(1);
  });

  it("is written in syntax that any Node from 6 on can read", () => {
    const code = readFileSync(setup, "utf8").replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "");
    for (const young of [
      /\?\?/,
      /\?\./,
      /\basync\b|\bawait\b/,
      /^import\b/m,
      /"node:/,
      /\.\.\.\w/,
      /catch \{/,
      /\*\*/,
    ]) {
      expect(code).not.toMatch(young);
    }
  });

  it("leaves every command of the workspace to one that is put in its place", () => {
    const { scripts } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
    for (const command of Object.values(scripts)) {
      expect(command).toMatch(/^exec sh scripts\/run\.sh \S/);
    }
  });
});
