import { Script } from "node:vm";
import { describe, expect, it } from "vitest";
import { check, document, validateResponse } from "../support/openapi.ts";
import { facade } from "./facade.ts";

const OPERATIONS = Object.entries(document.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
);

interface Described {
  readonly description: string;
  readonly content: {
    readonly "application/json": { readonly examples?: Record<string, { value: unknown }> };
  };
}

const responsesOf = (operation: (typeof OPERATIONS)[number]["operation"]) =>
  Object.entries(operation.responses).map(([status, response]) => {
    const name = "$ref" in response ? response.$ref.split("/").at(-1) : undefined;
    return [
      status,
      (name === undefined ? response : document.components.responses[name]) as Described,
    ] as const;
  });

describe("The OpenAPI document", () => {
  it("is served as it is", async () => {
    await using rest = facade();
    const response = await rest.app.inject("/openapi.json");
    expect(response.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(response.json()).toStrictEqual(JSON.parse(JSON.stringify(document)));
  });

  it("describes exactly the routes that are served", async () => {
    await using rest = facade();
    await rest.app.ready();
    for (const { path, method } of OPERATIONS) {
      const url = path.replaceAll(/\{([^}]+)\}/g, ":$1");
      expect(rest.app.hasRoute({ method: method.toUpperCase(), url }), `${method} ${path}`).toBe(
        true,
      );
    }
    expect(
      OPERATIONS.filter(({ path }) => path.startsWith("/api/")).map(
        ({ method, path }) => `${method} ${path}`,
      ),
    ).toStrictEqual([
      "get /api/v1/byok/providers",
      "patch /api/v1/byok/providers/{provider}",
      "delete /api/v1/byok/providers/{provider}",
      "post /api/v1/byok/providers/{provider}/validate",
      "get /api/v1/byok/mode",
      "patch /api/v1/byok/mode",
    ]);
  });

  it("has references that lead somewhere", () => {
    const references = JSON.stringify(document).matchAll(/"\$ref":"#([^"]+)"/g);
    for (const [, pointer = ""] of references) {
      const found = pointer
        .split("/")
        .slice(1)
        .reduce<unknown>(
          (at, name) => (at instanceof Object ? Reflect.get(at, name) : undefined),
          document,
        );
      expect(found, pointer).toBeDefined();
    }
  });

  it("has an operation id of its own for every operation, and words for everything", () => {
    const ids = OPERATIONS.map(({ operation }) => operation.operationId);
    expect(new Set(ids).size).toBe(ids.length);
    for (const { operation } of OPERATIONS) {
      expect(operation.summary).not.toBe("");
      for (const [, response] of responsesOf(operation)) expect(response.description).not.toBe("");
    }
    for (const schema of Object.values(document.components.schemas)) {
      for (const [name, property] of Object.entries(
        (schema.properties ?? {}) as Record<string, object>,
      )) {
        expect("description" in property || "$ref" in property || "const" in property, name).toBe(
          true,
        );
      }
    }
  });

  it("shows only examples that it allows itself", () => {
    for (const { path, method, operation } of OPERATIONS) {
      const concrete = path.replaceAll(/\{[^}]+\}/g, "openai");
      for (const [status, response] of responsesOf(operation)) {
        const examples = Object.values(response.content["application/json"].examples ?? {});
        expect(examples, `${method} ${path} ${status}`).not.toStrictEqual([]);
        for (const { value } of examples) validateResponse(method, concrete, Number(status), value);
      }
    }
  });

  it("shows requests that are accepted", async () => {
    await using rest = facade();
    for (const { path, method, operation } of OPERATIONS) {
      const media = operation.requestBody?.content["application/json"];
      if (media === undefined) continue;
      const [{ value } = { value: undefined }] = Object.values(media.examples ?? {});
      const schema = String(Reflect.get(media.schema, "$ref")).slice(1);
      check(schema, value, operation.operationId);
      const { status } = await rest.inject({
        method: method.toUpperCase() as "PATCH" | "POST",
        url: path.replace("{provider}", "amazon-bedrock"),
        body: value as object,
      });
      expect(status, operation.operationId).toBe(200);
    }
  });
});

describe("Validating a response", () => {
  const url = "/api/v1/byok/mode";
  const mode = {
    mode: "byok",
    resource_type: "team",
    resource_id: "t",
    configured_keys: 1,
    effective_mode: "byok",
  };
  const error = {
    error: "e",
    code: "unauthorized",
    kind: "unauthorized request",
    message: "m",
    error_id: "i",
  };

  it("passes what the document describes", () => {
    validateResponse("GET", `${url}?x=1`, 200, mode);
    validateResponse("GET", url, 401, error);
  });

  it.for<[string, string, string, number, unknown]>([
    ["a field more", "GET", url, 200, { ...mode, extra: 1 }],
    ["a field less", "GET", url, 200, { ...mode, mode: undefined }],
    ["another type", "GET", url, 200, { ...mode, configured_keys: "1" }],
    ["a field more in an error", "GET", url, 401, { ...error, extra: 1 }],
    ["a code of another status", "GET", url, 401, { ...error, code: "forbidden" }],
    ["a status that is not described", "GET", url, 404, error],
    ["a method that is not described", "PUT", url, 200, mode],
    ["a path that is not described", "GET", "/api/v1/elsewhere", 200, mode],
    [
      "a field more deep inside",
      "GET",
      "/api/v1/byok/providers",
      200,
      { ...mode, count: 1, provider_keys: [{ secret: "x" }] },
    ],
  ])("fails for %s", ([, method, path, status, body]) => {
    expect(() =>
      validateResponse(method, path, status, JSON.parse(JSON.stringify(body))),
    ).toThrow();
  });

  it("fails for a header that is not described", () => {
    const headers = { "x-request-id": "i", "content-type": "application/json; charset=utf-8" };
    validateResponse("GET", url, 401, error, { ...headers, "www-authenticate": "Bearer" });
    expect(() => validateResponse("GET", url, 401, error, { ...headers, etag: '"1"' })).toThrow(
      /etag/,
    );
    expect(() => validateResponse("GET", url, 200, mode, { ...headers, etag: "1" })).toThrow(
      /etag/,
    );
  });
});

describe("The docs page", () => {
  const page = async (rest: ReturnType<typeof facade>) => (await rest.app.inject("/docs")).body;

  it("needs nothing from elsewhere, and its policy says so", async () => {
    await using rest = facade();
    const { headers, body } = await rest.app.inject("/docs");
    expect(headers["content-type"]).toBe("text/html; charset=utf-8");
    expect(headers["x-content-type-options"]).toBe("nosniff");
    expect(headers["content-security-policy"]).toMatch(
      /^default-src 'none'; script-src 'self'; style-src 'self';/,
    );
    expect(headers["content-security-policy"]).not.toContain("unsafe");
    const loaded = [...body.matchAll(/(?:src|href)="([^"#]+)"/g)].map(([, target]) => target);
    expect(loaded).toStrictEqual(["data:,", "/docs.css", "/docs.js", "/openapi.json"]);
    expect(body).not.toMatch(/<style|<script(?![^>]* src=)|style="|\son\w+="/);
  });

  it("has its script and its style", async () => {
    await using rest = facade();
    const script = await rest.app.inject("/docs.js");
    expect(script.headers["content-type"]).toBe("text/javascript; charset=utf-8");
    expect(() => new Script(`(async () => {${script.body}})`)).not.toThrow();
    const style = await rest.app.inject("/docs.css");
    expect(style.headers["content-type"]).toBe("text/css; charset=utf-8");
    expect(style.body).toContain("prefers-color-scheme: dark");
    expect(`${script.body}${style.body}`).not.toMatch(/https?:\/\//);
  });

  it("shows every operation with its parameters, answers and a curl line", async () => {
    await using rest = facade();
    const html = await page(rest);
    for (const { path, method, operation } of OPERATIONS) {
      const [, article = ""] = html.split(`id="${operation.operationId}"`);
      const shown = article.slice(0, article.indexOf("</article>"));
      expect(shown).toContain(`<code>${path}</code>`);
      expect(shown).toContain(method.toUpperCase());
      expect(shown).toContain("curl");
      for (const [status] of responsesOf(operation))
        expect(shown).toMatch(new RegExp(`class="status[^>]*>${status}<`));
      for (const parameter of operation.parameters ?? []) {
        const name =
          "$ref" in parameter
            ? document.components.parameters[parameter.$ref.split("/").at(-1) ?? ""]?.name
            : parameter.name;
        expect(shown).toContain(`<code>${name}</code>`);
      }
    }
  });

  it("has a curl line that a shell takes as it stands", async () => {
    await using rest = facade();
    const html = await page(rest);
    expect(html).toContain(
      [
        'curl -X PATCH "<span data-base>http://127.0.0.1:8080</span>/api/v1/byok/providers/amazon-bedrock" \\',
        '  -H "X-Api-Key: $KEYLEDGER_KEY" \\',
        '  -H "Content-Type: application/json" \\',
        "  -d '{&quot;api_key&quot;:&quot;{\\&quot;accessKeyId\\&quot;",
      ].join("\n"),
    );
  });
});
