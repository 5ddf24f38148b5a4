import { create, toBinary } from "@bufbuild/protobuf";
import { AuditService, KeyringService, ListKeysRequestSchema } from "@keyledger/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import {
  callHttp1,
  callHttp2,
  envelope,
  heardOf,
  reasonIn,
  type WireAnswer,
  type WireCall,
} from "../support/wire-call.ts";

/** A key in the wrong place: nothing that is answered or logged may hold it. */
const CANARY = "sk-proj-CANARY4f1c0d9e8b7a";

const LIST_KEYS = `/${KeyringService.typeName}/ListKeys`;
const CREATE_KEY = `/${KeyringService.typeName}/CreateKey`;
const SET_MODE = `/${KeyringService.typeName}/SetMode`;
const FOLLOW = `/${AuditService.typeName}/FollowRecords`;

const MALFORMED = "InvalidArgument MALFORMED_REQUEST";
const TOO_LARGE = "ResourceExhausted TOO_LARGE";
const UNIMPLEMENTED = "Unimplemented UNIMPLEMENTED";
const UNAUTHENTICATED = "Unauthenticated UNAUTHENTICATED";

/** Wire type 7 does not exist. */
const GARBAGE = Buffer.concat([Buffer.from([0x0f]), Buffer.from(CANARY)]);
/** A text field that announces more than there is. */
const CUT_OFF = Buffer.concat([Buffer.from([0x12, 0x7f]), Buffer.from(CANARY)]);
const OVERSIZED = Buffer.from(CANARY.repeat(12_000));
const LIST = toBinary(ListKeysRequestSchema, create(ListKeysRequestSchema, {}));

type Case = readonly [what: string, call: WireCall, expected: string];

const json = (path: string, body: string, headers: Readonly<Record<string, string>> = {}) => ({
  path,
  headers: { "content-type": "application/json", ...headers },
  body,
});

const UNARY: readonly Case[] = [
  ["an unknown field", json(LIST_KEYS, `{"${CANARY}":1}`), MALFORMED],
  ["a body that is no JSON", json(LIST_KEYS, CANARY), MALFORMED],
  ["a JSON text", json(LIST_KEYS, `"${CANARY}"`), MALFORMED],
  ["a number", json(SET_MODE, `{"expectedRevision":{"revision":"${CANARY}"}}`), MALFORMED],
  ["a name of an enum", json(SET_MODE, `{"mode":"${CANARY}"}`), MALFORMED],
  ["bytes", json(CREATE_KEY, `{"secret":"${CANARY}!"}`), MALFORMED],
  ["a time", json(CREATE_KEY, `{"expiresAt":"${CANARY}"}`), MALFORMED],
  ["a message", json(CREATE_KEY, `{"owner":"${CANARY}"}`), MALFORMED],
  ["an unknown field inside", json(LIST_KEYS, `{"owner":{"${CANARY}":1}}`), MALFORMED],
  ["an oversized body", json(LIST_KEYS, `{"providers":["${OVERSIZED}"]}`), TOO_LARGE],
  ["a timeout", json(LIST_KEYS, "{}", { "connect-timeout-ms": CANARY }), MALFORMED],
  ["an encoding", json(LIST_KEYS, "{}", { "content-encoding": CANARY }), UNIMPLEMENTED],
  ["a version", json(LIST_KEYS, "{}", { "connect-protocol-version": CANARY }), UNAUTHENTICATED],
  ["an accepted encoding", json(LIST_KEYS, "{}", { "accept-encoding": CANARY }), UNAUTHENTICATED],
  [
    "a character set",
    json(LIST_KEYS, "{}", { "content-type": `application/json; charset=${CANARY}` }),
    "HTTP 415",
  ],
  [
    "a type of content",
    json(LIST_KEYS, "{}", { "content-type": `application/${CANARY}` }),
    "HTTP 415",
  ],
  ["no type of content at all", json(LIST_KEYS, "{}", { "content-type": CANARY }), "HTTP 415"],
  ["a credential", json(LIST_KEYS, "{}", { authorization: `Bearer ${CANARY}` }), UNAUTHENTICATED],
  ["an API key", json(LIST_KEYS, "{}", { "x-api-key": CANARY }), UNAUTHENTICATED],
  ["a correlation id", json(LIST_KEYS, "{}", { "x-request-id": CANARY }), UNAUTHENTICATED],
  ["a trace", json(LIST_KEYS, "{}", { traceparent: CANARY }), UNAUTHENTICATED],
  ["a query", json(`${LIST_KEYS}?${CANARY}=${CANARY}`, "{}"), UNAUTHENTICATED],
  ["a GET", { method: "GET", path: `${LIST_KEYS}?encoding=json&message=${CANARY}` }, "HTTP 405"],
  ["a method", { ...json(LIST_KEYS, "{}"), method: "PUT" }, "HTTP 405"],
  ["a path", json(`/${KeyringService.typeName}/${CANARY}`, "{}"), "HTTP 404"],
  ["a service", json(`/${CANARY}/ListKeys`, "{}"), "HTTP 404"],
  ["a host", json(LIST_KEYS, "{}", { host: `${CANARY} x` }), "HTTP 400"],
  ...(
    [
      ["garbage", GARBAGE, MALFORMED],
      ["a message that was cut off", CUT_OFF, MALFORMED],
      ["an oversized message", OVERSIZED, TOO_LARGE],
    ] as const
  ).map(
    ([what, body, expected]): Case => [
      `${what} in binary`,
      { path: LIST_KEYS, headers: { "content-type": "application/proto" }, body },
      expected,
    ],
  ),
];

/** Requests in envelopes, wherever the protocol has them. */
const enveloped = (
  path: string,
  type: { readonly json: string; readonly binary: string },
  names: { readonly timeout: string; readonly encoding: string },
): readonly Case[] => {
  const call = (
    body: Uint8Array,
    isJson = false,
    headers: Readonly<Record<string, string>> = {},
  ): WireCall => ({
    path,
    headers: { "content-type": isJson ? type.json : type.binary, ...headers },
    body,
  });
  const empty = envelope("");
  return [
    ["an unknown field", call(envelope(`{"${CANARY}":1}`), true), MALFORMED],
    ["a message that is no JSON", call(envelope(CANARY), true), MALFORMED],
    ["garbage", call(envelope(GARBAGE)), MALFORMED],
    ["a message that was cut off", call(envelope(CUT_OFF)), MALFORMED],
    ["an envelope that was cut off", call(envelope(CANARY).subarray(0, 20)), MALFORMED],
    ["no envelope at all", call(Buffer.from(CANARY)), TOO_LARGE],
    ["a message that claims to be compressed", call(envelope(CANARY, 1)), MALFORMED],
    ["an oversized message", call(envelope(OVERSIZED)), TOO_LARGE],
    ["a second message", call(Buffer.concat([empty, envelope(GARBAGE)])), MALFORMED],
    ["a second message that is one", call(Buffer.concat([empty, empty])), UNIMPLEMENTED],
    ["no message", call(Buffer.alloc(0)), UNIMPLEMENTED],
    ["a timeout", call(empty, false, { [names.timeout]: CANARY }), MALFORMED],
    ["an encoding", call(empty, false, { [names.encoding]: CANARY }), UNIMPLEMENTED],
    ["a credential", call(empty, false, { authorization: CANARY }), UNAUTHENTICATED],
  ];
};

const STREAMING = enveloped(
  FOLLOW,
  { json: "application/connect+json", binary: "application/connect+proto" },
  { timeout: "connect-timeout-ms", encoding: "connect-content-encoding" },
);
const WEB_TYPES = { json: "application/grpc-web+json", binary: "application/grpc-web+proto" };
const GRPC_NAMES = { timeout: "grpc-timeout", encoding: "grpc-encoding" };

const grpc = (
  path: string,
  body: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): WireCall => ({ path, body, headers });

const GRPC: readonly Case[] = [LIST_KEYS, FOLLOW].flatMap((path): readonly Case[] => [
  [`garbage to ${path}`, grpc(path, envelope(GARBAGE)), MALFORMED],
  [`a message that was cut off to ${path}`, grpc(path, envelope(CUT_OFF)), MALFORMED],
  [`an oversized message to ${path}`, grpc(path, envelope(OVERSIZED)), TOO_LARGE],
  [`no message to ${path}`, grpc(path, Buffer.alloc(0)), UNIMPLEMENTED],
  [
    `a second message to ${path}`,
    grpc(path, Buffer.concat([envelope(LIST), envelope(LIST)])),
    UNIMPLEMENTED,
  ],
  [`a timeout to ${path}`, grpc(path, envelope(""), { "grpc-timeout": CANARY }), MALFORMED],
  [
    `an encoding to ${path}`,
    grpc(path, envelope(CANARY, 1), { "grpc-encoding": CANARY }),
    UNIMPLEMENTED,
  ],
  [`no gzip to ${path}`, grpc(path, envelope(CANARY, 1), { "grpc-encoding": "gzip" }), MALFORMED],
  [`a credential to ${path}`, grpc(path, envelope(""), { authorization: CANARY }), UNAUTHENTICATED],
  [
    `a subtype of content to ${path}`,
    grpc(path, envelope(""), { "content-type": `application/grpc+${CANARY}` }),
    UNAUTHENTICATED,
  ],
  [
    `a type of content to ${path}`,
    grpc(path, envelope(""), { "content-type": CANARY }),
    "HTTP 415",
  ],
]);

const GRPC_ELSEWHERE: readonly Case[] = [
  [
    "a method that is not there",
    grpc(`/${KeyringService.typeName}/${CANARY}`, envelope("")),
    UNIMPLEMENTED,
  ],
  ["a service that is not there", grpc(`/${CANARY}/ListKeys`, envelope(CANARY)), UNIMPLEMENTED],
  ["a path that is none", grpc(`/${CANARY}`, Buffer.alloc(0)), UNIMPLEMENTED],
  [
    "health of a service that is not there",
    grpc(
      "/grpc.health.v1.Health/Check",
      envelope(Buffer.concat([Buffer.from([0x0a, CANARY.length]), Buffer.from(CANARY)])),
    ),
    "NotFound NOT_FOUND",
  ],
  [
    "garbage to the health service",
    grpc("/grpc.health.v1.Health/Check", envelope(CUT_OFF)),
    MALFORMED,
  ],
];

describe("errors outside of a method", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let keyledger: KeyledgerProcess;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    keyledger = await startKeyledger(directory.path, ["--probe=off", "--log-level=trace"]);
  });

  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  type Ask = (address: string, call: WireCall) => Promise<WireAnswer>;
  const protocols: readonly (readonly [string, "http" | "grpc", Ask, readonly Case[]])[] = [
    ["Connect", "http", callHttp1, UNARY],
    ["Connect's streams", "http", callHttp1, STREAMING],
    ["gRPC-Web", "http", callHttp1, enveloped(LIST_KEYS, WEB_TYPES, GRPC_NAMES)],
    ["gRPC-Web's streams", "http", callHttp1, enveloped(FOLLOW, WEB_TYPES, GRPC_NAMES)],
    ["gRPC", "grpc", callHttp2, [...GRPC, ...GRPC_ELSEWHERE]],
  ];

  it.each(protocols)("speak in words of ours only, over %s", async (_name, edge, ask, cases) => {
    for (const [what, call, expected] of cases) {
      const answer = await ask(keyledger[edge], call);
      expect.soft(reasonIn(answer), what).toBe(expected);
      expect.soft(heardOf(answer), what).not.toContain("CANARY");
    }
    expect(keyledger.output()).not.toContain("CANARY");
  });
});
