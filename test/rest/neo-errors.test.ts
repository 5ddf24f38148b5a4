import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorInfoSchema } from "@keyledger/contracts";
import { SERVICE_REASONS } from "@keyledger/rest";
import { describe, expect, it } from "vitest";
import { facade, type Sent } from "./facade.ts";
import { vaultError } from "./fake-keyring.ts";

const UPSERT: Sent = {
  method: "PATCH",
  url: "/api/v1/byok/providers/openai",
  body: { api_key: "sk-1" },
};
const DELETE: Sent = { method: "DELETE", url: "/api/v1/byok/providers/openai" };
const SET_MODE: Sent = { method: "PATCH", url: "/api/v1/byok/mode", body: { mode: "byok" } };

type Row = readonly [
  Code,
  number,
  string,
  string,
  string,
  (string | undefined)?,
  (string | undefined)?,
  Sent?,
];

const INTERNAL = [500, "internal", "internal error", "internal error"] as const;
const unavailable = (error: string, detail: string): Row => [
  Code.Unavailable,
  503,
  "unavailable",
  "unavailable",
  error,
  detail,
  "1",
];

/** gRPC code, HTTP status, code, kind, error, detail, Retry-After where the vault names none, and the request. */
const ROWS: Readonly<Record<string, Row>> = {
  UNAUTHENTICATED: [
    Code.Unauthenticated,
    401,
    "unauthorized",
    "unauthorized request",
    "Unauthorized",
  ],
  BYOK_NOT_ENABLED: [
    Code.PermissionDenied,
    403,
    "forbidden",
    "forbidden request",
    "BYOK is not enabled",
    "byok_not_enabled",
  ],
  ROLE_NOT_ALLOWED: [
    Code.PermissionDenied,
    403,
    "forbidden",
    "forbidden request",
    "only team admins can manage BYOK",
    "not_team_admin",
  ],
  OWNER_REQUIRED: [
    Code.PermissionDenied,
    403,
    "forbidden",
    "forbidden request",
    "an owner is required",
    "owner_required",
  ],
  INVALID_FIELDS: [
    Code.InvalidArgument,
    400,
    "invalid_request",
    "invalid request",
    "the request is not valid",
  ],
  UNKNOWN_PROVIDER: [
    Code.InvalidArgument,
    400,
    "invalid_request",
    "invalid request",
    "unsupported provider",
  ],
  KEY_NOT_FOUND: [
    Code.NotFound,
    404,
    "not_exists",
    "not exists",
    "provider key does not exist",
    undefined,
    undefined,
    DELETE,
  ],
  API_KEY_NOT_FOUND: [
    Code.NotFound,
    404,
    "not_exists",
    "not exists",
    "API key does not exist",
    undefined,
    undefined,
    DELETE,
  ],
  OWNER_NOT_FOUND: [
    Code.NotFound,
    404,
    "not_exists",
    "not exists",
    "owner does not exist",
    undefined,
    undefined,
    DELETE,
  ],
  NO_PROVIDER_KEYS: [
    Code.FailedPrecondition,
    400,
    "invalid_request",
    "invalid request",
    "no provider keys configured",
    "no_provider_keys",
    undefined,
    SET_MODE,
  ],
  TOO_MANY_KEYS: [
    Code.FailedPrecondition,
    400,
    "invalid_request",
    "invalid request",
    "too many provider keys",
    "too_many_keys",
  ],
  OTHER_KEYS_EXIST: [
    Code.FailedPrecondition,
    409,
    "conflict",
    "conflict",
    "other keys of this provider exist; delete them by id through the multi-key API",
    "other_keys_exist",
    undefined,
    DELETE,
  ],
  IDEMPOTENCY_KEY_REUSED: [
    Code.FailedPrecondition,
    409,
    "conflict",
    "conflict",
    "idempotency key reused",
    "idempotency_key_reused",
  ],
  KEY_REJECTED: [
    Code.FailedPrecondition,
    400,
    "invalid_request",
    "invalid request",
    "words that must not leave",
    "key_rejected",
  ],
  NO_KEY: [Code.FailedPrecondition, ...INTERNAL],
  ALL_DISABLED: [Code.FailedPrecondition, ...INTERNAL],
  EXPIRED: [Code.FailedPrecondition, ...INTERNAL],
  QUARANTINED: [Code.FailedPrecondition, ...INTERNAL],
  NOT_ALLOWED: [Code.FailedPrecondition, ...INTERNAL],
  ALL_SKIPPED: [Code.FailedPrecondition, ...INTERNAL],
  UNDECRYPTABLE: [Code.FailedPrecondition, ...INTERNAL],
  REVISION_MISMATCH: [
    Code.Aborted,
    412,
    "precondition_failed",
    "precondition failed",
    "revision mismatch",
    "revision_mismatch",
  ],
  CONTENTION: [Code.Aborted, 409, "conflict", "conflict", "retry", "contention", "1"],
  PROBE_INDETERMINATE: unavailable(
    "the provider could not say whether the key works; nothing was saved",
    "probe_indeterminate",
  ),
  STORE_UNAVAILABLE: unavailable("the service is unavailable", "store_unavailable"),
  OUTCOME_UNKNOWN: unavailable(
    "whether the change was made is not known; repeat it with the same Idempotency-Key",
    "outcome_unknown",
  ),
  NOT_CAUGHT_UP: unavailable("the service is catching up", "not_caught_up"),
  AUDIT_UNAVAILABLE: unavailable("the service is unavailable", "audit_unavailable"),
  SHUTTING_DOWN: unavailable("the service is shutting down", "shutting_down"),
  DEADLINE_EXCEEDED: unavailable("the deadline passed", "deadline_exceeded"),
  CANCELLED: unavailable("the request was cancelled", "cancelled"),
  TOO_LARGE: [
    Code.ResourceExhausted,
    413,
    "invalid_request",
    "invalid request",
    "the body is too large",
    "body_too_large",
  ],
  TOO_MANY_STREAMS: [
    Code.ResourceExhausted,
    429,
    "rate_limited",
    "rate limited",
    "too many requests",
    undefined,
    "1",
  ],
  RATE_LIMITED: [
    Code.ResourceExhausted,
    429,
    "rate_limited",
    "rate limited",
    "too many requests",
    undefined,
    "60",
  ],
  CORRUPTED: [Code.DataLoss, ...INTERNAL],
  UNIMPLEMENTED: [Code.Unimplemented, ...INTERNAL],
  INTERNAL: [Code.Internal, ...INTERNAL],
};

describe("Neo's error table", () => {
  it("has a row for every reason of the vault", () => {
    expect(Object.keys(ROWS).toSorted()).toStrictEqual(SERVICE_REASONS.toSorted());
  });

  it.for(Object.entries(ROWS))("answers %s", async ([reason, row]) => {
    const [grpc, status, code, kind, error, detail, retryAfter, sent = UPSERT] = row;
    await using rest = facade();
    rest.keyring.next = vaultError(reason, grpc);
    const response = await rest.inject(sent);
    expect([response.status, response.json]).toStrictEqual([
      status,
      {
        error,
        code,
        kind,
        message: `${kind}: ${error}`,
        error_id: "request-1",
        ...(detail && { detail }),
      },
    ]);
    expect(response.headers["retry-after"]).toBe(retryAfter);
    expect(response.headers["cache-control"]).toBe("no-store");
    expect(response.headers).not.toHaveProperty("etag");
  });

  it.for([
    ["RATE_LIMITED", Code.ResourceExhausted, 1, "1"],
    ["RATE_LIMITED", Code.ResourceExhausted, 30_000, "30"],
    ["STORE_UNAVAILABLE", Code.Unavailable, 1_500, "2"],
    ["CONTENTION", Code.Aborted, 0, "1"],
  ] as const)(
    "answers %s with the vault's own pause, in whole seconds",
    async ([reason, code, ms, header]) => {
      await using rest = facade();
      rest.keyring.next = vaultError(reason, code, { retryAfterMs: ms });
      expect((await rest.inject(UPSERT)).headers["retry-after"]).toBe(header);
    },
  );

  it("names the scheme to authenticate with on 401", async () => {
    await using rest = facade();
    const { headers } = await rest.inject({ ...UPSERT, headers: {} });
    expect(headers["www-authenticate"]).toBe("Bearer");
  });

  it("answers a refused key in the probe's own words", async () => {
    await using rest = facade();
    const { status, json } = await rest.inject({ ...UPSERT, body: { api_key: "sk-revoked" } });
    expect(status).toBe(400);
    expect(json).toMatchObject({
      error: "The provider does not know this key.",
      detail: "key_rejected",
    });
    expect(rest.keyring.keys.size).toBe(0);
  });

  it.for([
    [[{ field: "location", description: "is required" }], "location is required", undefined],
    [
      [{ field: "secret", description: "holds white space" }],
      "api_key holds white space",
      undefined,
    ],
    [
      [
        { field: "name", description: "is 300 characters, the most is 255" },
        { field: "location", description: "is no region" },
      ],
      "display_name is 300 characters, the most is 255; location is no region",
      undefined,
    ],
    [[{ field: "request_id", description: "is no id" }], "Idempotency-Key is no id", undefined],
    [
      [{ field: "name", description: "looks like a credential (secret_in_metadata)" }],
      "display_name looks like a credential (secret_in_metadata)",
      "secret_in_metadata",
    ],
    [
      [{ field: "name", description: "looks like a credential", reason: "SECRET_IN_METADATA" }],
      "display_name looks like a credential",
      "secret_in_metadata",
    ],
  ] as const)(
    "tells violations %o by the names that Neo's clients know",
    async ([violations, error, detail]) => {
      await using rest = facade();
      rest.keyring.next = vaultError("INVALID_FIELDS", Code.InvalidArgument, { violations });
      const { status, json } = await rest.inject(UPSERT);
      expect(status).toBe(400);
      expect(json).toMatchObject({
        error,
        code: "invalid_request",
        message: `invalid request: ${error}`,
      });
      expect((json as { detail?: string }).detail).toBe(detail);
    },
  );
});

describe("An error without a reason of the vault", () => {
  it.for([
    [Code.Canceled, 503],
    [Code.Unknown, 500],
    [Code.InvalidArgument, 400],
    [Code.DeadlineExceeded, 503],
    [Code.NotFound, 404],
    [Code.AlreadyExists, 500],
    [Code.PermissionDenied, 403],
    [Code.ResourceExhausted, 429],
    [Code.FailedPrecondition, 500],
    [Code.Aborted, 409],
    [Code.OutOfRange, 500],
    [Code.Unimplemented, 500],
    [Code.Internal, 500],
    [Code.Unavailable, 503],
    [Code.DataLoss, 500],
    [Code.Unauthenticated, 401],
  ] as const)("is answered by its gRPC code %s as %s", async ([code, status]) => {
    await using rest = facade();
    rest.keyring.next = new ConnectError("words that must not leave", code);
    const response = await rest.inject(DELETE);
    expect(response.status).toBe(status);
    expect(response.text).not.toContain("leave");
  });

  it.for([
    ["one that nobody knows", "keyledger.v1", "NEW_REASON"],
    ["one of another domain", "elsewhere.v1", "UNAUTHENTICATED"],
  ] as const)("is %s", async ([, domain, reason]) => {
    await using rest = facade();
    const details = [{ desc: ErrorInfoSchema, value: { domain, reason } }];
    rest.keyring.next = new ConnectError(
      "words that must not leave",
      Code.Aborted,
      undefined,
      details,
    );
    const { status, text } = await rest.inject(UPSERT);
    expect(status).toBe(409);
    expect(text).not.toContain("leave");
  });
});

describe("A fault of ours", () => {
  it("is answered as internal, word for word the same, and told to the operator with the same id", async () => {
    await using rest = facade();
    const fault = new TypeError("sk-CANARY is not iterable");
    rest.keyring.next = fault;
    const response = await rest.inject({
      ...UPSERT,
      headers: { "x-api-key": "team", "x-request-id": "mine" },
    });
    expect([response.status, response.json]).toStrictEqual([
      500,
      {
        error: "internal error",
        code: "internal",
        kind: "internal error",
        message: "internal error: internal error",
        error_id: "mine",
      },
    ]);
    expect(rest.faults).toStrictEqual([{ error: fault, errorId: "mine" }]);
  });
});
