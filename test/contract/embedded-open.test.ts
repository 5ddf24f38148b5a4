import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import {
  Corrupted,
  createMac,
  type EnvelopeRecord,
  type Fault,
  StoreUnavailable,
} from "@keyledger/core";
import { type Embedded, type EmbeddedOptions, openEmbedded } from "@keyledger/embedded";
import { nodeHost } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { newEvent } from "./event-log.contract.ts";
import { newRecord, newRef } from "./secret-store.contract.ts";

const host = nodeHost();

class Home {
  readonly base = mkdtempSync(join(tmpdir(), "keyledger-open-"));
  readonly directory = join(this.base, "data");

  open(options: Partial<EmbeddedOptions> = {}): Promise<Embedded> {
    return openEmbedded({ directory: this.directory, host, ...options });
  }

  at(...names: string[]): string {
    return join(this.directory, ...names);
  }

  /** Everything below the directory, with contents: shows whether anything was made or changed. */
  contents(): Record<string, string> {
    const names = readdirSync(this.directory, { recursive: true, encoding: "utf8" });
    const files = names.filter((name) => !statSync(this.at(name)).isDirectory());
    return Object.fromEntries(
      files.map((name) => [name, readFileSync(this.at(name)).toString("base64")]),
    );
  }

  [Symbol.dispose](): void {
    rmSync(this.base, { recursive: true });
  }
}

const ref = newRef();
const dek = new Uint8Array(32).fill(7);
const context = Buffer.from("context");

/** Puts something into every part. */
async function use(embedded: Embedded): Promise<EnvelopeRecord> {
  const wrappedDek = await embedded.kek.wrap(dek, context);
  const record = newRecord(164, { wrappedDek });
  await embedded.secrets.put(ref, record);
  await embedded.log.append("keyring-user.1", "none", [newEvent()]);
  await embedded.accessLog.append({
    id: host.random.uuid(),
    type: "AccessGranted",
    data: "{}",
    metadata: { actor: "user.1", owner: "user.1" },
  });
  return record;
}

/** Whether all that `use` put there can be had and opened. */
async function expectUsed(embedded: Embedded): Promise<void> {
  const { events } = await embedded.log.read({ after: embedded.log.zero, limit: 10 });
  expect(events).toHaveLength(1);
  const accesses = await embedded.accessLog.read({ after: embedded.accessLog.zero, limit: 10 });
  expect(accesses.events).toHaveLength(1);
  const held = await embedded.secrets.get(ref);
  if (held === null) throw new Error("the record is gone");
  const [opened] = await embedded.kek.unwrap([{ wrapped: held.record.wrappedDek, context }]);
  expect(opened && Buffer.from(opened).equals(dek)).toBe(true);
}

/** A directory in which something was stored. */
async function usedHome(options: Partial<EmbeddedOptions> = {}): Promise<Home> {
  const home = new Home();
  await using embedded = await home.open(options);
  await use(embedded);
  return home;
}

async function refusal(opening: Promise<Embedded>): Promise<Fault> {
  const fault = await opening.then(
    async (embedded) => {
      await embedded[Symbol.asyncDispose]();
      throw new Error("it was opened");
    },
    (error: unknown) => error,
  );
  expect(fault).toBeInstanceOf(StoreUnavailable);
  if (!(fault instanceof StoreUnavailable)) throw fault;
  expect(fault.retryable).toBe(false);
  return fault;
}

const macOf = ({ macRoot }: Embedded): string =>
  createMac(macRoot, host.crypto).value("fingerprint", "user.1", Buffer.from("secret"));

describe("An embedded data directory", () => {
  it("is made for nobody but its user", async () => {
    using home = await usedHome();
    expect(statSync(home.directory).mode & 0o777).toBe(0o700);
    const names = readdirSync(home.directory, { recursive: true, encoding: "utf8" });
    for (const name of names) {
      const stat = statSync(home.at(name));
      expect([name, stat.mode & 0o777]).toStrictEqual([name, stat.isDirectory() ? 0o700 : 0o600]);
    }
    expect(readdirSync(home.directory).toSorted()).toStrictEqual(
      ["access", "keys", "lock.db", "log.db", "node-id", "secrets.db"].toSorted(),
    );
  });

  it("has its data, its ids and its keys when it is opened again", async () => {
    using home = new Home();
    const seen: unknown[] = [];
    for (const round of [0, 1, 2]) {
      await using embedded = await home.open();
      if (round === 0) await use(embedded);
      await expectUsed(embedded);
      const { deploymentId, nodeId } = embedded;
      seen.push({ deploymentId, nodeId, mac: macOf(embedded) });
    }
    expect(seen[1]).toStrictEqual(seen[0]);
    expect(seen[2]).toStrictEqual(seen[0]);
  });

  it("shares nothing with another one", async () => {
    using one = new Home();
    using other = new Home();
    await using first = await one.open();
    await using second = await other.open();
    expect(second.deploymentId).not.toBe(first.deploymentId);
    expect(second.nodeId).not.toBe(first.nodeId);
    expect(macOf(second)).not.toBe(macOf(first));
    const wrapped = await first.kek.wrap(dek, context);
    const { id } = await second.kek.current();
    const items = [wrapped, { ...wrapped, kekId: id }].map((key) => ({ wrapped: key, context }));
    expect(await second.kek.unwrap(items)).toStrictEqual([null, null]);
  });

  it("remembers a rotation of the KEK", async () => {
    using home = await usedHome();
    {
      await using embedded = await home.open();
      await embedded.kek.rotate();
    }
    await using embedded = await home.open();
    expect((await embedded.kek.current()).version).toBe(2);
    await expectUsed(embedded);
  });

  it("is one process's at a time, and free again once closed or refused", async () => {
    using home = await usedHome();
    {
      await using embedded = await home.open();
      const fault = await refusal(home.open());
      expect(fault.message).toContain(home.directory);
      await expectUsed(embedded);
    }
    renameSync(home.at("keys"), home.at("aside"));
    await refusal(home.open());
    renameSync(home.at("aside"), home.at("keys"));
    await using embedded = await home.open();
    await expectUsed(embedded);
  });

  it("takes nothing more once it is closed", async () => {
    using home = new Home();
    const embedded = await home.open();
    await embedded[Symbol.asyncDispose]();
    await expect(embedded.secrets.put(newRef(), newRecord())).rejects.toThrow(StoreUnavailable);
    await expect(embedded.secrets.get(ref)).rejects.toThrow(StoreUnavailable);
    await expect(embedded.log.append("keyring-user.1", "any", [newEvent()])).rejects.toThrow(
      StoreUnavailable,
    );
  });
});

describe("A key file", () => {
  it("lies where it is wanted, and the directory says whether that is inside", async () => {
    using home = new Home();
    const outside = join(home.base, "elsewhere", "kek");
    {
      await using embedded = await home.open({ keyFile: outside });
      expect(embedded.keyFileInsideDirectory).toBe(false);
      await use(embedded);
    }
    expect(existsSync(home.at("keys"))).toBe(false);
    {
      const linked = join(home.base, "link");
      symlinkSync(home.directory, linked);
      copyFileSync(outside, home.at("deep"));
      await using embedded = await home.open({ keyFile: join(linked, "deep") });
      expect(embedded.keyFileInsideDirectory).toBe(true);
      await expectUsed(embedded);
    }
    using other = new Home();
    await using embedded = await other.open();
    expect(embedded.keyFileInsideDirectory).toBe(true);
  });

  it.for(["log.db", "secrets.db"])(
    "that is missing beside a %s with data is not made anew",
    async (kept) => {
      using home = await usedHome();
      renameSync(home.at("keys"), join(home.base, "keys"));
      const other = kept === "log.db" ? "secrets.db" : "log.db";
      rmSync(home.at(other));
      const before = home.contents();
      const { message } = await refusal(home.open());
      expect(message).toContain(home.at("keys"));
      expect(message).toContain(home.at(kept));
      expect(home.contents()).toStrictEqual(before);
    },
  );

  it("that is missing can be put back", async () => {
    using home = await usedHome();
    renameSync(home.at("keys"), join(home.base, "keys"));
    const { message } = await refusal(home.open());
    for (const name of ["keys", "log.db", "secrets.db"]) expect(message).toContain(home.at(name));
    renameSync(join(home.base, "keys"), home.at("keys"));
    await using embedded = await home.open();
    await expectUsed(embedded);
  });

  it.for([["log.db"], ["secrets.db"], ["log.db", "secrets.db"]])(
    "is refused where %s is missing beside it, and nothing is made",
    async (lost) => {
      using home = await usedHome();
      for (const name of lost) rmSync(home.at(name));
      const before = home.contents();
      const { message } = await refusal(home.open());
      for (const name of ["keys", ...lost]) expect(message).toContain(home.at(name));
      expect(home.contents()).toStrictEqual(before);
    },
  );

  it("is refused with an empty directory: a disk that was not mounted is no new vault", async () => {
    using home = new Home();
    const keyFile = join(home.base, "kek");
    {
      await using embedded = await home.open({ keyFile });
      await use(embedded);
    }
    renameSync(home.directory, join(home.base, "real"));
    const { message } = await refusal(home.open({ keyFile }));
    expect(message).toContain(keyFile);
    rmSync(home.directory, { recursive: true });
    renameSync(join(home.base, "real"), home.directory);
    await using embedded = await home.open({ keyFile });
    await expectUsed(embedded);
  });

  it("is refused when others may open it", async () => {
    using home = await usedHome();
    chmodSync(home.at("keys"), 0o640);
    expect((await refusal(home.open())).message).toContain(home.at("keys"));
    chmodSync(home.at("keys"), 0o600);
    await using embedded = await home.open();
    await expectUsed(embedded);
  });

  it("that was replaced by an older copy is not rotated", async () => {
    using home = await usedHome();
    await using embedded = await home.open();
    copyFileSync(home.at("keys"), join(home.base, "older"));
    await embedded.kek.rotate();
    copyFileSync(home.at("keys"), join(home.base, "newer"));
    copyFileSync(join(home.base, "older"), home.at("keys"));
    await expect(embedded.kek.rotate()).rejects.toBeInstanceOf(Corrupted);
    copyFileSync(join(home.base, "newer"), home.at("keys"));
    expect(await embedded.kek.rotate()).toMatchObject({ version: 3 });
    rmSync(home.at("keys"));
    await expect(embedded.kek.rotate()).rejects.toBeInstanceOf(StoreUnavailable);
    expect((await embedded.kek.current()).version).toBe(3);
  });
});

describe("Files of different deployments", () => {
  it.for(["log.db", "secrets.db", "keys"])("are refused by name: an exchanged %s", async (name) => {
    using home = await usedHome();
    using foreign = await usedHome();
    copyFileSync(foreign.at(name), home.at(name));
    const before = home.contents();
    const { message } = await refusal(home.open());
    for (const part of ["log.db", "secrets.db", "keys"]) {
      expect(message).toContain(home.at(part));
    }
    expect(home.contents()).toStrictEqual(before);
  });

  it("are refused without a key file too", async () => {
    using home = new Home();
    using foreign = new Home();
    for (const each of [home, foreign]) await (await each.open())[Symbol.asyncDispose]();
    rmSync(home.at("keys"));
    copyFileSync(foreign.at("secrets.db"), home.at("secrets.db"));
    const { message } = await refusal(home.open());
    for (const part of ["log.db", "secrets.db"]) expect(message).toContain(home.at(part));
  });

  it("are refused where the access log is the foreign one", async () => {
    using home = await usedHome();
    using foreign = await usedHome();
    rmSync(home.at("access"), { recursive: true });
    cpSync(foreign.at("access"), home.at("access"), { recursive: true });
    await refusal(home.open());
  });
});

describe("The node id", () => {
  it("is not made anew where the log of the lost one is", async () => {
    using home = await usedHome();
    rmSync(home.at("node-id"));
    const { message } = await refusal(home.open());
    expect(message).toContain(home.at("node-id"));
    expect(message).toContain(home.at("access"));
    expect(existsSync(home.at("node-id"))).toBe(false);
  });

  it("is refused when it is none", async () => {
    using home = await usedHome();
    writeFileSync(home.at("node-id"), "node-1");
    await expect(home.open()).rejects.toBeInstanceOf(Corrupted);
  });
});

describe("A first start that did not finish", () => {
  /** A database file as it is before anything was committed to it. */
  function bareDatabase(file: string): void {
    using database = new DatabaseSync(file);
    database.exec("PRAGMA journal_mode = WAL");
  }

  /** What a crash may leave, in the order in which a first start makes it. `done` is a finished one's. */
  const CRASHES: readonly (readonly [string, (home: Home, done: Home) => void])[] = [
    ["the directory", () => {}],
    ["the lock", (home) => writeFileSync(home.at("lock.db"), "")],
    ["an empty log", (home) => writeFileSync(home.at("log.db"), "")],
    ["a log without tables", (home) => bareDatabase(home.at("log.db"))],
    ["the log", (home, done) => copyFileSync(done.at("log.db"), home.at("log.db"))],
    ["an empty secrets file", (home) => writeFileSync(home.at("secrets.db"), "")],
    [
      "a secrets file without tables",
      (home) => {
        rmSync(home.at("secrets.db"));
        bareDatabase(home.at("secrets.db"));
      },
    ],
    [
      "the secrets file",
      (home, done) => copyFileSync(done.at("secrets.db"), home.at("secrets.db")),
    ],
    ["part of a node id", (home) => writeFileSync(home.at("node-id.new"), "0190")],
    ["the node id", (home, done) => copyFileSync(done.at("node-id"), home.at("node-id"))],
    ["the access log's directory", (home) => mkdirSync(home.at("access"))],
    [
      "part of a key file",
      (home, done) =>
        writeFileSync(home.at("keys.new"), readFileSync(done.at("keys")).subarray(0, 50), {
          mode: 0o600,
        }),
    ],
    [
      "a key file without its name",
      (home, done) => copyFileSync(done.at("keys"), home.at("keys.new")),
    ],
  ];

  it.for(CRASHES.map(([what], at) => [what, at] as const))("goes on from %s", async ([, last]) => {
    using done = new Home();
    await (await done.open())[Symbol.asyncDispose]();
    using home = new Home();
    mkdirSync(home.directory);
    for (const [, leave] of CRASHES.slice(0, last + 1)) leave(home, done);
    {
      await using embedded = await home.open();
      await use(embedded);
    }
    await using embedded = await home.open();
    await expectUsed(embedded);
    expect(existsSync(home.at("keys.new"))).toBe(false);
    expect(existsSync(home.at("node-id.new"))).toBe(existsSync(home.at("node-id.new")));
  });

  it("goes on from the log alone with the deployment id that is in it", async () => {
    using done = new Home();
    const finished = await done.open();
    await finished[Symbol.asyncDispose]();
    using home = new Home();
    mkdirSync(home.directory);
    copyFileSync(done.at("log.db"), home.at("log.db"));
    await using embedded = await home.open();
    expect(embedded.deploymentId).toBe(finished.deploymentId);
  });

  it("goes on after a kill at any call it makes for time, ids, randomness or keys", async () => {
    let finished = 0;
    for (let call = 1; finished === 0; call++) {
      expect(call).toBeLessThan(40);
      using home = new Home();
      const signal = await openAndKillAt(home.directory, call);
      if (signal === null) finished = call;
      {
        await using embedded = await home.open();
        await use(embedded);
      }
      await using embedded = await home.open();
      await expectUsed(embedded);
    }
    // Deployment, node, KEK and three sets of random bytes at least.
    expect(finished).toBeGreaterThan(6);
  });
});

/** Opens a directory in a process of its own, which kills itself at the n-th call to its host. */
async function openAndKillAt(directory: string, call: number): Promise<NodeJS.Signals | null> {
  const script = `
    import { openEmbedded } from "@keyledger/embedded";
    import { nodeHost } from "@keyledger/runtime";
    let calls = 0;
    const deadly = (part) => new Proxy(part, {
      get: (target, name) => (...given) => {
        if (++calls === ${call}) process.kill(process.pid, "SIGKILL");
        return target[name](...given);
      },
    });
    const { clock, random, crypto, pause } = nodeHost();
    const host = { clock: deadly(clock), random: deadly(random), crypto: deadly(crypto), pause };
    await openEmbedded({ directory: ${JSON.stringify(directory)}, host });
    process.exit(0);
  `;
  const child = spawn(process.execPath, ["--input-type=module", "-e", script], {
    cwd: import.meta.dirname,
    stdio: ["ignore", "ignore", "inherit"],
  });
  const [code, signal] = await once(child, "exit");
  if (signal === null) expect(code).toBe(0);
  return signal;
}
