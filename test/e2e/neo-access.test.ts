import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { KeyringService } from "@keyledger/contracts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { grpcClient } from "../support/grpc-client.ts";
import { openTestIssuer, type TestIssuer } from "../support/jwt.ts";
import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { validateResponse } from "../support/openapi.ts";

type Body = Readonly<Record<string, unknown>>;
interface Answer {
  readonly status: number;
  readonly body: Body;
  readonly headers: Headers;
}

/** Callers of the Neo API by the claims of their tokens. */
const CALLERS = {
  "solo user": { sub: "solo" },
  "team admin": { sub: "ann", team: "team-42", team_role: "admin" },
  "organization admin": { sub: "olga", organization: "org-7", organization_role: "admin" },
  "team member": { sub: "max", team: "team-42", team_role: "member" },
  "team viewer": { sub: "vera", team: "team-42", team_role: "viewer" },
  "user without the feature": { sub: "fred", features: { byok: false } },
  "team member without the feature": {
    sub: "mia",
    team: "team-42",
    team_role: "member",
    features: { byok: false },
  },
} as const;
type Caller = keyof typeof CALLERS;

const JSON_TYPE = { "content-type": "application/json" };
const KEY = { api_key: "xai-0123456789abcdefghij" };

describe("the Neo API over a running process", () => {
  let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
  let issuer: TestIssuer;
  let keyledger: KeyledgerProcess;

  beforeAll(async () => {
    directory = await temporaryDirectory();
    issuer = await openTestIssuer();
    const keySet = join(directory.path, "jwks.json");
    await writeFile(keySet, JSON.stringify(issuer.keySet()));
    keyledger = await startKeyledger(directory.path, [
      "--probe=off",
      `--jwt-issuer=${issuer.issuer}`,
      `--jwt-audience=${issuer.audience}`,
      `--jwks=${keySet}`,
      "--jwt-claims=role=keyledger_role",
    ]);
  }, 60_000);

  afterAll(async () => {
    await keyledger?.[Symbol.asyncDispose]();
    await issuer?.[Symbol.asyncDispose]();
    await directory?.[Symbol.asyncDispose]();
  });

  /** One request; the answer is held to the API's own description. */
  async function send(
    method: string,
    path: string,
    {
      headers = {},
      body,
    }: { headers?: Readonly<Record<string, string>>; body?: string | object } = {},
  ): Promise<Answer> {
    const response = await fetch(`http://${keyledger.http}${path}`, {
      method,
      headers: { ...(body !== undefined && JSON_TYPE), ...headers },
      ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const answer = (await response.json()) as Body;
    validateResponse(method, path, response.status, answer, Object.fromEntries(response.headers));
    return { status: response.status, body: answer, headers: response.headers };
  }

  const bearer = (claims: Body) => ({ authorization: `Bearer ${issuer.token(claims)}` });
  const as = (caller: Caller, method: string, path: string, body?: object) =>
    send(method, path, { headers: bearer(CALLERS[caller]), ...(body && { body }) });

  const ENDPOINTS = [
    ["N1 list", "GET", "/api/v1/byok/providers", undefined],
    ["N2 upsert", "PATCH", "/api/v1/byok/providers/xai", KEY],
    ["N3 validate", "POST", "/api/v1/byok/providers/xai/validate", KEY],
    ["N5 mode", "PATCH", "/api/v1/byok/mode", { mode: "byok" }],
    ["N6 read mode", "GET", "/api/v1/byok/mode", undefined],
    ["N4 delete", "DELETE", "/api/v1/byok/providers/xai", undefined],
  ] as const;

  it.for(["solo user", "team admin", "organization admin"] as const)(
    "lets a %s do everything with keys of its own",
    async (caller) => {
      const resource = {
        "solo user": { resource_type: "user", resource_id: "solo" },
        "team admin": { resource_type: "team", resource_id: "team-42" },
        "organization admin": { resource_type: "team", resource_id: "org-7" },
      }[caller];
      for (const [, method, path, body] of ENDPOINTS) {
        const answer = await as(caller, method, path, body);
        expect(answer.status, `${method} ${path}`).toBe(200);
        if (path.endsWith("/mode") || method === "GET") expect(answer.body).toMatchObject(resource);
      }
    },
  );

  it("answers team members and viewers 403 on every endpoint", async () => {
    for (const caller of ["team member", "team viewer"] as const) {
      for (const [, method, path, body] of ENDPOINTS) {
        expect(await as(caller, method, path, body)).toMatchObject({
          status: 403,
          body: { code: "forbidden", kind: "forbidden request", detail: "not_team_admin" },
        });
      }
    }
  });

  it("answers 403 without the feature, before it looks at the role", async () => {
    for (const caller of ["user without the feature", "team member without the feature"] as const) {
      for (const [, method, path, body] of ENDPOINTS) {
        expect(await as(caller, method, path, body)).toMatchObject({
          status: 403,
          body: { code: "forbidden", detail: "byok_not_enabled", error: "BYOK is not enabled" },
        });
      }
    }
  });

  it("answers callers without an owner of their own 403", async () => {
    const { service_key, operator_key } = keyledger.keys;
    for (const key of [service_key, operator_key]) {
      expect(
        await send("GET", "/api/v1/byok/providers", { headers: { "x-api-key": key } }),
      ).toMatchObject({ status: 403, body: { detail: "owner_required" } });
    }
    expect(
      await send("GET", "/api/v1/byok/mode", {
        headers: bearer({ sub: "gw", keyledger_role: "service" }),
      }),
    ).toMatchObject({ status: 403, body: { detail: "owner_required" } });
  });

  it("answers 401 without credentials, with wrong ones, and where two disagree", async () => {
    const { team_key } = keyledger.keys;
    const wrong: Readonly<Record<string, string>>[] = [
      {},
      { authorization: "Bearer nonsense" },
      { authorization: "Basic YTpi" },
      { "x-api-key": `${team_key.slice(0, -1)}!` },
      { ...bearer(CALLERS["solo user"]), "x-api-key": team_key },
      { authorization: `Bearer ${issuer.token({ ...CALLERS["solo user"], exp: 1 })}` },
    ];
    for (const headers of wrong) {
      for (const [, method, path, body] of ENDPOINTS) {
        expect(await send(method, path, { headers, ...(body && { body }) })).toMatchObject({
          status: 401,
          body: { error: "Unauthorized", code: "unauthorized" },
        });
      }
    }
    const both = { authorization: `Bearer ${team_key}`, "x-api-key": team_key };
    expect((await send("GET", "/api/v1/byok/mode", { headers: both })).status).toBe(200);
    // A key in the query string is no credential.
    expect((await send("GET", `/api/v1/byok/mode?api_key=${team_key}`)).status).toBe(401);
  });

  it("checks credentials, feature and role before provider and body", async () => {
    const bad = { body: '{"api_key": 1}' };
    const order = [
      [{}, 401],
      [bearer(CALLERS["user without the feature"]), 403],
      [bearer(CALLERS["team member"]), 403],
      [bearer(CALLERS["solo user"]), 400],
    ] as const;
    for (const [headers, status] of order) {
      const path = "/api/v1/byok/providers/no-such-provider";
      expect((await send("PATCH", path, { headers, ...bad })).status).toBe(status);
      expect((await send("PATCH", "/api/v1/byok/providers/xai", { headers, ...bad })).status).toBe(
        status,
      );
    }
  });

  it("moves through the mode's states as documented", async () => {
    const owner = bearer({ sub: "stateful" });
    const call = (method: string, path: string, body?: object) =>
      send(method, path, { headers: owner, ...(body && { body }) });
    const mode = "/api/v1/byok/mode";
    const key = "/api/v1/byok/providers/xai";

    expect(await call("PATCH", mode, { mode: "byok" })).toMatchObject({
      status: 400,
      body: { error: "no provider keys configured", detail: "no_provider_keys" },
    });
    expect(await call("PATCH", mode, { mode: "neo" })).toMatchObject({
      status: 200,
      body: { mode: "neo" },
    });
    expect((await call("PATCH", key, KEY)).status).toBe(200);
    expect(await call("GET", mode)).toMatchObject({ body: { mode: "neo", configured_keys: 1 } });
    expect(await call("DELETE", key)).toMatchObject({
      body: { auto_switched: false, remaining_keys: 0 },
    });
    expect(await call("DELETE", key)).toMatchObject({ status: 404, body: { code: "not_exists" } });

    await call("PATCH", key, KEY);
    await call("PATCH", "/api/v1/byok/providers/openai", { api_key: "sk-0123456789abcdef" });
    expect(await call("PATCH", mode, { mode: "byok" })).toMatchObject({ body: { mode: "byok" } });
    expect(await call("DELETE", key)).toMatchObject({
      body: { auto_switched: false, remaining_keys: 1 },
    });
    expect(await call("DELETE", "/api/v1/byok/providers/openai")).toMatchObject({
      body: { auto_switched: true, remaining_keys: 0 },
    });
    expect(await call("GET", mode)).toMatchObject({ body: { mode: "neo", effective_mode: "neo" } });
  });

  it("keeps what an upsert leaves out, clears what it sets to null, and keeps the id over a rotation", async () => {
    const headers = bearer({ sub: "editor" });
    const path = "/api/v1/byok/providers/amazon-bedrock";
    const upsert = async (body: object) =>
      (await send("PATCH", path, { headers, body })).body.provider_key as Body;
    const iam = (id: string) =>
      JSON.stringify({
        accessKeyId: id,
        secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
      });

    const first = await upsert({
      api_key: iam("AKIAIOSFODNN7EXAMPLE"),
      display_name: "prod",
      location: "eu-west-1",
    });
    expect(first).toMatchObject({ display_name: "prod", location: "eu-west-1" });
    const rotated = await upsert({ api_key: iam("AKIAIOSFODNN7EXAMPL2") });
    expect(rotated).toMatchObject({
      id: first.id,
      created_at: first.created_at,
      display_name: "prod",
      location: "eu-west-1",
    });
    const cleared = await upsert({
      api_key: iam("AKIAIOSFODNN7EXAMPL2"),
      display_name: null,
      location: null,
    });
    expect(cleared).toMatchObject({ id: first.id, display_name: null, location: "us-east-1" });
  });

  it("answers a repeated Idempotency-Key as the first time and refuses it for another body", async () => {
    const headers = { ...bearer({ sub: "retrying" }), "idempotency-key": "once-1" };
    const path = "/api/v1/byok/providers/xai";
    const first = await send("PATCH", path, { headers, body: KEY });
    const repeat = await send("PATCH", path, { headers, body: KEY });
    expect(repeat.status).toBe(200);
    expect(repeat.body.provider_key).toStrictEqual(first.body.provider_key);
    expect(repeat.headers.get("etag")).toBe(first.headers.get("etag"));
    expect(
      await send("PATCH", path, { headers, body: { api_key: "xai-another-key-0123456789" } }),
    ).toMatchObject({ status: 409, body: { detail: "idempotency_key_reused" } });
    expect(
      await send("PATCH", path, {
        headers: { ...headers, "idempotency-key": "not ok" },
        body: KEY,
      }),
    ).toMatchObject({ status: 400, body: { code: "invalid_request" } });
  });

  it("writes only at the revision that If-Match names", async () => {
    const headers = bearer({ sub: "careful" });
    const path = "/api/v1/byok/providers/xai";
    const put = (extra: Readonly<Record<string, string>>, key: string) =>
      send("PATCH", path, { headers: { ...headers, ...extra }, body: { api_key: key } });
    expect((await put({ "if-none-match": "*" }, "xai-aaaaaaaaaaaaaaaa")).status).toBe(200);
    expect(await put({ "if-none-match": "*" }, "xai-bbbbbbbbbbbbbbbb")).toMatchObject({
      status: 412,
      body: { code: "precondition_failed", detail: "revision_mismatch" },
    });
    const etag = (await send("GET", "/api/v1/byok/mode", { headers })).headers.get("etag") ?? "";
    expect((await put({ "if-match": etag }, "xai-cccccccccccccccc")).status).toBe(200);
    expect((await put({ "if-match": etag }, "xai-dddddddddddddddd")).status).toBe(412);
  });

  it("answers 409 to a delete that would take other keys of the provider with it", async () => {
    const token = issuer.token({ sub: "many" });
    using keyring = grpcClient(KeyringService, keyledger.grpc, { key: token });
    const secret = (text: string) => Buffer.from(text);
    await keyring.createKey({ provider: "xai", secret: secret("xai-primary-0123456789") });
    await keyring.createKey({
      provider: "xai",
      secret: secret("xai-fallback-0123456789"),
      fallback: true,
    });
    const headers = { authorization: `Bearer ${token}` };
    expect(await send("DELETE", "/api/v1/byok/providers/xai", { headers })).toMatchObject({
      status: 409,
      body: { detail: "other_keys_exist" },
    });
    expect(await send("GET", "/api/v1/byok/providers", { headers })).toMatchObject({
      body: { count: 1, configured_keys: 2 },
    });
  });
});
