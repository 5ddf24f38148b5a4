import { describe, expect, it } from "vitest";
import { facade, type Sent } from "./facade.ts";

const url = "/api/v1/byok/providers/openai";
const AZURE = "/api/v1/byok/providers/azure-foundry";
const LIST = "/api/v1/byok/providers";
const CANARY = "sk-proj-CANARYcanary0123456789";

const errorOf = async (rest: ReturnType<typeof facade>, sent: Sent) => {
  const { status, json } = await rest.inject(sent);
  return [status, (json as { error: string }).error];
};

describe("A body of Neo's requests", () => {
  it.for<[Sent["body"], string, string?]>([
    [{}, "api_key is required"],
    [{ api_key: null }, "api_key must be a string"],
    [{ api_key: 1 }, "api_key must be a string"],
    [{ api_key: { type: "service_account" } }, "api_key must be a string"],
    [{ api_key: "" }, "api_key is empty"],
    [{ api_key: "x".repeat(16_385) }, "api_key is 16385 bytes, the most is 16384"],
    [{ api_key: "sk-1", display_name: 1 }, "display_name must be a string or null"],
    [{ api_key: "sk-1", location: [] }, "location must be a string or null"],
    [{ api_key: "sk-1", colour: "red" }, "colour is not a field of this request"],
    [{ api_key: "sk-1", [CANARY]: "red" }, "an unknown field is not accepted"],
    [
      { api_key: "sk-1", base_url: "https://a.example" },
      "base_url is taken for azure-foundry only",
    ],
    [
      { api_key: "k", base_url: "https://a", location: "https://b" },
      "base_url is not the same as location",
      AZURE,
    ],
    [
      { api_key: "k", base_url: "https://a", location: null },
      "base_url is not the same as location",
      AZURE,
    ],
    [[], "body is not a JSON object"],
    [`{"api_key":"${CANARY}"`, "body is not a JSON object"],
    ['{"api_key":"a","api_key":"b"}', "api_key is given twice"],
    ['{"api_key":"\\ud800"}', "body holds half a surrogate pair"],
    ['{"api_key":"a","location":[[[[[]]]]]}', "body has more than 4 levels"],
    ["", "body is not a JSON object"],
  ])("is refused: %o", async ([body, error, path = url]) => {
    await using rest = facade();
    const headers = { "x-api-key": "team", "content-type": "application/json" };
    expect(
      await errorOf(rest, {
        method: "PATCH",
        url: path,
        headers,
        ...(body !== undefined && { body }),
      }),
    ).toStrictEqual([400, error]);
    expect(rest.keyring.keys.size).toBe(0);
  });

  it.for<[object, string]>([
    [{}, "mode is required"],
    [{ mode: "BYOK" }, "mode must be neo or byok"],
    [{ mode: null }, "mode must be a string"],
    [{ mode: "neo", because: "x" }, "because is not a field of this request"],
  ])("with a mode is refused: %o", async ([body, error]) => {
    await using rest = facade();
    expect(await errorOf(rest, { method: "PATCH", url: "/api/v1/byok/mode", body })).toStrictEqual([
      400,
      error,
    ]);
  });

  it.for([
    "application/json",
    "application/json; charset=utf-8",
    'Application/JSON;charset="UTF-8"',
    "application/json; v=1",
  ])("may come as %s", async (type) => {
    await using rest = facade();
    const headers = { "x-api-key": "team", "content-type": type };
    const { status } = await rest.inject({
      method: "PATCH",
      url,
      headers,
      body: '{"api_key":"sk-1"}',
    });
    expect(status).toBe(200);
  });

  it.for([
    { "content-type": "text/plain" },
    { "content-type": "application/json; charset=latin1" },
    { "content-type": "application/jsonx" },
    { "content-type": "application/x-www-form-urlencoded" },
    { "content-type": "application/json", "content-encoding": "gzip" },
    { "content-type": "nonsense" },
    {},
  ])("may not come as %o", async (type) => {
    await using rest = facade();
    const headers = { "x-api-key": "team", ...type };
    expect(
      await errorOf(rest, { method: "PATCH", url, headers, body: '{"api_key":"sk-1"}' }),
    ).toStrictEqual([415, "the body must be application/json in UTF-8"]);
  });

  it("may have 64 KiB and no byte more", async () => {
    await using rest = facade();
    const padded = (bytes: number) => '{"api_key":"sk-1"}'.padEnd(bytes, " ");
    const headers = { "x-api-key": "team", "content-type": "application/json" };
    expect(
      (await rest.inject({ method: "PATCH", url, headers, body: padded(65_536) })).status,
    ).toBe(200);
    expect(
      await errorOf(rest, { method: "PATCH", url, headers, body: padded(65_537) }),
    ).toStrictEqual([413, "the body is too large"]);
  });

  it("leaves nothing of the secret in the bytes it came in", async () => {
    await using rest = facade();
    const collected: unknown[] = [];
    rest.app.addHook("preHandler", async (request) => {
      collected.push(request.body);
    });
    const headers = { "x-api-key": "team", "content-type": "application/json" };
    for (const text of [
      `{"api_key":"${CANARY}"}`,
      `{"api_key":"${CANARY}","colour":1}`,
      `{"api_key":"${CANARY}"`,
    ]) {
      const body = Buffer.from(text);
      await rest.inject({ method: "PATCH", url, headers, body });
      expect(body).toStrictEqual(Buffer.alloc(body.length));
      expect(collected.at(-1)).toStrictEqual(new Uint8Array(body.length));
    }
  });

  it("leaves nothing of the secret once the vault has answered", async () => {
    await using rest = facade();
    for (const api_key of ["sk-1", "sk-revoked"])
      await rest.inject({ method: "PATCH", url, body: { api_key } });
    const secrets = rest.keyring.calls.flatMap(({ secret }) =>
      secret === undefined ? [] : [secret],
    );
    expect(secrets.map((secret) => [...secret])).toStrictEqual([
      Array(4).fill(0),
      Array(10).fill(0),
    ]);
  });
});

describe("The provider in a path of Neo's", () => {
  it.for(["nobody", "OpenAI", "mistral", "openai%20", CANARY, "x".repeat(2_000), "__proto__"])(
    "may not be %s",
    async (provider) => {
      await using rest = facade();
      const path = `/api/v1/byok/providers/${provider}`;
      const { status, text } = await rest.inject({
        method: "PATCH",
        url: path,
        body: { api_key: "sk-1" },
      });
      expect(status).toBe(400);
      expect(text).not.toContain("CANARY");
    },
  );
});

describe("The credentials of Neo's requests", () => {
  it("go to the vault as they came, with the trace", async () => {
    await using rest = facade();
    const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    await rest.inject({
      url: LIST,
      headers: {
        authorization: "Bearer team",
        "x-api-key": "team",
        traceparent,
        "x-request-id": "trace-7",
      },
    });
    expect(rest.keyring.calls[0]?.options).toMatchObject({
      authorization: "Bearer team",
      apiKey: "team",
      correlationId: "trace-7",
      traceparent,
      timeoutMs: 5_000,
    });
  });

  it.for([
    "?x-api-key=team",
    "?api_key=team",
    "?X-Api-Key=team",
    "?authorization=Bearer%20team",
    "?access_token=team",
  ])("are not taken from the query %s", async (query) => {
    await using rest = facade();
    const { status, text } = await rest.inject({ url: `${LIST}${query}`, headers: {} });
    expect(status).toBe(401);
    expect(text).not.toContain("team");
    expect(rest.keyring.calls[0]?.options).toMatchObject({
      authorization: undefined,
      apiKey: undefined,
    });
  });
});

describe("The deadline of a call", () => {
  it("is longer where a provider may be asked", async () => {
    await using rest = facade({ deadlineMs: 1_234, probeDeadlineMs: 5_678 });
    await rest.inject({ url: LIST });
    await rest.inject({ method: "PATCH", url, body: { api_key: "sk-1" } });
    await rest.inject({ method: "POST", url: `${url}/validate`, body: { api_key: "sk-1" } });
    await rest.inject({ method: "DELETE", url });
    const times = rest.keyring.calls.map(({ method, options }) => [method, options.timeoutMs]);
    expect(times).toStrictEqual([
      ["listKeys", 1_234],
      ["upsertKey", 5_678],
      ["probeKey", 5_678],
      ["deleteKey", 1_234],
    ]);
  });
});

describe("The headers of Neo's writes", () => {
  const WRITES: readonly Sent[] = [
    { method: "PATCH", url, body: { api_key: "sk-1" } },
    { method: "DELETE", url },
    { method: "PATCH", url: "/api/v1/byok/mode", body: { mode: "neo" } },
  ];

  it("make the Idempotency-Key the command's request id", async () => {
    await using rest = facade();
    for (const sent of WRITES) {
      await rest.inject({
        ...sent,
        headers: { "x-api-key": "team", "idempotency-key": "Retry_1.a-b" },
      });
      expect(rest.keyring.calls.at(-1)?.request).toMatchObject({ requestId: "Retry_1.a-b" });
    }
  });

  it.for(["a b", "ü", "x".repeat(65), "a/b", "sk-ant-api03-abcdefgh", "neo_sk_0123456789", "a, b"])(
    "may not have the Idempotency-Key %s",
    async (key) => {
      await using rest = facade();
      for (const sent of WRITES) {
        const [status, error] = await errorOf(rest, {
          ...sent,
          headers: { "x-api-key": "team", "idempotency-key": Buffer.from(key).toString("latin1") },
        });
        expect([status, error]).toStrictEqual([
          400,
          "Idempotency-Key must be 1 to 64 of A-Z a-z 0-9 . _ - and no credential",
        ]);
      }
    },
  );

  it("expect the edit revision that If-Match names", async () => {
    await using rest = facade();
    const conditional = (tag: string): Sent => ({
      method: "PATCH",
      url,
      headers: { "x-api-key": "team", "if-match": tag },
      body: { api_key: "sk-1" },
    });
    const first = await rest.inject({ method: "PATCH", url, body: { api_key: "sk-1" } });
    expect(first.headers.etag).toBe('"0"');
    const second = await rest.inject(conditional('"0"'));
    expect([second.status, second.headers.etag]).toStrictEqual([200, '"1"']);
    expect((await rest.inject(conditional('"0"'))).status).toBe(412);
    await rest.inject(conditional('"9007199254740993"'));
    expect(rest.keyring.calls.at(-1)?.request).toMatchObject({
      expectedRevision: { expected: { case: "revision", value: 9_007_199_254_740_993n } },
    });
  });

  it("expect no event yet with If-None-Match: *", async () => {
    await using rest = facade();
    const sent: Sent = {
      method: "PATCH",
      url,
      headers: { "x-api-key": "team", "if-none-match": "*" },
      body: { api_key: "sk-1" },
    };
    expect((await rest.inject(sent)).status).toBe(200);
    expect((await rest.inject(sent)).status).toBe(412);
  });

  it.for<[Record<string, string>, string]>([
    [{ "if-match": "7" }, 'If-Match must be one edit revision, such as "7"'],
    [{ "if-match": '"07"' }, 'If-Match must be one edit revision, such as "7"'],
    [{ "if-match": 'W/"7"' }, 'If-Match must be one edit revision, such as "7"'],
    [{ "if-match": '"7", "8"' }, 'If-Match must be one edit revision, such as "7"'],
    [{ "if-match": "*" }, 'If-Match must be one edit revision, such as "7"'],
    [{ "if-match": '"99999999999999999999"' }, 'If-Match must be one edit revision, such as "7"'],
    [{ "if-none-match": '"7"' }, "If-None-Match must be *"],
    [{ "if-match": '"7"', "if-none-match": "*" }, "If-None-Match cannot stand beside If-Match"],
  ])("may not be %o", async ([headers, error]) => {
    await using rest = facade();
    const sent: Sent = { method: "DELETE", url, headers: { "x-api-key": "team", ...headers } };
    expect(await errorOf(rest, sent)).toStrictEqual([400, error]);
  });

  it("count for nothing where nothing is written", async () => {
    await using rest = facade();
    const headers = { "x-api-key": "team", "idempotency-key": "a b", "if-match": "7" };
    expect((await rest.inject({ url: LIST, headers })).status).toBe(200);
    const body = { api_key: "sk-1" };
    expect(
      (await rest.inject({ method: "POST", url: `${url}/validate`, headers, body })).status,
    ).toBe(200);
  });
});

describe("What Neo's API does not have", () => {
  it.for([
    "/api/v1/byok/",
    "/api/v1/byok/models",
    `/api/v1/byok/providers/openai/${CANARY}`,
    "/api/v1/byok/mode/x",
  ])("is answered 404 at %s, in Neo's words", async (path) => {
    await using rest = facade();
    for (const method of ["GET", "POST", "PATCH", "DELETE"] as const) {
      const { status, json } = await rest.inject({ method, url: path });
      expect([status, json]).toStrictEqual([
        404,
        {
          error: "no such path",
          code: "not_exists",
          kind: "not exists",
          message: "not exists: no such path",
          error_id: "request-1",
          detail: "no_such_path",
        },
      ]);
    }
    expect(rest.keyring.calls).toStrictEqual([]);
  });

  it.for<[Sent["method"] & string, string, string]>([
    ["POST", LIST, "GET, HEAD"],
    ["PATCH", LIST, "GET, HEAD"],
    ["OPTIONS", LIST, "GET, HEAD"],
    ["GET", url, "DELETE, PATCH"],
    ["HEAD", url, "DELETE, PATCH"],
    ["PUT", url, "DELETE, PATCH"],
    ["GET", `${url}/validate`, "POST"],
    ["POST", "/api/v1/byok/mode", "GET, HEAD, PATCH"],
    ["DELETE", "/api/v1/byok/mode", "GET, HEAD, PATCH"],
  ])("is answered 405 for %s %s, with Allow: %s", async ([method, path, allow]) => {
    await using rest = facade();
    const { status, headers, json } = await rest.inject({ method, url: path });
    expect([status, headers.allow]).toStrictEqual([405, allow]);
    if (method !== "HEAD")
      expect(json).toMatchObject({ code: "invalid_request", detail: "method_not_allowed" });
    expect(rest.keyring.calls).toStrictEqual([]);
  });

  it("is answered without Neo's words outside of its paths", async () => {
    await using rest = facade();
    const response = await rest.app.inject("/api/v1/other");
    expect([response.statusCode, response.json()]).toStrictEqual([
      404,
      { error: "not found", error_id: "request-1" },
    ]);
  });
});

describe("The id of Neo's requests", () => {
  it("is the error's id too", async () => {
    await using rest = facade();
    const headers = { "x-request-id": "mine-1" };
    const { json, headers: answered } = await rest.inject({ url: LIST, headers });
    expect(json).toMatchObject({ error_id: "mine-1" });
    expect(answered["x-request-id"]).toBe("mine-1");
  });

  it("is made here where it is missing or may not be kept", async () => {
    await using rest = facade();
    for (const id of ["two words", CANARY]) {
      const { json, headers } = await rest.inject({ url: LIST, headers: { "x-request-id": id } });
      expect(json).toMatchObject({ error_id: "request-1" });
      expect(headers["x-request-id"]).toBe("request-1");
    }
  });
});
