import packageJson from "../package.json" with { type: "json" };

/** A JSON Schema, draft 2020-12, or a reference to one. */
export type Schema = { readonly [keyword: string]: unknown };

export interface Ref {
  readonly $ref: string;
}

export interface Parameter {
  readonly name: string;
  readonly in: "path" | "header" | "query";
  readonly description: string;
  readonly required?: boolean;
  readonly schema: Schema;
  /** Of a path: what the page puts there. */
  readonly example?: string;
}

export interface Media {
  readonly "application/json": {
    readonly schema: Schema;
    readonly examples?: Readonly<
      Record<string, { readonly summary?: string; readonly value: unknown }>
    >;
  };
}

export interface Response {
  readonly description: string;
  readonly headers?: Readonly<Record<string, Ref>>;
  readonly content: Media;
}

export interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description?: string;
  readonly parameters?: readonly (Parameter | Ref)[];
  readonly requestBody?: { readonly required: true; readonly content: Media };
  readonly responses: Readonly<Record<string, Response | Ref>>;
  readonly security?: readonly Readonly<Record<string, readonly string[]>>[];
}

export interface Components {
  readonly schemas: Readonly<Record<string, Schema>>;
  readonly parameters: Readonly<Record<string, Parameter>>;
  readonly responses: Readonly<Record<string, Response>>;
  readonly headers: Readonly<
    Record<string, { readonly description: string; readonly schema: Schema }>
  >;
}

/** What one dialect adds to the document. Names of components are its own: no two dialects share one. */
export interface OpenApiPart {
  readonly tag: { readonly name: string; readonly description: string };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: Partial<Components>;
}

export interface OpenApiDocument {
  readonly openapi: "3.1.0";
  readonly info: {
    readonly title: string;
    readonly version: string;
    readonly summary: string;
    readonly description: string;
    readonly license: { readonly name: string; readonly identifier: string };
  };
  readonly tags: readonly OpenApiPart["tag"][];
  readonly paths: OpenApiPart["paths"];
  readonly components: Components & { readonly securitySchemes: Readonly<Record<string, Schema>> };
}

/** Either scheme is enough; both together must name the same caller. */
export const EITHER_CREDENTIAL: NonNullable<Operation["security"]> = [
  { BearerAuth: [] },
  { ApiKeyAuth: [] },
];

/** The document of everything that is served. */
export function openApiDocument(parts: readonly OpenApiPart[]): OpenApiDocument {
  const all = [...parts, HEALTH];
  return {
    openapi: "3.1.0",
    info: {
      title: "Keyledger REST API",
      version: packageJson.version,
      summary: "Keeps teams' LLM provider keys, and the record of every change and use.",
      description: DESCRIPTION,
      license: { name: "Apache 2.0", identifier: "Apache-2.0" },
    },
    tags: all.map(({ tag }) => tag),
    paths: Object.assign({}, ...all.map(({ paths }) => paths)),
    components: {
      schemas: merged(all, "schemas"),
      parameters: { ...PARAMETERS, ...merged(all, "parameters") },
      responses: merged(all, "responses"),
      headers: { ...HEADERS, ...merged(all, "headers") },
      securitySchemes: SECURITY_SCHEMES,
    },
  };
}

const merged = <N extends keyof Components>(
  parts: readonly OpenApiPart[],
  name: N,
): Components[N] => Object.assign({}, ...parts.map(({ components }) => components[name]));

const DESCRIPTION = `No answer ever holds a key's material: it goes in here, and comes out only over gRPC, to services that may use it, with a record of each use.

**Credentials.** A JWT as \`Authorization: Bearer\`, or a caller key as \`X-Api-Key\`. Never in the query string. The owner whose keys are meant always comes from the credentials.

**Safe repeats.** A write with an \`Idempotency-Key\` can be repeated: the same request gets the first answer again, another request under the same key is refused with 409.

**Conditional writes.** Every answer about a keyring has its edit revision as \`ETag\`. \`If-Match\` with it makes a write fail with 412 where somebody else changed the keyring in between; \`If-None-Match: *\` where it is not empty any more.

**Correlation.** \`X-Request-Id\` (1 to 64 of \`A-Z a-z 0-9 . _ -\`) is kept with what the request changes, and answered; without one the service makes it. Errors repeat it as \`error_id\`.`;

const SECURITY_SCHEMES = {
  BearerAuth: {
    type: "http",
    scheme: "bearer",
    bearerFormat: "JWT",
    description: "A JWT of the configured issuer; a caller key is accepted here too.",
  },
  ApiKeyAuth: {
    type: "apiKey",
    in: "header",
    name: "X-Api-Key",
    description: "A caller key, `neo_sk_...`.",
  },
};

const REQUEST_ID: Schema = { type: "string", pattern: "^[A-Za-z0-9._-]{1,64}$" };

const PARAMETERS: Components["parameters"] = {
  IdempotencyKey: {
    name: "Idempotency-Key",
    in: "header",
    description:
      "Makes a repeat safe: the same request under the same key gets the first answer again.",
    schema: REQUEST_ID,
  },
  IfMatch: {
    name: "If-Match",
    in: "header",
    description:
      "An `ETag` that was answered: the write fails with 412 if the keyring is not there any more.",
    schema: { type: "string", pattern: '^"[0-9]{1,19}"$' },
  },
  IfNoneMatch: {
    name: "If-None-Match",
    in: "header",
    description: "`*`: the write fails with 412 if the keyring has any event yet.",
    schema: { type: "string", const: "*" },
  },
  RequestId: {
    name: "X-Request-Id",
    in: "header",
    description: "Correlation id; one that does not match is replaced.",
    schema: REQUEST_ID,
  },
};

const HEADERS: Components["headers"] = {
  RequestId: {
    description: "The request's correlation id: yours, or one made here.",
    schema: REQUEST_ID,
  },
  EditRevision: {
    description:
      "Edit revision of the keyring, for `If-Match`. Absent while the keyring has no event.",
    schema: { type: "string", pattern: '^"[0-9]{1,20}"$' },
  },
  RetryAfter: {
    description: "Whole seconds after which asking again makes sense.",
    schema: { type: "integer", minimum: 1 },
  },
  Authenticate: {
    description: "The scheme to authenticate with.",
    schema: { type: "string", const: "Bearer" },
  },
};

const health = (description: string, schema: Schema, value: unknown): Response => ({
  description,
  headers: { "X-Request-Id": { $ref: "#/components/headers/RequestId" } },
  content: { "application/json": { schema, examples: { answer: { value } } } },
});

const HEALTH: OpenApiPart = {
  tag: { name: "Health", description: "For whoever runs the service. No credentials are needed." },
  paths: {
    "/healthz": {
      get: {
        operationId: "get-healthz",
        tags: ["Health"],
        summary: "Is the process alive?",
        security: [],
        responses: {
          "200": health(
            "It is.",
            {
              type: "object",
              required: ["status"],
              properties: { status: { const: "ok" } },
            },
            { status: "ok" },
          ),
        },
      },
    },
    "/readyz": {
      get: {
        operationId: "get-readyz",
        tags: ["Health"],
        summary: "Can it serve right now?",
        security: [],
        responses: {
          "200": health(
            "It can.",
            {
              type: "object",
              required: ["status"],
              properties: { status: { const: "ready" } },
            },
            { status: "ready" },
          ),
          "503": health(
            "It cannot: it starts, stops, or waits for a store.",
            {
              type: "object",
              required: ["status", "reasons"],
              properties: {
                status: { const: "not ready" },
                reasons: { type: "array", minItems: 1, items: { type: "string" } },
              },
            },
            { status: "not ready", reasons: ["shutting down"] },
          ),
        },
      },
    },
  },
  components: {},
};
