import { gzipSync } from "node:zlib";
import type { DescMessage, DescMethod, DescService, MessageInitShape } from "@bufbuild/protobuf";
import {
  AdminService,
  AuditService,
  Entitlement,
  Feed,
  KeyringService,
  Mode,
  OwnerKind,
  ResolveService,
  Role,
} from "@keyledger/contracts";
import type { Canaries, Shape } from "./canary.ts";
import { type Drive, methodName } from "./leak-drive.ts";

/** What is asked of a process to see whether it repeats what it should keep: good requests, and all that people get wrong. */

export const TEAM = { kind: OwnerKind.TEAM, id: "default" };
const NOBODY = "018f0000-0000-7000-8000-000000000000";
let serial = 0;
const freshSecret = (canaries: Canaries) => Buffer.from(canaries.make("stored or probed"));

/** A request of each method that is answered with OK, or refused for its state: the canary is what is wrong with it. */
const REQUESTS: Readonly<Record<string, (canaries: Canaries) => object>> = {
  "KeyringService/UpsertKey": (canaries) => ({
    provider: "openai",
    secret: freshSecret(canaries),
  }),
  "KeyringService/CreateKey": (canaries) => ({
    provider: "openai",
    secret: freshSecret(canaries),
  }),
  "KeyringService/UpdateKey": () => ({ keyId: NOBODY, name: "a name" }),
  "KeyringService/DeleteKey": () => ({ target: { case: "keyId", value: NOBODY } }),
  "KeyringService/SetMode": () => ({ mode: serial++ % 2 === 0 ? Mode.BYOK : Mode.NEO }),
  "KeyringService/ProbeKey": (canaries) => ({
    provider: "openai",
    secret: freshSecret(canaries),
  }),
  "KeyringService/GetKey": () => ({ keyId: NOBODY }),
  "KeyringService/ListKeys": () => ({ limit: 500 }),
  "KeyringService/GetMode": () => ({}),
  "ResolveService/Resolve": () => ({ owner: TEAM, provider: "openai" }),
  "AuditService/ListRecords": () => ({ feed: Feed.CHANGES, pageSize: 500 }),
  "AuditService/FollowRecords": () => ({ feed: Feed.ACCESS }),
  "AdminService/IssueApiKey": () => ({ role: Role.AUDITOR, label: `issued ${serial++}` }),
  "AdminService/ListApiKeys": () => ({ includeEnded: true, pageSize: 500 }),
  "AdminService/RevokeApiKey": () => ({ callerKeyId: NOBODY }),
  "AdminService/SetEntitlement": () => ({
    owner: { kind: OwnerKind.TEAM, id: "entitled" },
    byok: Entitlement.ON,
  }),
  "AdminService/GetStatus": () => ({}),
};

/** The first caller that may call it. */
const CALLERS = new Map<DescService, "team_key" | "service_key" | "operator_key">([
  [KeyringService, "team_key"],
  [ResolveService, "service_key"],
  [AuditService, "team_key"],
  [AdminService, "operator_key"],
]);

export const callerOf = ({ keyledger }: Drive, { parent }: DescMethod): string =>
  keyledger.keys[CALLERS.get(parent) ?? "team_key"];

export function requestOf(
  { canaries }: Pick<Drive, "canaries">,
  method: DescMethod,
): MessageInitShape<DescMessage> {
  const make = REQUESTS[methodName(method)];
  if (!make) throw new Error(`nothing is known of ${methodName(method)}: give it a request`);
  return make(canaries) as MessageInitShape<DescMessage>;
}

/** Keys as they get pasted into fields that are not for keys. */
export const PASTED_KEYS: readonly { readonly prefix: string; readonly shape: Shape }[] = [
  { prefix: "sk-proj-", shape: "plain" },
  { prefix: "sk-or-v1-", shape: "lower" },
];
export const PASTED_KEY = { prefix: "sk-ant-api03-", shape: "plain" } as const;

/** Headers that somebody may have put a key into. */
export const headersWith = (canary: string): readonly Readonly<Record<string, string>>[] => [
  { "x-request-id": canary },
  { traceparent: canary },
  { "x-canary": canary },
  { cookie: `key=${canary}` },
  { "user-agent": canary },
  { referer: `http://localhost/?key=${canary}` },
  { authorization: `Bearer ${canary}` },
  { authorization: `Bearer ${canary} ${canary}` },
  { authorization: `Basic ${Buffer.from(`user:${canary}`).toString("base64")}` },
  { authorization: canary },
  { "x-api-key": canary },
  { "x-api-key": `neo_sk_${canary}` },
  { "x-api-key": "neo_sk_", authorization: `Bearer ${canary}` },
  { "accept-language": canary, forwarded: canary, "x-forwarded-for": canary },
];

export const httpHeadersWith = (canary: string): readonly Readonly<Record<string, string>>[] => [
  ...headersWith(canary),
  { "idempotency-key": canary },
  { "if-match": `"${canary}"` },
  { "if-none-match": canary },
  { "content-type": canary },
  { "content-type": `application/json; charset=${canary}` },
  { "content-encoding": canary },
  { "transfer-encoding": canary },
  { accept: canary, "accept-encoding": canary },
  { expect: canary },
  { upgrade: canary },
  { "connect-timeout-ms": canary },
  { "connect-protocol-version": canary },
  { "grpc-timeout": canary },
  { [canary.replaceAll(/[^A-Za-z0-9-]/g, "-")]: "1" },
];

/** Bodies that are no request, with a canary in them. */
export function brokenBodies(canary: string): readonly (string | Buffer)[] {
  const text = JSON.stringify(canary);
  return [
    `{${text}:"x"}`,
    `{"secret":${text},"api_key":${text},"mode":${text},"owner":${text}}`,
    `{"secret":{${text}:1},"api_key":{${text}:1},"mode":{${text}:1}}`,
    `{"secret":[${text}],"api_key":[${text}],"mode":[${text}],"name":[${text}]}`,
    `{"api_key":${text}`,
    `{"api_key":${text},}`,
    `{"api_key":${text},"api_key":${text}}`,
    `{"api_key":${text},"secret":"###${canary}"}`,
    `{"api_key":${text},"display_name":${text},"location":${text},"base_url":${text}}`,
    `{"api_key":"x","display_name":${text}}`,
    `{"api_key":"x","location":${text}}`,
    `{"api_key":"x","base_url":"https://${canary}@example.com/"}`,
    `{"mode":${text}}`,
    `{"feed":${text},"role":${text},"kind":${text}}`,
    `{"expectedRevision":{"revision":${text}},"expiresAt":${text},"pageSize":${text}}`,
    `{"a":{"b":{"c":{"d":{"e":${text}}}}}}`,
    `{"api_key":"\\ud800${canary}"}`,
    text,
    canary,
    `[${text}]`,
    "",
    Buffer.concat([
      Buffer.from('{"api_key":"'),
      Buffer.from([0xff, 0xfe]),
      Buffer.from(`${canary}"}`),
    ]),
    gzipSync(`{"api_key":${text}}`),
    `{"api_key":"${`${canary} `.repeat(450)}"}`,
    `{"api_key":"${`${canary} `.repeat(2_000)}"}`,
    `api_key=${encodeURIComponent(canary)}`,
  ];
}

export const TYPES = [
  "application/json",
  "text/plain",
  "application/x-www-form-urlencoded",
] as const;

/** Bytes that are no message, or one that is too large. */
export function brokenMessages(canary: string): readonly Buffer[] {
  const text = Buffer.from(canary);
  const field = (number: number, bytes: Buffer) =>
    Buffer.concat([varint((number << 3) | 2), varint(bytes.length), bytes]);
  return [
    text,
    field(1, text),
    field(2, text).subarray(0, -5),
    field(3, Buffer.concat([text, Buffer.from([0xff])])),
    Buffer.concat([field(2, text), field(60, text), field(7, text)]),
    field(2, Buffer.concat([Buffer.from([0xc3, 0x28]), text])),
    Buffer.concat(Array.from({ length: 9_000 }, () => field(3, text))),
  ];
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let left = value; ; left >>>= 7) {
    if (left < 0x80) return Buffer.from([...bytes, left]);
    bytes.push((left & 0x7f) | 0x80);
  }
}
