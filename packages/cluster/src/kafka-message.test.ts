import { type AuditRecord, Corrupted } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { keyOf, MESSAGE_BYTES_MAX, messageBytes, publish } from "./kafka-message.ts";

const source = { feed: "changes", deploymentId: "0198c0de-0000-7000-8000-00000000000d" } as const;

const record: AuditRecord = {
  position: "0a0198c0de000070008000000000000d0000000000000007",
  stream: "keyring-team.red",
  revision: 4,
  eventId: "0198c0de-0000-5000-8000-0000000000e4",
  type: "KeyHealthChanged",
  schemaVersion: 1,
  time: "2026-01-02T03:04:05.678Z",
  actor: "caller.0198c0de-0000-5000-8000-0000000000ca",
  actorType: "service",
  owner: { kind: "team", id: "red" },
  requestId: "r-1",
  correlationId: "c-1",
  causationId: "",
  traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  data: '{"because":"sk-…é😀","health":"valid","keyId":"0198c0de-0000-7000-8000-000000000001"}',
  dataDigest: "00".repeat(32),
  metadataDigest: "11".repeat(32),
  prevHash: "22".repeat(32),
  hash: "33".repeat(32),
};

const published = (changes: Partial<AuditRecord> = {}) =>
  publish({ ...record, ...changes }, source);
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

describe("The message of an audit record", () => {
  it("is a CloudEvent in binary mode, keyed by the stream's owner, with the time of the event", () => {
    const { message, deadLetter } = published();
    expect(deadLetter).toBeUndefined();
    expect({ ...message, value: text(message.value) }).toStrictEqual({
      key: "team.red",
      value:
        '{"actor":"caller.0198c0de-0000-5000-8000-0000000000ca","actorType":"service",' +
        '"causationId":"","correlationId":"c-1",' +
        `"dataDigest":"${"00".repeat(32)}",` +
        '"dataJson":"{\\"because\\":\\"sk-…é😀\\",\\"health\\":\\"valid\\",\\"keyId\\":\\"0198c0de-0000-7000-8000-000000000001\\"}",' +
        `"eventId":"0198c0de-0000-5000-8000-0000000000e4","hash":"${"33".repeat(32)}",` +
        `"metadataDigest":"${"11".repeat(32)}","owner":{"id":"red","kind":"OWNER_KIND_TEAM"},` +
        '"position":"0a0198c0de000070008000000000000d0000000000000007",' +
        `"prevHash":"${"22".repeat(32)}","requestId":"r-1","revision":"4","schemaVersion":1,` +
        '"stream":"keyring-team.red","time":"2026-01-02T03:04:05.678Z",' +
        '"traceparent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",' +
        '"type":"KeyHealthChanged"}',
      headers: {
        stream: "keyring-team.red",
        revision: "4",
        position: "0a0198c0de000070008000000000000d0000000000000007",
        "content-type": "application/json",
        ce_specversion: "1.0",
        ce_id: "0198c0de-0000-5000-8000-0000000000e4",
        ce_source: "/keyledger/0198c0de-0000-7000-8000-00000000000d",
        ce_type: "io.keyledger.key.health.changed.v1",
        ce_subject: "owners/team.red/keys/0198c0de-0000-7000-8000-000000000001",
        ce_time: "2026-01-02T03:04:05.678Z",
        ce_dataschema: "urn:keyledger:proto:keyledger.v1.AuditRecord",
        ce_correlationid: "c-1",
        ce_sequence: "00000000000000000004",
        ce_partitionkey: "team.red",
        ce_authtype: "api_key",
        ce_authid: "caller.0198c0de-0000-5000-8000-0000000000ca",
        ce_traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ce_dataclassification: "confidential",
        ce_recordedtime: "2026-01-02T03:04:05.678Z",
        ce_keyledgerhash: "33".repeat(32),
      },
      timestamp: "1767323045678",
    });
  });

  it("names its attributes as CloudEvents allows, and leaves out the empty ones", () => {
    const { headers } = published({ traceparent: "", correlationId: "" }).message;
    for (const [name, value] of Object.entries(headers)) {
      expect(name).toMatch(/^(ce_[a-z0-9]{1,20}|content-type|stream|revision|position)$/);
      expect(value).not.toBe("");
    }
    expect(headers).not.toHaveProperty("ce_traceparent");
  });

  it("is the same bytes each time", () => {
    expect(published()).toStrictEqual(published());
    expect(Object.keys(published().message.headers)).toStrictEqual(
      Object.keys(published().message.headers),
    );
  });

  it("is keyed by the stream's own owner or name, never by the owner it is about", () => {
    expect(keyOf("keyring-user.a:b-c")).toBe("user.a:b-c");
    expect(keyOf("caller-0198c0de")).toBe("caller-0198c0de");
    const access = published({ stream: "access-0198c0de", type: "AccessGranted" }).message;
    expect(access.key).toBe("access-0198c0de");
    expect(access.headers).toMatchObject({
      ce_partitionkey: "access-0198c0de",
      ce_subject: "owners/team.red/keys/0198c0de-0000-7000-8000-000000000001",
    });
  });

  it.for([
    [{ data: "{}" }, "owners/team.red"],
    [{ data: '{"keyId":"../x"}' }, "owners/team.red"],
    [{ owner: null, stream: "caller-7" }, "streams/caller-7"],
  ] as const)("with %o is about %s", ([changes, subject]) => {
    expect(published(changes).message.headers.ce_subject).toBe(subject);
  });

  it.for([
    ["user.ann", "app_user"],
    ["caller.7", "api_key"],
    ["system.reaper", "system"],
  ] as const)("of %s says %s", ([actor, authType]) => {
    const { headers } = published({ actor }).message;
    expect([headers.ce_authtype, headers.ce_authid]).toStrictEqual([authType, actor]);
  });
});

describe("A record that cannot be published", () => {
  const marker = (code: string, changes: Partial<AuditRecord> = {}) => {
    const { stream, position, revision } = { ...record, ...changes };
    return { code, position, revision: String(revision), stream };
  };

  it.for([
    ["malformed", { time: "yesterday" }],
    ["malformed", { time: "2026-01-02" }],
    ["malformed", { eventId: "no-uuid" }],
    ["malformed", { type: "key added" }],
    ["malformed", { schemaVersion: Number.NaN }],
    ["malformed", { hash: "zz" }],
    ["malformed", { position: "" }],
    ["malformed", { stream: "keyring-team.red\n" }],
    ["malformed", { actor: "user.\u0000" }],
    ["malformed", { traceparent: "é" }],
    ["malformed", { correlationId: "x".repeat(257) }],
    ["not-json", { data: "{" }],
    ["not-json", { data: "" }],
    ["not-json", { data: "[]" }],
    ["not-json", { data: "null" }],
    ["too-large", { data: JSON.stringify({ x: "x".repeat(MESSAGE_BYTES_MAX) }) }],
  ] as const)("(%s) leaves a marker in its place and an entry for people", ([code, changes]) => {
    const { message, deadLetter } = published(changes);
    if (!deadLetter) throw new Error("it was published");
    const { stream, revision, position, hash } = { ...record, ...changes };
    expect(JSON.parse(text(message.value))).toStrictEqual(marker(code, changes));
    expect(message).toMatchObject({
      key: keyOf(stream),
      headers: {
        stream,
        revision: String(revision),
        position,
        ce_type: "io.keyledger.audit.gap.v1",
      },
    });
    expect(JSON.parse(text(deadLetter.value))).toStrictEqual({
      ...marker(code, changes),
      feed: "changes",
      hash: hash === "zz" ? "" : hash,
    });
    expect(deadLetter.headers.ce_type).toBe("io.keyledger.audit.dead-letter.v1");
    for (const { headers, value } of [message, deadLetter]) {
      expect(Object.keys(headers)).not.toContain("ce_authid");
      expect(text(value)).not.toContain("sk-");
    }
    expect(published(changes)).toStrictEqual({ message, deadLetter });
  });

  it.for([{ stream: "" }, { revision: -1 }, { revision: Number.NaN }, { revision: 1.5 }])(
    "and has no place (%o) stops the feed: not even its gap could be marked",
    (changes) => {
      expect(() => published(changes)).toThrow(Corrupted);
    },
  );

  it("is one byte too large, not one fewer", () => {
    const sized = (bytes: number) => published({ data: JSON.stringify({ x: "x".repeat(bytes) }) });
    const overhead = messageBytes(sized(0).message);
    expect(sized(MESSAGE_BYTES_MAX - overhead).deadLetter).toBeUndefined();
    expect(messageBytes(sized(MESSAGE_BYTES_MAX - overhead).message)).toBe(MESSAGE_BYTES_MAX);
    expect(sized(MESSAGE_BYTES_MAX - overhead + 1).deadLetter).toBeDefined();
  });
});
