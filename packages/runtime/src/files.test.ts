import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { FileRefused, readPrivateFile, removeDurably, writePrivateFile } from "./files.ts";

function directory() {
  const path = mkdtempSync(join(tmpdir(), "keyledger-files-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) };
}

const text = (bytes: Uint8Array | undefined) => bytes && Buffer.from(bytes).toString();
const modeOf = (path: string) => statSync(path).mode & 0o777;

describe("a private file", () => {
  it("is written whole with mode 0600 and read again", async () => {
    using dir = directory();
    const path = join(dir.path, "keys.json");
    await writePrivateFile(path, "first, and longer");
    await writePrivateFile(path, "second");
    expect(text(await readPrivateFile(path, 100))).toBe("second");
    expect(modeOf(path)).toBe(0o600);
    expect(readdirSync(dir.path)).toStrictEqual(["keys.json"]);
  });

  it("is private even where the file before it was not", async () => {
    using dir = directory();
    const path = join(dir.path, "ready.json");
    writeFileSync(path, "old", { mode: 0o644 });
    await writePrivateFile(path, "new");
    expect(modeOf(path)).toBe(0o600);
  });

  it("replaces a draft that a crash left, even one with wrong rights", async () => {
    using dir = directory();
    const path = join(dir.path, "ready.json");
    writeFileSync(join(dir.path, ".ready.json.new"), "half", { mode: 0o666 });
    await writePrivateFile(path, "whole");
    expect(readFileSync(path, "utf8")).toBe("whole");
    expect(modeOf(path)).toBe(0o600);
    expect(readdirSync(dir.path)).toStrictEqual(["ready.json"]);
  });

  it("replaces a link in its place rather than what the link names", async () => {
    using dir = directory();
    const victim = join(dir.path, "victim");
    const path = join(dir.path, "ready.json");
    writeFileSync(victim, "untouched");
    symlinkSync(victim, path);
    symlinkSync(victim, join(dir.path, ".ready.json.new"));
    await writePrivateFile(path, "new");
    expect(readFileSync(victim, "utf8")).toBe("untouched");
    expect(readFileSync(path, "utf8")).toBe("new");
  });

  it("keeps its old content when the new one cannot be written", async () => {
    using dir = directory();
    const path = join(dir.path, "keys.json");
    await writePrivateFile(path, "old");
    mkdirSync(join(dir.path, ".keys.json.new"));
    await expect(writePrivateFile(path, "new")).rejects.toBeInstanceOf(FileRefused);
    expect(readFileSync(path, "utf8")).toBe("old");
  });

  it("that cannot be written is a fault with path and code", async () => {
    using dir = directory();
    const path = join(dir.path, "absent", "keys.json");
    await expect(writePrivateFile(path, "x")).rejects.toMatchObject({
      name: "FileRefused",
      retryable: false,
      message: `${path}: cannot be written (ENOENT)`,
    });
  });

  it("that is not there reads as undefined", async () => {
    using dir = directory();
    expect(await readPrivateFile(join(dir.path, "absent"), 100)).toBeUndefined();
  });

  it.for([0o640, 0o604, 0o620, 0o601])("is refused when its mode is %o", async (mode) => {
    using dir = directory();
    const path = join(dir.path, "keys.json");
    writeFileSync(path, "x");
    chmodSync(path, mode);
    await expect(readPrivateFile(path, 100)).rejects.toMatchObject({
      message: `${path}: others may read it (mode 0${mode.toString(8)}, needs 0600)`,
    });
  });

  it("is read up to its bound and refused beyond it", async () => {
    using dir = directory();
    const path = join(dir.path, "keys.json");
    await writePrivateFile(path, new Uint8Array(100));
    expect(await readPrivateFile(path, 100)).toHaveLength(100);
    await expect(readPrivateFile(path, 99)).rejects.toMatchObject({
      message: `${path}: is 100 bytes, the most is 99`,
    });
  });

  it("is refused where a directory or a pipe stands in its place, without waiting", async () => {
    using dir = directory();
    const pipe = join(dir.path, "pipe");
    execFileSync("mkfifo", ["-m", "600", pipe]);
    for (const path of [dir.path, pipe]) {
      await expect(readPrivateFile(path, 100)).rejects.toMatchObject({
        message: `${path}: is no regular file`,
      });
    }
  });
});

describe("a durable removal", () => {
  it("removes the file and finds nothing wrong the second time", async () => {
    using dir = directory();
    const path = join(dir.path, "ready.json");
    await writePrivateFile(path, "x");
    await removeDurably(path);
    await removeDurably(path);
    expect(readdirSync(dir.path)).toStrictEqual([]);
  });

  it("finds nothing wrong where the directory is gone as well", async () => {
    using dir = directory();
    await expect(removeDurably(join(dir.path, "absent", "ready.json"))).resolves.toBeUndefined();
  });

  it("of a directory is refused", async () => {
    using dir = directory();
    await expect(removeDurably(dir.path)).rejects.toBeInstanceOf(FileRefused);
  });
});
