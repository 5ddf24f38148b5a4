import {
  Corrupted,
  callerStream,
  EventIdReused,
  type IssueWish,
  NotCaughtUp,
  parseCallerKey,
  StoreUnavailable,
  type Uuid,
  WrongExpectedRevision,
} from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { expectUnbrokenChain } from "./support/chain.ts";
import {
  accepted,
  anyTime,
  type Process,
  patience,
  refusal,
  stampOf,
  startProcess,
  team,
  textOf,
} from "./support/deployment.ts";
import { failBefore, first } from "./support/scripted.ts";

const operator = { actor: "caller.op", actorType: "operator" } as const;

const callOf = (process: Process, requestId?: string, expected?: number | "none") => ({
  stamp: stampOf(process, requestId === undefined ? operator : { ...operator, requestId }),
  expected,
  signal: patience,
});

const wish = (changes: Partial<IssueWish> = {}): IssueWish => ({
  role: "team-admin",
  owner: team,
  label: "ci",
  expiresAt: null,
  random: null,
  ...changes,
});

const issue = async (process: Process, changes: Partial<IssueWish> = {}, requestId?: string) =>
  accepted(await process.ledger.callerKeys.issue(callOf(process, requestId), wish(changes)));

const eventsOf = (process: Process, id: Uuid) => process.storage.log.of(callerStream(id));

describe("a caller key that is issued", () => {
  it("is shown once, and recognised by its text from then on", async () => {
    await using process = await startProcess();
    const { key, text } = await issue(process);
    expect(textOf(text)).toMatch(/^neo_sk_[0-9A-Za-z]{70}$/);
    expect(process.ledger.callerKeys.recognise(textOf(text))).toStrictEqual(key);
    expect(key).toMatchObject({ owner: team, role: "team-admin", label: "ci", revokedAt: null });
  });

  it("is stored without its text, as a keyed hash of its 32 random bytes", async () => {
    await using process = await startProcess();
    const random = Uint8Array.from({ length: 32 }, (_, at) => at);
    const { key, text } = await issue(process, { random });
    const [event] = eventsOf(process, key.callerKeyId);
    expect(JSON.parse(event?.data ?? "")).toStrictEqual({
      callerKeyId: key.callerKeyId,
      expiresAt: null,
      label: "ci",
      mac: process.ledger.mac.value("caller-key", "", random),
      owner: "team.red",
      role: "team-admin",
    });
    expect(JSON.stringify(event)).not.toContain(textOf(text).slice(7));
    expect(JSON.stringify(event)).not.toContain(Buffer.from(random).toString("base64url"));
    expect(parseCallerKey(process.host.crypto, textOf(text))).toStrictEqual({
      id: key.callerKeyId,
      random,
    });
  });

  it("is not wiped where its bytes were made beforehand", async () => {
    await using process = await startProcess();
    const random = Uint8Array.from({ length: 32 }, (_, at) => at + 1);
    await issue(process, { random });
    expect(random[0]).toBe(1);
  });

  it("has an id that comes from actor and request alone", async () => {
    await using process = await startProcess();
    const { callerKeys } = process.ledger;
    const { key } = await issue(process, {}, "r-1");
    const same = callerKeys.idFor({ actor: operator.actor, requestId: "r-1" });
    expect(key.callerKeyId).toBe(same);
    expect(callerKeys.idFor({ actor: operator.actor, requestId: "r-2" })).not.toBe(same);
    expect(callerKeys.idFor({ actor: "caller.other", requestId: "r-1" })).not.toBe(same);
  });

  it("is answered without its text when the request comes again", async () => {
    await using process = await startProcess();
    const { key, text } = await issue(process, {}, "r-1");
    const again = await issue(process, {}, "r-1");
    expect(again).toMatchObject({ key, text: null, revision: 0 });
    expect(eventsOf(process, key.callerKeyId)).toHaveLength(1);
    expect(process.ledger.callerKeys.recognise(textOf(text))).toBeDefined();
  });

  it("is answered again after its time is over as well", async () => {
    await using process = await startProcess();
    const expiresAt = "2026-01-01T00:00:10.000Z";
    const { key } = await issue(process, { expiresAt }, "r-1");
    process.time.advance(20_000);
    expect((await issue(process, { expiresAt }, "r-1")).key).toStrictEqual(key);
  });

  it("is refused where the request id was used for another wish", async () => {
    await using process = await startProcess();
    await issue(process, {}, "r-1");
    for (const other of [{ label: "cd" }, { role: "service", owner: null }] as const) {
      const answer = process.ledger.callerKeys.issue(callOf(process, "r-1"), wish(other));
      expect(refusal(await answer)).toStrictEqual({ reason: "idempotency-key-reused" });
    }
  });

  it("is one key with one text, however often the request comes at the same time", async () => {
    await using process = await startProcess();
    const answers = await Promise.all(Array.from({ length: 50 }, () => issue(process, {}, "r-1")));
    const texts = answers.flatMap(({ text }) => (text ? [textOf(text)] : []));
    expect(texts).toHaveLength(1);
    expect(process.ledger.callerKeys.recognise(texts[0] ?? "")).toBeDefined();
    const id = answers[0]?.key.callerKeyId ?? "";
    expect(eventsOf(process, id)).toHaveLength(1);
    for (const { key } of answers) expect(key).toStrictEqual(answers[0]?.key);
  });

  it("is one key with one text, though two processes were asked", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    const texts: string[] = [];
    process.log.next(
      "append",
      first(async () => texts.push(textOf((await issue(other, {}, "r-1")).text))),
    );
    const mine = await issue(process, {}, "r-1");
    expect(mine.text).toBeNull();
    expect(process.ledger.callerKeys.recognise(texts[0] ?? "")).toStrictEqual(mine.key);
  });

  it("must be new where the caller expects so", async () => {
    await using process = await startProcess();
    const { callerKeys } = process.ledger;
    expect(refusal(await callerKeys.issue(callOf(process, "r-1", 0), wish()))).toStrictEqual({
      reason: "revision-mismatch",
    });
    accepted(await callerKeys.issue(callOf(process, "r-1", "none"), wish()));
  });

  it.for([
    ["a team role without an owner", { owner: null }, "owner"],
    ["a team role for a user", { owner: { kind: "user", id: "ann" } }, "owner"],
    ["a service with an owner", { role: "service" }, "owner"],
    ["an end that lies behind", { expiresAt: "2025-12-31T00:00:00.000Z" }, "expires_at"],
    ["an end that is now", { expiresAt: "2026-01-01T00:00:00.000Z" }, "expires_at"],
    ["a label that holds a key", { label: "sk-ant-api03-abcdefghijklmnop" }, "label"],
    ["a label that is too long", { label: "a".repeat(256) }, "label"],
  ] as const)("is none for %s", async ([, changes, field]) => {
    await using process = await startProcess();
    const answer = await process.ledger.callerKeys.issue(callOf(process), wish(changes));
    expect(refusal(answer)).toMatchObject({ reason: "invalid", violations: [{ field }] });
    expect(Object.keys(answer)).toStrictEqual(["rejected"]);
    expect(process.storage.log.events).toHaveLength(0);
  });
});

describe("the bytes of a caller key", () => {
  const isWiped = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

  it("that were made for it are wiped once it is issued", async () => {
    await using process = await startProcess();
    const made: Uint8Array[] = [];
    const { random } = process.host;
    const bytes = (length: number) => {
      const fresh = random.bytes(length);
      made.push(fresh);
      return fresh;
    };
    Object.assign(process.host, { random: { ...random, bytes } });
    await issue(process);
    expect(made.map(isWiped)).toStrictEqual([true]);
  });

  it("that a text holds are wiped once it is recognised, or not", async () => {
    await using process = await startProcess();
    const { key, text } = await issue(process);
    const { callerKeys } = process.ledger;
    const wrong = callerKeys.textFor(key.callerKeyId, process.host.random.bytes(32));
    const seen: Uint8Array[] = [];
    const { hmac } = process.host.crypto;
    Object.assign(process.host.crypto, {
      hmac: (...input: Parameters<typeof hmac>) => {
        if (input[1].length === 32) seen.push(input[1]);
        return hmac(...input);
      },
    });
    expect(callerKeys.recognise(textOf(text))).toBeDefined();
    expect(callerKeys.recognise(textOf(wrong))).toBeUndefined();
    expect(seen.map(isWiped)).toStrictEqual([true, true]);
  });
});

describe("a fault on the way to a caller key", () => {
  it("is thrown, not tried again: nothing was written", async () => {
    await using process = await startProcess();
    for (const fault of [
      new StoreUnavailable("the disk is full", { retryable: true }),
      new EventIdReused("caller-x"),
    ]) {
      process.log.next("append", failBefore(fault));
      await expect(issue(process)).rejects.toBe(fault);
    }
    expect(process.log.calls.filter((name) => name === "append")).toHaveLength(2);
  });

  it("is a stream that holds something else", async () => {
    await using process = await startProcess({ isFollowing: false });
    const { callerKeys } = process.ledger;
    const id = callerKeys.idFor({ actor: operator.actor, requestId: "r-1" });
    const metadata = { actor: "a", requestId: "r", time: "t", hash: "00" };
    const data = '{"because":"requested","mode":"neo"}';
    process.storage.log.add({ id, type: "ModeSet", data, metadata }, callerStream(id), 0);
    const answer = callerKeys.issue(callOf(process, "r-1"), wish());
    await expect(answer).rejects.toBeInstanceOf(Corrupted);
  });
});

describe("a caller key that is revoked", () => {
  it("is recognised no more from the answer on", async () => {
    await using process = await startProcess();
    const { key, text } = await issue(process);
    const { callerKeyId } = key;
    const answer = await process.ledger.callerKeys.revoke(callOf(process), callerKeyId);
    expect(process.ledger.callerKeys.recognise(textOf(text))).toBeUndefined();
    expect(accepted(answer)).toMatchObject({ key: { callerKeyId }, revision: 1 });
    expectUnbrokenChain(eventsOf(process, callerKeyId));
  });

  it("stays as it is when it is revoked again", async () => {
    await using process = await startProcess();
    const { callerKeyId } = (await issue(process)).key;
    const { callerKeys } = process.ledger;
    const one = accepted(await callerKeys.revoke(callOf(process), callerKeyId));
    expect(accepted(await callerKeys.revoke(callOf(process), callerKeyId))).toStrictEqual(one);
    expect(eventsOf(process, callerKeyId)).toHaveLength(2);
  });

  it("is revoked once by two at the same time", async () => {
    await using process = await startProcess();
    await using other = await startProcess({ storage: process.storage });
    const { callerKeyId } = (await issue(process)).key;
    process.log.next(
      "append",
      first(() => other.ledger.callerKeys.revoke(callOf(other), callerKeyId)),
    );
    accepted(await process.ledger.callerKeys.revoke(callOf(process), callerKeyId));
    expect(eventsOf(process, callerKeyId).map(({ type }) => type)).toStrictEqual([
      "ApiKeyIssued",
      "ApiKeyRevoked",
    ]);
  });

  it("must exist", async () => {
    await using process = await startProcess();
    const { callerKeys } = process.ledger;
    const id = process.host.random.uuid();
    expect(refusal(await callerKeys.revoke(callOf(process), id))).toStrictEqual({
      reason: "api-key-not-found",
    });
    expect(process.storage.log.events).toHaveLength(0);
  });

  it("keeps its owner in the metadata of both events", async () => {
    await using process = await startProcess();
    const { callerKeyId } = (await issue(process)).key;
    await process.ledger.callerKeys.revoke(callOf(process), callerKeyId);
    for (const { metadata } of eventsOf(process, callerKeyId)) {
      expect(metadata).toMatchObject({ owner: "team.red", actor: "caller.op" });
    }
  });

  it("is given up at the deadline where every race is lost, without spinning", async () => {
    await using process = await startProcess();
    const { callerKeyId } = (await issue(process)).key;
    const abort = new AbortController();
    const lost = failBefore(new WrongExpectedRevision("s", 0, 1));
    process.log.next("append", lost, lost, lost, () => {
      abort.abort();
      return Promise.reject(new WrongExpectedRevision("s", 0, 1));
    });
    const call = { ...callOf(process), signal: abort.signal };
    expect(refusal(await process.ledger.callerKeys.revoke(call, callerKeyId))).toStrictEqual({
      reason: "contention",
    });
    expect(process.time.elapsed()).toBeGreaterThan(2);
  });
});

describe("an answer about a caller key", () => {
  it("comes only when this process's readers see it, though it appended nothing", async () => {
    await using process = await startProcess();
    const { key, text } = await issue(process);
    await using late = await startProcess({ storage: process.storage });
    expect(late.ledger.callerKeys.recognise(textOf(text))).toBeDefined();
    // This process hears of the revocation from the log alone, a while later.
    let deliver = (): void => {};
    const delivery = new Promise<void>((resolve) => {
      deliver = resolve;
    });
    const commit = late.models.commit.bind(late.models);
    const held: Parameters<typeof commit>[] = [];
    late.models.commit = (...input) => void held.push(input);
    void delivery.then(() => {
      late.models.commit = commit;
      for (const input of held) commit(...input);
    });
    await process.ledger.callerKeys.revoke(callOf(process, "r-1"), key.callerKeyId);
    for (const requestId of ["r-1", "r-2"]) {
      const answer = late.ledger.callerKeys.revoke(callOf(late, requestId), key.callerKeyId);
      await expect(answer).rejects.toBeInstanceOf(NotCaughtUp);
    }
    deliver();
    await delivery;
    accepted(await late.ledger.callerKeys.revoke(callOf(late, "r-1"), key.callerKeyId));
    expect(late.ledger.callerKeys.recognise(textOf(text))).toBeUndefined();
  });
});

describe("a request id", () => {
  it("may be used once for an owner's keyring and once for a caller key of that owner", async () => {
    await using process = await startProcess();
    const stamp = { ...operator, requestId: "r-1" };
    accepted(
      await process.ledger.setEntitlement(
        { ...callOf(process, "r-1"), owner: team, stamp: stampOf(process, stamp), remainingMs: 1 },
        "on",
      ),
    );
    expect((await issue(process, {}, "r-1")).text).not.toBeNull();
    expect(
      (await issue(process, { owner: { kind: "team", id: "blue" } }, "r-2")).text,
    ).not.toBeNull();
  });
});

describe("a text", () => {
  it("is recognised as no key once its time is over", async () => {
    await using process = await startProcess();
    const { text } = await issue(process, { expiresAt: "2026-01-01T00:01:00.000Z" });
    const { callerKeys } = process.ledger;
    process.time.advance(59_000);
    expect(callerKeys.recognise(textOf(text))).toBeDefined();
    process.time.advance(1_000);
    expect(callerKeys.recognise(textOf(text))).toBeUndefined();
  });

  it("is no key where only its id is right", async () => {
    await using process = await startProcess();
    const { key } = await issue(process);
    const { callerKeys } = process.ledger;
    const forged = callerKeys.textFor(key.callerKeyId, process.host.random.bytes(32));
    expect(callerKeys.recognise(textOf(forged))).toBeUndefined();
  });

  it("is no key where nobody issued it, nor where it is no caller key at all", async () => {
    await using process = await startProcess();
    const { callerKeys } = process.ledger;
    const made = callerKeys.textFor(process.host.random.uuid(), new Uint8Array(32));
    expect(callerKeys.recognise(textOf(made))).toBeUndefined();
    for (const text of ["", "neo_sk_", "sk-proj-x", "neo_sk_".padEnd(77, "z")]) {
      expect(callerKeys.recognise(text)).toBeUndefined();
    }
  });

  it("is no key of another deployment's root", async () => {
    await using process = await startProcess();
    await using other = await startProcess();
    const { text } = await issue(process);
    for (const event of process.storage.log.events) {
      const { stream, revision, position: _position, ...stored } = event;
      other.storage.log.add(stored, stream, revision);
    }
    await expect.poll(() => other.models.checkpoint()).not.toBeNull();
    expect(other.ledger.callerKeys.recognise(textOf(text))).toBeUndefined();
  });
});

describe("the list of caller keys", () => {
  it("shows those in force, newest first, page by page", async () => {
    await using process = await startProcess();
    const { callerKeys, queries } = process.ledger;
    const ids: Uuid[] = [];
    for (let nth = 0; nth < 7; nth++) {
      process.time.advance(1_000);
      ids.unshift((await issue(process, { label: `key ${nth}` })).key.callerKeyId);
    }
    const [, revoked = "", , gone = ""] = ids;
    await callerKeys.revoke(callOf(process), revoked);
    await callerKeys.revoke(callOf(process), gone);
    const walk = async (includeEnded: boolean, pageSize: number) => {
      const seen: Uuid[] = [];
      for (let pageToken = ""; ; ) {
        const filter = { owner: team, includeEnded, pageSize, pageToken };
        const page = accepted(await queries.listCallerKeys(filter, anyTime));
        expect(page.keys.length).toBeLessThanOrEqual(pageSize);
        seen.push(...page.keys.map(({ callerKeyId }) => callerKeyId));
        if (page.nextPageToken === "") return seen;
        pageToken = page.nextPageToken;
      }
    };
    for (const pageSize of [1, 2, 3, 5, 7, 100]) {
      expect(await walk(true, pageSize)).toStrictEqual(ids);
      expect(await walk(false, pageSize)).toStrictEqual(
        ids.filter((id) => id !== revoked && id !== gone),
      );
    }
  });

  it("is about one owner, or about all", async () => {
    await using process = await startProcess();
    await issue(process);
    await issue(process, { role: "service", owner: null });
    await issue(process, { role: "user", owner: { kind: "user", id: "ann" } });
    const labels = async (owner: typeof team | null) => {
      const filter = { owner, includeEnded: true, pageSize: 10, pageToken: "" };
      const page = accepted(await process.ledger.queries.listCallerKeys(filter, anyTime));
      return page.keys.map(({ role }) => role).toSorted();
    };
    expect(await labels(team)).toStrictEqual(["team-admin"]);
    expect(await labels(null)).toStrictEqual(["service", "team-admin", "user"]);
  });

  it("refuses a token that is none of its own", async () => {
    await using process = await startProcess();
    const filter = { owner: null, includeEnded: true, pageSize: 10, pageToken: "nonsense" };
    const answer = process.ledger.queries.listCallerKeys(filter, anyTime);
    expect(refusal(await answer)).toMatchObject({ violations: [{ field: "page_token" }] });
  });
});
