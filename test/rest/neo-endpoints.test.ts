import { Mode } from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { facade } from "./facade.ts";

const NINE = [
  "openrouter",
  "anthropic",
  "openai",
  "google",
  "xai",
  "vercel-gateway",
  "google-vertex",
  "amazon-bedrock",
  "azure-foundry",
];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const INSTANT = /^2026-01-02T\d\d:\d\d:\d\d\.\d{3}Z$/;
const providers = (provider: string, action = "") => `/api/v1/byok/providers/${provider}${action}`;

describe("Neo's list of keys", () => {
  it("shows the primaries of the nine providers in Neo's order, and counts all keys", async () => {
    await using rest = facade();
    for (const provider of ["xai", "azure-foundry", "openrouter", "anthropic"]) {
      await rest.inject({
        method: "PATCH",
        url: providers(provider),
        body: { api_key: "sk-1", location: "https://a.openai.azure.com" },
      });
    }
    rest.keyring.hiddenKeys = 3;
    rest.keyring.calls.length = 0;
    const { status, json, headers } = await rest.inject({ url: "/api/v1/byok/providers" });
    expect(status).toBe(200);
    expect(json).toStrictEqual({
      provider_keys: ["openrouter", "anthropic", "xai", "azure-foundry"].map((provider) => ({
        id: expect.stringMatching(UUID),
        provider,
        display_name: null,
        location: "https://a.openai.azure.com",
        is_validated: true,
        created_at: expect.stringMatching(INSTANT),
        updated_at: expect.stringMatching(INSTANT),
      })),
      count: 4,
      configured_keys: 7,
      mode: "neo",
      resource_type: "team",
      resource_id: "team-42",
    });
    expect(headers).toMatchObject({ etag: '"3"', "cache-control": "no-store" });
    expect(rest.keyring.calls).toMatchObject([
      { method: "listKeys", request: { providers: NINE, primaryOnly: true, limit: 500 } },
    ]);
  });

  it("is empty, and has no ETag, for an owner without any event", async () => {
    await using rest = facade();
    const { json, headers } = await rest.inject({ url: "/api/v1/byok/providers" });
    expect(json).toMatchObject({ provider_keys: [], count: 0, configured_keys: 0 });
    expect(headers).not.toHaveProperty("etag");
  });

  it.for([
    ["solo", "user", "user-7"],
    ["team", "team", "team-42"],
    ["organization", "team", "acme"],
  ] as const)("shows the %s as resource_type %s", async ([caller, resource_type, resource_id]) => {
    await using rest = facade();
    const headers = { "x-api-key": caller };
    const { json } = await rest.inject({ url: "/api/v1/byok/providers", headers });
    expect(json).toMatchObject({ resource_type, resource_id });
    const mode = await rest.inject({ url: "/api/v1/byok/mode", headers });
    expect(mode.json).toMatchObject({ resource_type, resource_id });
    const set = await rest.inject({
      method: "PATCH",
      url: "/api/v1/byok/mode",
      headers,
      body: { mode: "neo" },
    });
    expect(set.json).toStrictEqual({ mode: "neo", resource_type, resource_id });
  });

  it("answers HEAD like GET, without a body", async () => {
    await using rest = facade();
    await rest.inject({ method: "PATCH", url: providers("openai"), body: { api_key: "sk-1" } });
    const { status, headers, text } = await rest.inject({
      method: "HEAD",
      url: "/api/v1/byok/providers",
    });
    expect([status, headers.etag, text]).toStrictEqual([200, '"0"', ""]);
  });
});

describe("Neo's upsert", () => {
  it("answers the key and what the provider said, and never the secret", async () => {
    await using rest = facade();
    const { status, json, text, headers } = await rest.inject({
      method: "PATCH",
      url: providers("amazon-bedrock"),
      body: { api_key: '{"accessKeyId":"AKIA"}', display_name: "prod", location: "us-east-1" },
    });
    expect(status).toBe(200);
    expect(json).toStrictEqual({
      provider_key: {
        id: expect.stringMatching(UUID),
        provider: "amazon-bedrock",
        display_name: "prod",
        location: "us-east-1",
        is_validated: true,
        created_at: expect.stringMatching(INSTANT),
        updated_at: expect.stringMatching(INSTANT),
      },
      validation: { valid: true, status: "valid", retryable: false },
    });
    expect(text).not.toContain("AKIA");
    expect(headers.etag).toBe('"0"');
  });

  it.for(NINE)("takes a key of %s", async (provider) => {
    await using rest = facade();
    const body = { api_key: "sk-1" };
    const { status } = await rest.inject({ method: "PATCH", url: providers(provider), body });
    expect(status).toBe(200);
    expect(rest.keyring.calls).toMatchObject([
      { method: "upsertKey", request: { provider, secret: "sk-1" } },
    ]);
  });

  it("keeps id and created_at when the key is replaced", async () => {
    await using rest = facade();
    const upsert = async (api_key: string) => {
      const { json } = await rest.inject({
        method: "PATCH",
        url: providers("openai"),
        body: { api_key },
      });
      return (json as { provider_key: { id: string; created_at: string; updated_at: string } })
        .provider_key;
    };
    const [first, second] = [await upsert("sk-1"), await upsert("sk-2")];
    expect(second).toMatchObject({ id: first.id, created_at: first.created_at });
    expect(second.updated_at).not.toBe(first.updated_at);
  });

  it.for([
    [{}, {}],
    [
      { display_name: null, location: null },
      { name: "", location: "" },
    ],
    [
      { display_name: "a", location: "b" },
      { name: "a", location: "b" },
    ],
  ])("tells the vault %o as %o: left out keeps, null clears", async ([given, sent]) => {
    await using rest = facade();
    await rest.inject({
      method: "PATCH",
      url: providers("openai"),
      body: { api_key: "sk-1", ...given },
    });
    expect(rest.keyring.calls[0]?.request).toStrictEqual({
      provider: "openai",
      secret: "sk-1",
      requestId: "",
      ...sent,
    });
  });

  it.for([
    [
      "sk-limited",
      true,
      {
        valid: true,
        details: "The account has no funds.",
        status: "valid_limited",
        retryable: false,
      },
    ],
    [
      "sk-slow",
      false,
      {
        valid: false,
        error: "The provider did not answer.",
        details: "indeterminate: the provider could not be asked",
        status: "unavailable",
        retryable: true,
      },
    ],
    [
      "sk-unprobed",
      false,
      {
        valid: false,
        error: "not checked",
        details: "not checked",
        status: "unprobed",
        retryable: false,
      },
    ],
  ] as const)("saves %s with is_validated %s", async ([api_key, is_validated, validation]) => {
    await using rest = facade();
    const { status, json } = await rest.inject({
      method: "PATCH",
      url: providers("openai"),
      body: { api_key },
    });
    expect(status).toBe(200);
    expect(json).toMatchObject({ provider_key: { is_validated }, validation });
    expect((json as { validation: object }).validation).toStrictEqual(validation);
  });

  it("takes base_url as another name of azure-foundry's location", async () => {
    await using rest = facade();
    const base_url = "https://a.openai.azure.com";
    for (const body of [
      { base_url },
      { base_url, location: base_url },
      { base_url: null, location: base_url },
    ]) {
      rest.keyring.calls.length = 0;
      await rest.inject({
        method: "PATCH",
        url: providers("azure-foundry"),
        body: { api_key: "k", ...body },
      });
      expect(rest.keyring.calls[0]?.request).toMatchObject({ location: base_url });
    }
  });

  it("hands the secret over as it was unescaped, byte for byte", async () => {
    await using rest = facade();
    const secret = ' "quoted" \\ \u00e9 \u{1f511} \n\t/ ';
    await rest.inject({
      method: "PATCH",
      url: providers("openai"),
      headers: { "x-api-key": "team", "content-type": "application/json" },
      body: `{"api_key":${JSON.stringify(secret).replace("\u{1f511}", "\\ud83d\\uDD11")}}`,
    });
    expect(rest.keyring.keys.get("openai")?.secret).toBe(secret);
  });
});

describe("Neo's validate", () => {
  it.for([
    ["sk-1", { valid: true, status: "valid", retryable: false }],
    [
      "sk-revoked",
      {
        valid: false,
        error: "The provider does not know this key.",
        details: "refused by the provider",
        status: "rejected",
        retryable: false,
      },
    ],
    [
      "sk-slow",
      {
        valid: false,
        error: "The provider did not answer.",
        details: "indeterminate: the provider could not be asked",
        status: "unavailable",
        retryable: true,
      },
    ],
  ] as const)("answers 200 for %s and stores nothing", async ([api_key, expected]) => {
    await using rest = facade();
    const { status, json, headers } = await rest.inject({
      method: "POST",
      url: providers("google-vertex", "/validate"),
      body: { api_key, location: null },
    });
    expect([status, json]).toStrictEqual([200, expected]);
    expect(headers).not.toHaveProperty("etag");
    expect(rest.keyring.keys.size).toBe(0);
    expect(rest.keyring.calls).toMatchObject([
      { method: "probeKey", request: { provider: "google-vertex", secret: api_key, location: "" } },
    ]);
  });

  it("has no display_name", async () => {
    await using rest = facade();
    const body = { api_key: "sk-1", display_name: "x" };
    const { status, json } = await rest.inject({
      method: "POST",
      url: providers("openai", "/validate"),
      body,
    });
    expect(status).toBe(400);
    expect(json).toMatchObject({ error: "display_name is not a field of this request" });
  });
});

describe("Neo's delete", () => {
  it("tells what is left, and that the mode was switched with the last key", async () => {
    await using rest = facade();
    for (const provider of ["openai", "xai"]) {
      await rest.inject({ method: "PATCH", url: providers(provider), body: { api_key: "sk-1" } });
    }
    await rest.inject({ method: "PATCH", url: "/api/v1/byok/mode", body: { mode: "byok" } });
    const first = await rest.inject({ method: "DELETE", url: providers("openai") });
    expect([first.status, first.json, first.headers.etag]).toStrictEqual([
      200,
      { auto_switched: false, deleted: true, provider: "openai", remaining_keys: 1 },
      '"3"',
    ]);
    const last = await rest.inject({ method: "DELETE", url: providers("xai") });
    expect(last.json).toStrictEqual({
      auto_switched: true,
      deleted: true,
      provider: "xai",
      remaining_keys: 0,
    });
    expect(rest.keyring.calls.at(-1)?.request).toMatchObject({
      target: { case: "soleKeyOfProvider", value: "xai" },
    });
  });

  it("answers 404 where there is no key", async () => {
    await using rest = facade();
    const { status, json } = await rest.inject({ method: "DELETE", url: providers("openai") });
    expect([status, json]).toStrictEqual([
      404,
      {
        error: "provider key does not exist",
        code: "not_exists",
        kind: "not exists",
        message: "not exists: provider key does not exist",
        error_id: "request-1",
      },
    ]);
  });

  it("does not look at a body", async () => {
    await using rest = facade();
    await rest.inject({ method: "PATCH", url: providers("openai"), body: { api_key: "sk-1" } });
    const { status } = await rest.inject({
      method: "DELETE",
      url: providers("openai"),
      body: { any: "thing" },
    });
    expect(status).toBe(200);
  });
});

describe("Neo's mode", () => {
  it("is set, and read with what takes effect", async () => {
    await using rest = facade();
    await rest.inject({ method: "PATCH", url: providers("openai"), body: { api_key: "sk-1" } });
    const set = await rest.inject({
      method: "PATCH",
      url: "/api/v1/byok/mode",
      body: { mode: "byok" },
    });
    expect([set.status, set.json, set.headers.etag]).toStrictEqual([
      200,
      { mode: "byok", resource_type: "team", resource_id: "team-42" },
      '"1"',
    ]);
    expect(rest.keyring.calls.at(-1)?.request).toMatchObject({ mode: Mode.BYOK });
    const read = await rest.inject({ url: "/api/v1/byok/mode" });
    expect([read.json, read.headers.etag]).toStrictEqual([
      {
        mode: "byok",
        resource_type: "team",
        resource_id: "team-42",
        configured_keys: 1,
        effective_mode: "byok",
      },
      '"1"',
    ]);
  });

  it("is refused as byok without a key", async () => {
    await using rest = facade();
    const { status, json } = await rest.inject({
      method: "PATCH",
      url: "/api/v1/byok/mode",
      body: { mode: "byok" },
    });
    expect([status, json]).toStrictEqual([
      400,
      {
        error: "no provider keys configured",
        code: "invalid_request",
        kind: "invalid request",
        message: "invalid request: no provider keys configured",
        error_id: "request-1",
        detail: "no_provider_keys",
      },
    ]);
  });
});
