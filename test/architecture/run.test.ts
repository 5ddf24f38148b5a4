import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const script = new URL("../../scripts/run.sh", import.meta.url).pathname;

/** A workspace whose set-up says so and then does as it is told. */
function workspace({ isCurrent, setUp = "" }: { isCurrent: boolean; setUp?: string }) {
  const path = mkdtempSync(join(tmpdir(), "keyledger-run-"));
  for (const folder of ["scripts", "node_modules"]) mkdirSync(join(path, folder));
  writeFileSync(join(path, "pnpm-lock.yaml"), "lockfileVersion: '9.0'\n");
  if (isCurrent) writeFileSync(join(path, "node_modules/.stamp"), "lockfileVersion: '9.0'\n");
  writeFileSync(join(path, "scripts/setup.cjs"), `console.log("set up");${setUp}`);
  return {
    path,
    run: (...command: readonly string[]) =>
      spawnSync("sh", [script, ...command], { cwd: path, encoding: "utf8" }),
    [Symbol.dispose]: () => rmSync(path, { recursive: true }),
  };
}

describe("a command of the workspace", () => {
  it("runs at once where nothing has changed, with its arguments as they are", () => {
    using current = workspace({ isCurrent: true });
    const { stdout, status } = current.run("printf", "%s|", "a b", "--c=d e", "*");
    expect(stdout).toBe("a b|--c=d e|*|");
    expect(status).toBe(0);
  });

  it("runs after the set-up where the lockfile is new", () => {
    using fresh = workspace({ isCurrent: false });
    expect(fresh.run("echo", "ran").stdout).toBe("set up\nran\n");
  });

  it("does not run when the set-up fails, and ends with its code", () => {
    using broken = workspace({ isCurrent: false, setUp: "process.exit(3)" });
    expect(broken.run("echo", "ran")).toMatchObject({ stdout: "set up\n", status: 3 });
  });

  it("ends with its own code", () => {
    using current = workspace({ isCurrent: true });
    expect(current.run("sh", "-c", "exit 7").status).toBe(7);
  });

  it("gets the signals that were meant for whoever started it, and may end in its own time", async () => {
    using current = workspace({ isCurrent: true });
    const drains = `
      process.on("SIGTERM", () => setTimeout(() => process.exit(0), 50));
      setInterval(() => {}, 1000);
      console.log(process.pid);`;
    const child = spawn("sh", [script, process.execPath, "-e", drains], { cwd: current.path });
    const [pid] = await once(child.stdout, "data");
    expect(Number(pid)).toBe(child.pid);
    child.kill("SIGTERM");
    expect(await once(child, "exit")).toStrictEqual([0, null]);
  });

  // A shell may remember where it found node before the set-up brought another one.
  it.for(["sh", "bash"])("is looked up after the set-up, in %s", (shell) => {
    using fresh = workspace({
      isCurrent: false,
      setUp: `
        const { mkdirSync, writeFileSync } = require("fs");
        mkdirSync("node_modules/.bin");
        writeFileSync("node_modules/.bin/node", "#!/bin/sh\\necho the new one\\n", { mode: 0o755 });`,
    });
    const PATH = `${join(fresh.path, "node_modules/.bin")}:${process.env.PATH}`;
    const options = { cwd: fresh.path, encoding: "utf8", env: { PATH } } as const;
    const { stdout } = spawnSync(shell, [script, "node"], options);
    expect(stdout).toBe("set up\nthe new one\n");
  });
});
