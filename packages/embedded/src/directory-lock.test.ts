import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { StoreUnavailable } from "@keyledger/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { lockDirectory } from "./directory-lock.ts";

const MODULE = JSON.stringify(new URL("./directory-lock.ts", import.meta.url).href);

/** Another process that takes the lock and keeps it until it is killed. */
async function otherProcess(directory: string) {
  const child = spawn(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `const { lockDirectory } = await import(${MODULE});
       globalThis.lock = lockDirectory(${JSON.stringify(directory)});
       console.log("held");
       setInterval(() => {}, 1000);`,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  await new Promise((resolve) => child.stdout.once("data", resolve));
  return {
    async kill() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

describe("The lock of a data directory", () => {
  let directory: string;
  beforeEach(() => {
    directory = join(mkdtempSync(join(tmpdir(), "keyledger-lock-")), "data");
  });
  afterEach(() => rmSync(join(directory, ".."), { recursive: true }));

  it("is taken by one holder at a time, and free again afterwards", () => {
    {
      using _first = lockDirectory(directory);
      expect(() => lockDirectory(directory)).toThrow(StoreUnavailable);
    }
    lockDirectory(directory)[Symbol.dispose]();
  });

  it("makes the directory for nobody but its user", () => {
    using _lock = lockDirectory(directory);
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(statSync(join(directory, "lock.db")).mode & 0o777).toBe(0o600);
  });

  it("keeps other processes out, tells them what to do, and is freed when its holder is killed", async () => {
    const other = await otherProcess(directory);
    expect(() => lockDirectory(directory)).toThrow(
      expect.objectContaining({
        constructor: StoreUnavailable,
        retryable: false,
        message: `the data directory ${directory} is in use by another Keyledger process: stop that one first, or give this one a directory of its own`,
      }),
    );
    await other.kill();
    lockDirectory(directory)[Symbol.dispose]();
  });
});
