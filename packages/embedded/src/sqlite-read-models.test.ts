import { execFileSync } from "node:child_process";
import { randomBytes, randomUUID } from "node:crypto";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  Corrupted,
  emptyKeyringView,
  type KeyringView,
  type KeyView,
  type Owner,
  type Position,
  StoreUnavailable,
} from "@keyledger/core";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openReadModels } from "./sqlite-read-models.ts";
import type { ViewsResetReason } from "./views-file.ts";

let directory: string;
let file: string;
let resets: ViewsResetReason[];
const deploymentId = randomUUID();
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "keyledger-views-"));
  file = join(directory, "views.db");
  resets = [];
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (at = file) =>
  openReadModels({ file: at, deploymentId, onReset: (reason) => resets.push(reason) });

const positionAt = (sequence: number): Position => sequence.toString(16).padStart(50, "0");

const newOwner = (): Owner => ({ kind: "team", id: randomUUID() });

const newKey = (name = "production"): KeyView => ({
  keyId: randomUUID(),
  provider: "openai",
  secretVersion: randomUUID(),
  fingerprint: "a1b2c3d4:ABCDEFGHIJKLMNOP",
  label: "sk-...abcd",
  workspaceId: null,
  isValidated: true,
  lastProbe: { outcome: "valid", code: "ok" },
  health: "valid",
  createdAt: "2026-11-21T11:00:00.000Z",
  updatedAt: "2026-11-21T11:00:01.000Z",
  name,
  location: null,
  sortOrder: 0,
  fallback: false,
  disabled: false,
  allowedModels: null,
  allowedUsers: null,
  allowedCallerKeys: null,
  requiredForItsModels: false,
  byokOnly: false,
  declaredZdr: null,
  expiresAt: null,
});

const newKeyring = (keys: readonly KeyView[], owner = newOwner()): KeyringView => ({
  ...emptyKeyringView(owner),
  keys: new Map(keys.map((key) => [key.keyId, key])),
  mode: "byok",
  revision: 0,
  editRevision: 0,
  position: positionAt(1),
});

const one = newKeyring([newKey()]);

/** Views with some contents, closed again. */
function stored(): void {
  using models = open();
  const others = Array.from({ length: 200 }, () => newKeyring([newKey(), newKey()]));
  models.commit({ keyrings: [one, ...others], callerKeys: [] }, positionAt(5));
}

/** Does to the closed file what another release or tool would do. */
function meddle(sql: string): void {
  using database = new DatabaseSync(file);
  database.exec(sql);
}

/** The views are empty, and work. */
function expectStartedAnew(reason: ViewsResetReason): void {
  {
    using models = open();
    expect(resets).toStrictEqual([reason]);
    expect(models.checkpoint()).toBe(null);
    expect(models.keyring(one.owner)).toBe(undefined);
    models.commit({ keyrings: [one], callerKeys: [] }, positionAt(1));
  }
  using models = open();
  expect(resets).toStrictEqual([reason]);
  expect(models.keyring(one.owner)).toStrictEqual(one);
}

describe("Stored views", () => {
  it("are used again, and nobody is told anything", () => {
    stored();
    using models = open();
    expect(models.checkpoint()).toBe(positionAt(5));
    expect(models.keyring(one.owner)).toStrictEqual(one);
    expect(resets).toStrictEqual([]);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  it.for([
    ["is another kind of file", () => writeFileSync(file, "views")],
    ["holds anything", () => writeFileSync(file, randomBytes(50_000))],
    ["was cut", () => truncateSync(file, statSync(file).size / 2)],
    ["was cut to a few bytes", () => truncateSync(file, 50)],
    [
      "has a page of zeros",
      () => {
        const bytes = readFileSync(file);
        writeFileSync(file, bytes.fill(0, 8_192, 12_288));
      },
    ],
    ["lost an index", () => meddle("DROP INDEX keyrings_by_owner")],
    ["lost a table", () => meddle("DROP TABLE keys")],
    ["lost its checkpoint's table", () => meddle("DROP TABLE checkpoint")],
    ["is a database of something else", () => meddle("PRAGMA application_id = 77")],
  ] as const)("are thrown away when their file %s, and a copy is set aside", ([, damage]) => {
    stored();
    damage();
    const damaged = readFileSync(file);
    expectStartedAnew("damaged");
    expect(readFileSync(`${file}.set-aside`).equals(damaged)).toBe(true);
  });

  it.for([
    ["of an older schema", "UPDATE checkpoint SET view_schema = 0"],
    ["of a newer schema", "UPDATE checkpoint SET view_schema = 999"],
    ["of a newer format", "PRAGMA user_version = 2"],
    ["without a checkpoint", "DELETE FROM checkpoint"],
  ] as const)("are thrown away when they are %s", ([, sql]) => {
    stored();
    meddle(sql);
    expectStartedAnew("other-schema");
    expect(existsSync(`${file}.set-aside`)).toBe(false);
  });

  it("are thrown away when they are those of another deployment", () => {
    stored();
    meddle(`UPDATE checkpoint SET deployment_id = '${randomUUID()}'`);
    expectStartedAnew("other-deployment");
  });

  it.for([
    ["an empty file", () => writeFileSync(file, "")],
    ["a file without tables", () => meddle("PRAGMA journal_mode = WAL")],
  ] as const)("are not called damaged where a kill left %s", ([, leave]) => {
    leave();
    using models = open();
    expect(models.checkpoint()).toBe(null);
    expect(resets).toStrictEqual([]);
  });

  it("are damaged from the moment it is noticed until they are made anew", () => {
    stored();
    const bytes = readFileSync(file);
    for (let at = bytes.indexOf('["byok"'); at >= 0; at = bytes.indexOf('["byok"')) bytes[at] = 33;
    writeFileSync(file, bytes);
    {
      using models = open();
      expect(resets).toStrictEqual([]);
      expect(() => models.keyring(one.owner)).toThrow(Corrupted);
    }
    expectStartedAnew("damaged");
  });

  it("are whole again after a reset, however damaged they were", () => {
    stored();
    meddle("UPDATE keyrings SET document = '[' || document");
    using models = open();
    expect(() => models.keyring(one.owner)).toThrow(Corrupted);
    models.reset();
    models.commit({ keyrings: [one], callerKeys: [] }, positionAt(1));
    models[Symbol.dispose]();
    using again = open();
    expect(again.keyring(one.owner)).toStrictEqual(one);
    expect(resets).toStrictEqual([]);
  });

  it("are not thrown away because another process has them", () => {
    stored();
    using models = open();
    expect(() => open()).toThrow(StoreUnavailable);
    expect(resets).toStrictEqual([]);
    expect(models.keyring(one.owner)).toStrictEqual(one);
  });

  it("are those of the checkpoint, whenever the process is killed", () => {
    using models = open();
    const views = Array.from({ length: 40 }, () => newKeyring([newKey()]));
    for (const [at, view] of views.entries()) {
      models.commit({ keyrings: [view], callerKeys: [] }, positionAt(at + 1));
      if (at % 8 !== 0) continue;
      const copy = join(directory, `copy-${at}`);
      execFileSync("sh", ["-c", `mkdir "${copy}" && cp "${file}"* "${copy}"`]);
      using left = open(join(copy, "views.db"));
      const applied = Number.parseInt(left.checkpoint() ?? "0", 16);
      expect(applied).toBe(at + 1);
      for (const [other, { owner }] of views.entries()) {
        expect(left.keyring(owner) !== undefined).toBe(other < applied);
      }
    }
    expect(resets).toStrictEqual([]);
  });

  it("are written only as far as they changed", () => {
    using models = open();
    const before = newKeyring(Array.from({ length: 500 }, () => newKey("x".repeat(200))));
    models.commit({ keyrings: [before], callerKeys: [] }, positionAt(1));
    const [first] = before.keys.values();
    if (first === undefined) throw new Error("no key");
    const size = () => statSync(`${file}-wal`).size;
    const whole = size();
    const keys = new Map(before.keys).set(first.keyId, { ...first, name: "other" });
    models.commit({ keyrings: [{ ...before, keys, revision: 1 }], callerKeys: [] }, positionAt(2));
    expect(size() - whole).toBeLessThan(10 * 4_120);
    expect(whole).toBeGreaterThan(40 * 4_120);
  });

  it("leave nothing beside their file once closed", () => {
    stored();
    expect(readdirSync(directory)).toStrictEqual(["views.db"]);
  });

  it("are read from memory the second time", () => {
    stored();
    using models = open();
    expect(models.keyring(one.owner)).toBe(models.keyring(one.owner));
  });

  it("take no deployment id that is none", () => {
    expect(() => openReadModels({ file, deploymentId: "'); DROP TABLE keys; --" })).toThrow(
      RangeError,
    );
    expect(existsSync(file)).toBe(false);
  });
});
