import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";

const script = new URL("../../scripts/totals.mjs", import.meta.url).pathname;

/** @param runs exit code and content of the JSON file of each run; none where it left no file */
function totals(...runs: readonly { readonly code: number; readonly json?: unknown }[]) {
  const folder = mkdtempSync(join(tmpdir(), "keyledger-totals-"));
  try {
    const args = runs.flatMap(({ code, json }, index) => {
      const file = join(folder, `${index}.json`);
      if (json !== undefined) {
        writeFileSync(file, typeof json === "string" ? json : JSON.stringify(json));
      }
      return [String(code), file];
    });
    const { status, stdout } = spawnSync(process.execPath, [script, ...args], { encoding: "utf8" });
    return { status, lines: stdout.trimEnd().split("\n") };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const checks = { passed: 7, failed: 0 };
const tests = (failed: number, more: object = {}) => ({
  numPassedTests: 100,
  numFailedTests: failed,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [{ status: "passed", assertionResults: [{ status: "passed" }] }],
  ...more,
});

describe("the totals of CI", () => {
  it("add checks and tests, and end with 0 when all passed", () => {
    expect(totals({ code: 0, json: checks }, { code: 0, json: tests(0) })).toStrictEqual({
      status: 0,
      lines: ["107 passed, 0 failed"],
    });
  });

  it("end with 1 when a test failed", () => {
    expect(totals({ code: 0, json: checks }, { code: 1, json: tests(2) })).toStrictEqual({
      status: 1,
      lines: ["107 passed, 2 failed"],
    });
  });

  it("end with 1 when a check failed", () => {
    const failing = { code: 1, json: { passed: 6, failed: 1 } };
    expect(totals(failing, { code: 0, json: tests(0) })).toStrictEqual({
      status: 1,
      lines: ["106 passed, 1 failed"],
    });
  });

  it("count a test file that did not load", () => {
    const testResults = [
      { status: "failed", assertionResults: [] },
      { status: "failed", assertionResults: [{ status: "failed" }] },
    ];
    const run = { code: 1, json: tests(1, { testResults }) };
    expect(totals({ code: 0, json: checks }, run).lines).toStrictEqual(["107 passed, 2 failed"]);
  });

  it("count a failure that no test stands for, as an error between tests", () => {
    const run = { code: 1, json: tests(0) };
    expect(totals({ code: 0, json: checks }, run)).toStrictEqual({
      status: 1,
      lines: ["107 passed, 1 failed"],
    });
  });

  it.for<[string, { code: number; json?: unknown }]>([
    ["was killed before it wrote", { code: 143 }],
    ["was killed while it wrote", { code: 137, json: '{"numPassedTests": 5' }],
    ["left no file although it ended well", { code: 0 }],
    ["ran no test", { code: 0, json: tests(0, { numPassedTests: 0 }) }],
  ])("count a run that %s as failed", ([, run]) => {
    expect(totals({ code: 0, json: checks }, run)).toStrictEqual({
      status: 1,
      lines: ["7 passed, 1 failed"],
    });
  });

  it("tell what was skipped, before the last line", () => {
    const run = { code: 0, json: tests(0, { numPendingTests: 3, numTodoTests: 1 }) };
    expect(totals({ code: 0, json: checks }, run)).toStrictEqual({
      status: 0,
      lines: ["4 skipped", "107 passed, 0 failed"],
    });
  });

  it("end with 1 when nothing ran at all", () => {
    expect(totals()).toStrictEqual({ status: 1, lines: ["0 passed, 1 failed"] });
  });
});
