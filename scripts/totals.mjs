// Adds up what the checks and the tests counted and prints "N passed, N failed" as its last line.
// usage: node totals.mjs <exit code> <JSON file> [<exit code> <JSON file> ...]
import { readFileSync } from "node:fs";

/** Passed, failed and skipped of one run; whatever went wrong without being counted counts as one failure. */
function countsOf(exitCode, file) {
  const result = read(file);
  const counts = result === undefined ? { passed: 0, failed: 0, skipped: 0 } : countsIn(result);
  const isUncounted = counts.failed === 0 && (exitCode !== 0 || counts.passed === 0);
  return isUncounted ? { ...counts, failed: 1 } : counts;
}

/** A run that was killed or never started leaves no file, or half of one. */
function read(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return undefined;
  }
}

function countsIn(result) {
  if (!Array.isArray(result.testResults)) {
    return { passed: Number(result.passed), failed: Number(result.failed), skipped: 0 };
  }
  // A file that does not even load has no tests to count.
  const unloaded = result.testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: result.numPassedTests,
    failed: result.numFailedTests + unloaded.length,
    skipped: result.numPendingTests + result.numTodoTests,
  };
}

const total = { passed: 0, failed: 0, skipped: 0 };
const [, , ...runs] = process.argv;
for (let index = 0; index + 1 < runs.length; index += 2) {
  const counts = countsOf(Number(runs[index]), runs[index + 1]);
  for (const name of Object.keys(total)) total[name] += counts[name];
}
if (total.passed === 0 && total.failed === 0) total.failed = 1;
if (total.skipped > 0) console.log(`${total.skipped} skipped`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 ? 1 : 0;
