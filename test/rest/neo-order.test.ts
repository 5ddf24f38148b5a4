import { Code } from "@connectrpc/connect";
import { describe, expect, it } from "vitest";
import { facade, type Sent } from "./facade.ts";
import { vaultError } from "./fake-keyring.ts";

const JSON_TYPE = "application/json";
const url = "/api/v1/byok/providers/openai";

/** Requests that the facade itself refuses, and how it answers those who may make them. */
const REFUSED: Readonly<
  Record<string, readonly [Sent & { headers?: Record<string, string> }, number]>
> = {
  "an unknown provider on upsert": [
    { method: "PATCH", url: "/api/v1/byok/providers/nobody", body: { api_key: "sk-1" } },
    400,
  ],
  "an unknown provider on validate": [
    { method: "POST", url: "/api/v1/byok/providers/nobody/validate", body: { api_key: "sk-1" } },
    400,
  ],
  "an unknown provider on delete": [
    { method: "DELETE", url: "/api/v1/byok/providers/nobody" },
    400,
  ],
  "a missing api_key": [{ method: "PATCH", url, body: {} }, 400],
  "no body": [{ method: "PATCH", url }, 400],
  "a body that is not JSON": [
    { method: "PATCH", url, headers: { "content-type": JSON_TYPE }, body: "{" },
    400,
  ],
  "an unknown field": [{ method: "PATCH", url, body: { api_key: "sk-1", colour: "red" } }, 400],
  "an unknown mode": [{ method: "PATCH", url: "/api/v1/byok/mode", body: { mode: "mine" } }, 400],
  "a bad Idempotency-Key": [{ method: "DELETE", url, headers: { "idempotency-key": "a b" } }, 400],
  "a bad If-Match": [{ method: "DELETE", url, headers: { "if-match": "7" } }, 400],
  "a body that is too large": [
    {
      method: "PATCH",
      url,
      headers: { "content-type": JSON_TYPE },
      body: `"${"x".repeat(65_535)}"`,
    },
    413,
  ],
  "a body of another type": [
    { method: "PATCH", url, headers: { "content-type": "text/plain" }, body: "{}" },
    415,
  ],
  "a content type that is none": [
    { method: "PATCH", url, headers: { "content-type": "nonsense" }, body: "{}" },
    415,
  ],
};

const CALLERS = [
  ["nobody", {}, 401, undefined],
  ["a stranger", { "x-api-key": "stolen" }, 401, undefined],
  ["two callers at once", { "x-api-key": "solo", authorization: "Bearer team" }, 401, undefined],
  ["a team without the feature", { "x-api-key": "gate-off" }, 403, "byok_not_enabled"],
  [
    "a member of a team without the feature",
    { "x-api-key": "member-gate-off" },
    403,
    "byok_not_enabled",
  ],
  ["a team's member", { "x-api-key": "member" }, 403, "not_team_admin"],
  ["a service", { "x-api-key": "service" }, 403, "owner_required"],
] as const;

describe.for(Object.entries(REFUSED))("With %s", ([, [sent, status]]) => {
  it.for(CALLERS)("%s learns nothing of it", async ([, credentials, refusal, detail]) => {
    await using rest = facade();
    const response = await rest.inject({ ...sent, headers: { ...sent.headers, ...credentials } });
    expect(response.status).toBe(refusal);
    expect((response.json as { detail?: string }).detail).toBe(detail);
    expect(rest.keyring.methods).toStrictEqual(["getMode"]);
    expect(rest.keyring.calls[0]?.options).toMatchObject({
      authorization: new Headers(credentials).get("authorization") ?? undefined,
      apiKey: new Headers(credentials).get("x-api-key") ?? undefined,
      correlationId: "request-1",
    });
  });

  it(`an admin is answered ${status}`, async () => {
    await using rest = facade();
    const response = await rest.inject({
      ...sent,
      headers: { ...sent.headers, "x-api-key": "team" },
    });
    expect(response.status).toBe(status);
    expect(rest.keyring.methods).toStrictEqual(["getMode"]);
  });

  it("nobody learns of it while the vault cannot say who may", async () => {
    await using rest = facade();
    rest.keyring.next = vaultError("STORE_UNAVAILABLE", Code.Unavailable);
    const response = await rest.inject({
      ...sent,
      headers: { ...sent.headers, "x-api-key": "team" },
    });
    expect(response.status).toBe(503);
  });
});

describe("A request that can become a call", () => {
  it.for<[Sent, string]>([
    [{ url: "/api/v1/byok/providers" }, "listKeys"],
    [{ method: "PATCH", url, body: { api_key: "sk-1" } }, "upsertKey"],
    [{ method: "POST", url: `${url}/validate`, body: { api_key: "sk-1" } }, "probeKey"],
    [{ method: "DELETE", url }, "deleteKey"],
    [{ method: "PATCH", url: "/api/v1/byok/mode", body: { mode: "neo" } }, "setMode"],
    [{ url: "/api/v1/byok/mode" }, "getMode"],
  ])("%o asks the vault once, whoever makes it", async ([sent, method]) => {
    await using rest = facade();
    await rest.inject(sent);
    await rest.inject({ ...sent, headers: { "x-api-key": "member" } });
    expect(rest.keyring.methods).toStrictEqual([method, method]);
  });

  it("names the provider before its headers, and these before its body", async () => {
    await using rest = facade();
    const headers = { "x-api-key": "team", "idempotency-key": "a b", "content-type": JSON_TYPE };
    const errorOf = async (sent: Sent) =>
      ((await rest.inject(sent)).json as { error: string }).error;
    expect(
      await errorOf({ method: "PATCH", url: "/api/v1/byok/providers/nobody", headers, body: "{" }),
    ).toBe("unsupported provider");
    expect(await errorOf({ method: "PATCH", url, headers, body: "{" })).toMatch(
      /^Idempotency-Key /,
    );
  });
});
