import { ProbeOutcome } from "@keyledger/contracts";
import { Failure, invalid, type Reason } from "../failure.ts";
import {
  type Components,
  EITHER_CREDENTIAL,
  type OpenApiPart,
  type Ref,
  type Response,
  type Schema,
} from "../openapi.ts";
import { KIND_OF, NEO_ERRORS, presentNeoError } from "./neo-errors.ts";
import { NEO_PROVIDERS } from "./neo-providers.ts";
import { OUTCOMES } from "./neo-validation.ts";

const TAGS = ["BYOK"];
const ERROR_ID = "0198f2c1-7c1e-7d4b-9a53-1f0d8a6b2c11";

const KEY = {
  id: "0198f2c1-6a3b-7c55-8d0e-4b1f2a3c4d5e",
  provider: "amazon-bedrock",
  display_name: "prod",
  location: "us-east-1",
  is_validated: true,
  created_at: "2026-01-02T03:04:05.120Z",
  updated_at: "2026-01-02T03:04:05.120Z",
};

const schemaRef = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const parameterRef = (name: string): Ref => ({ $ref: `#/components/parameters/${name}` });
const nullable = (description: string): Schema => ({
  type: ["string", "null"],
  maxLength: 255,
  description,
});
const time = (description: string): Schema => ({
  type: "string",
  format: "date-time",
  description,
});

function errorResponse(
  description: string,
  reasons: readonly Reason[],
  given: readonly Failure[] = [],
): Response {
  const failures = [...given, ...reasons.map((reason) => new Failure(reason))];
  const answers = failures.map((failure) => ({ failure, ...presentNeoError(failure, ERROR_ID) }));
  const codes = [...new Set(failures.map(({ reason }) => NEO_ERRORS[reason].code))];
  const waits = answers.some(({ headers }) => headers?.["retry-after"] !== undefined);
  return {
    description,
    headers: {
      "X-Request-Id": { $ref: "#/components/headers/RequestId" },
      ...(waits && { "Retry-After": { $ref: "#/components/headers/RetryAfter" } }),
      ...(answers[0]?.status === 401 && {
        "WWW-Authenticate": { $ref: "#/components/headers/Authenticate" },
      }),
    },
    content: {
      "application/json": {
        schema: { allOf: [schemaRef("ErrorResponse"), { properties: { code: { enum: codes } } }] },
        examples: Object.fromEntries(
          answers.map(({ failure, body }) => [
            failure.reason.toLowerCase(),
            { value: JSON.parse(body) },
          ]),
        ),
      },
    },
  };
}

const RESPONSES = {
  NeoBadRequest: errorResponse(
    "The request is not valid, or the rules of the keyring refuse it. `error` names the field, never its value.",
    ["UNKNOWN_PROVIDER", "NO_PROVIDER_KEYS", "TOO_MANY_KEYS", "KEY_REJECTED"],
    [invalid("api_key", "is required")],
  ),
  NeoUnauthorized: errorResponse("No credentials, or none that count.", ["UNAUTHENTICATED"]),
  NeoForbidden: errorResponse("BYOK is not enabled, or the caller is not a team admin.", [
    "BYOK_NOT_ENABLED",
    "ROLE_NOT_ALLOWED",
    "OWNER_REQUIRED",
  ]),
  NeoNotFound: errorResponse("The provider has no key.", ["KEY_NOT_FOUND"]),
  NeoConflict: errorResponse(
    "Others wrote at the same time, or the idempotency key was used before.",
    ["CONTENTION", "IDEMPOTENCY_KEY_REUSED"],
  ),
  NeoDeleteConflict: errorResponse(
    "Others wrote at the same time, the idempotency key was used before, or the provider has more keys than this API shows.",
    ["OTHER_KEYS_EXIST", "CONTENTION", "IDEMPOTENCY_KEY_REUSED"],
  ),
  NeoPreconditionFailed: errorResponse("`If-Match` is not the edit revision.", [
    "REVISION_MISMATCH",
  ]),
  NeoTooLarge: errorResponse("The body is larger than 64 KiB.", ["TOO_LARGE"]),
  NeoUnsupportedMediaType: errorResponse("The body is not `application/json` in UTF-8.", [
    "UNSUPPORTED_MEDIA_TYPE",
  ]),
  NeoRateLimited: errorResponse("Too many requests.", ["RATE_LIMITED"]),
  NeoInternal: errorResponse(
    "Something nobody expected; nothing of it is told. Quote the `error_id`.",
    ["INTERNAL"],
  ),
  NeoUnavailable: errorResponse(
    "A part of the service does not answer in time, or the provider could not say.",
    ["STORE_UNAVAILABLE", "PROBE_INDETERMINATE", "OUTCOME_UNKNOWN", "DEADLINE_EXCEEDED"],
  ),
  NeoNoSuchPath: errorResponse("Nothing is served at this path.", ["NO_SUCH_PATH"]),
  NeoMethodNotAllowed: errorResponse("The path exists, for other methods: see `Allow`.", [
    "METHOD_NOT_ALLOWED",
  ]),
} as const satisfies Record<string, Response>;

const responseRef = (name: keyof typeof RESPONSES): Ref => ({
  $ref: `#/components/responses/${name}`,
});

const EVERYWHERE = {
  "401": responseRef("NeoUnauthorized"),
  "403": responseRef("NeoForbidden"),
  "500": responseRef("NeoInternal"),
  "503": responseRef("NeoUnavailable"),
};
const WITH_BODY = {
  "400": responseRef("NeoBadRequest"),
  "413": responseRef("NeoTooLarge"),
  "415": responseRef("NeoUnsupportedMediaType"),
  "429": responseRef("NeoRateLimited"),
};
const WRITES = {
  "409": responseRef("NeoConflict"),
  "412": responseRef("NeoPreconditionFailed"),
};

const PARAMETERS: Components["parameters"] = {
  NeoProvider: {
    name: "provider",
    in: "path",
    required: true,
    description: "Whose key is meant.",
    example: "amazon-bedrock",
    schema: schemaRef("NeoProvider"),
  },
};
const READ_PARAMETERS = [parameterRef("RequestId")];
const WRITE_PARAMETERS = ["IdempotencyKey", "IfMatch", "IfNoneMatch", "RequestId"].map(
  parameterRef,
);

function success(
  description: string,
  schema: string,
  value: unknown,
  hasRevision = true,
): Response {
  return {
    description,
    headers: {
      "X-Request-Id": { $ref: "#/components/headers/RequestId" },
      ...(hasRevision && { ETag: { $ref: "#/components/headers/EditRevision" } }),
    },
    content: { "application/json": { schema: schemaRef(schema), examples: { answer: { value } } } },
  };
}

const requestBody = (schema: string, value: unknown) => ({
  required: true as const,
  content: { "application/json": { schema: schemaRef(schema), examples: { request: { value } } } },
});

const PATHS: OpenApiPart["paths"] = {
  "/api/v1/byok/providers": {
    get: {
      operationId: "get-v1-byok-providers",
      tags: TAGS,
      summary: "List the configured keys",
      description:
        "One row for each provider that has a key: its primary. Keys of providers without a name here are not shown, but counted in `configured_keys`.",
      security: EITHER_CREDENTIAL,
      parameters: READ_PARAMETERS,
      responses: {
        "200": success("The keys, in the order of the providers.", "NeoProviderKeyList", {
          provider_keys: [KEY],
          count: 1,
          configured_keys: 1,
          mode: "byok",
          resource_type: "team",
          resource_id: "team-42",
        }),
        ...EVERYWHERE,
      },
    },
  },
  "/api/v1/byok/providers/{provider}": {
    patch: {
      operationId: "patch-v1-byok-provider",
      tags: TAGS,
      summary: "Create or replace a provider's key",
      description:
        "The key is checked with the provider before it is saved. Refused: 400, and nothing changes. No clear answer: saved, with `is_validated: false`. A field left out keeps what is there, null clears it. The same key and metadata again change nothing.",
      security: EITHER_CREDENTIAL,
      parameters: [parameterRef("NeoProvider"), ...WRITE_PARAMETERS],
      requestBody: requestBody("UpsertProviderKeyRequest", {
        api_key: '{"accessKeyId":"AKIA...","secretAccessKey":"..."}',
        display_name: "prod",
        location: "us-east-1",
      }),
      responses: {
        "200": success("Provider key created or updated.", "UpsertProviderKeyResponse", {
          provider_key: KEY,
          validation: { valid: true, status: "valid", retryable: false },
        }),
        ...WITH_BODY,
        ...WRITES,
        ...EVERYWHERE,
      },
    },
    delete: {
      operationId: "delete-v1-byok-provider",
      tags: TAGS,
      summary: "Delete a provider's key",
      description:
        "Destroys the key's material before it answers. When the last enabled key goes while the mode is `byok`, the mode becomes `neo` in the same step.",
      security: EITHER_CREDENTIAL,
      parameters: [parameterRef("NeoProvider"), ...WRITE_PARAMETERS],
      responses: {
        "200": success("The key is gone.", "DeleteProviderKeyResponse", {
          auto_switched: true,
          deleted: true,
          provider: "amazon-bedrock",
          remaining_keys: 0,
        }),
        "400": responseRef("NeoBadRequest"),
        "404": responseRef("NeoNotFound"),
        "409": responseRef("NeoDeleteConflict"),
        "412": responseRef("NeoPreconditionFailed"),
        "415": responseRef("NeoUnsupportedMediaType"),
        "429": responseRef("NeoRateLimited"),
        ...EVERYWHERE,
      },
    },
  },
  "/api/v1/byok/providers/{provider}/validate": {
    post: {
      operationId: "post-v1-byok-provider-validate",
      tags: TAGS,
      summary: "Check a key without saving it",
      security: EITHER_CREDENTIAL,
      parameters: [parameterRef("NeoProvider"), ...READ_PARAMETERS],
      requestBody: requestBody("ValidateProviderKeyRequest", {
        api_key: '{"accessKeyId":"AKIA...","secretAccessKey":"..."}',
        location: "us-east-1",
      }),
      responses: {
        "200": success(
          "What the provider says of the key.",
          "ValidationResult",
          {
            valid: false,
            error: "The provider is limiting requests; nothing is known about the key.",
            details: OUTCOMES[ProbeOutcome.RATE_LIMITED].details,
            status: OUTCOMES[ProbeOutcome.RATE_LIMITED].status,
            retryable: true,
          },
          false,
        ),
        ...WITH_BODY,
        ...EVERYWHERE,
      },
    },
  },
  "/api/v1/byok/mode": {
    get: {
      operationId: "get-v1-byok-mode",
      tags: TAGS,
      summary: "Read the mode",
      security: EITHER_CREDENTIAL,
      parameters: READ_PARAMETERS,
      responses: {
        "200": success("The mode.", "NeoCurrentMode", {
          mode: "byok",
          resource_type: "team",
          resource_id: "team-42",
          configured_keys: 1,
          effective_mode: "byok",
        }),
        ...EVERYWHERE,
      },
    },
    patch: {
      operationId: "patch-v1-byok-mode",
      tags: TAGS,
      summary: "Set the mode",
      description:
        "`byok` serves requests with the owner's own keys, and needs one that is enabled; `neo` with the platform's.",
      security: EITHER_CREDENTIAL,
      parameters: WRITE_PARAMETERS,
      requestBody: requestBody("SetModelUseModeRequest", { mode: "byok" }),
      responses: {
        "200": success("Mode updated successfully.", "SetModelUseModeResponse", {
          mode: "byok",
          resource_type: "team",
          resource_id: "team-42",
        }),
        ...WITH_BODY,
        ...WRITES,
        ...EVERYWHERE,
      },
    },
  },
};

const API_KEY: Schema = {
  type: "string",
  minLength: 1,
  maxLength: 16_384,
  writeOnly: true,
  description:
    "The key, kept as given but for outer white space and quotes. google-vertex: the service account's JSON as one string. amazon-bedrock: an API key, or JSON with `accessKeyId` and `secretAccessKey`.",
};
const LOCATION = nullable(
  "google-vertex: GCP region, `us-central1` by default. amazon-bedrock: AWS region, `us-east-1` by default. azure-foundry: the endpoint's URL, required.",
);
const BASE_URL = nullable(
  "azure-foundry: another name for `location`. Refused for the other providers.",
);
const RESOURCE = {
  resource_type: { enum: ["user", "team"], description: "An organization is shown as a team." },
  resource_id: { type: "string", description: "Id of the user or team." },
};
const count = (description: string): Schema => ({ type: "integer", minimum: 0, description });

const SCHEMAS: Readonly<Record<string, Schema>> = {
  NeoProvider: { type: "string", enum: NEO_PROVIDERS },
  NeoMode: {
    type: "string",
    enum: ["neo", "byok"],
    description: "`neo`: the platform's keys serve requests. `byok`: the owner's own.",
  },
  ProviderKey: {
    type: "object",
    required: ["id", "provider", "is_validated", "created_at", "updated_at"],
    properties: {
      id: { type: "string", format: "uuid", description: "Stable from creation to deletion." },
      provider: schemaRef("NeoProvider"),
      display_name: nullable("Name given by people."),
      location: nullable("Region or endpoint."),
      is_validated: {
        type: "boolean",
        description: "The provider's last clear answer about this key was that it works.",
      },
      created_at: time("When it was created."),
      updated_at: time("When it was last changed; a check does not count."),
    },
  },
  NeoProviderKeyList: {
    type: "object",
    required: ["provider_keys", "count", "configured_keys", "mode", "resource_type", "resource_id"],
    properties: {
      provider_keys: {
        type: "array",
        description: "In the order of the providers.",
        maxItems: NEO_PROVIDERS.length,
        items: schemaRef("ProviderKey"),
      },
      count: count("Rows shown."),
      configured_keys: count("All keys of the owner."),
      mode: schemaRef("NeoMode"),
      ...RESOURCE,
    },
  },
  UpsertProviderKeyRequest: {
    type: "object",
    additionalProperties: false,
    required: ["api_key"],
    properties: {
      api_key: API_KEY,
      display_name: nullable("Name for people. A text that looks like a key is refused."),
      location: LOCATION,
      base_url: BASE_URL,
    },
  },
  UpsertProviderKeyResponse: {
    type: "object",
    required: ["provider_key", "validation"],
    properties: {
      provider_key: schemaRef("ProviderKey"),
      validation: schemaRef("ValidationResult"),
    },
  },
  ValidateProviderKeyRequest: {
    type: "object",
    additionalProperties: false,
    required: ["api_key"],
    properties: { api_key: API_KEY, location: LOCATION, base_url: BASE_URL },
  },
  ValidationResult: {
    type: "object",
    required: ["valid", "status", "retryable"],
    properties: {
      valid: { type: "boolean", description: "The provider accepts the key." },
      error: { type: "string", description: "Why it does not, or why nobody knows." },
      details: { type: "string", description: "More about it." },
      status: {
        enum: [...new Set(Object.values(OUTCOMES).map(({ status }) => status))],
        description: "The outcome by name.",
      },
      retryable: { type: "boolean", description: "Asking again later may give another outcome." },
    },
  },
  DeleteProviderKeyResponse: {
    type: "object",
    required: ["auto_switched", "deleted", "provider", "remaining_keys"],
    properties: {
      auto_switched: {
        type: "boolean",
        description: "The mode was moved to `neo`, as the last enabled key went.",
      },
      deleted: { const: true },
      provider: schemaRef("NeoProvider"),
      remaining_keys: count("All keys that are left, disabled ones among them."),
    },
  },
  SetModelUseModeRequest: {
    type: "object",
    additionalProperties: false,
    required: ["mode"],
    properties: { mode: schemaRef("NeoMode") },
  },
  SetModelUseModeResponse: {
    type: "object",
    required: ["mode", "resource_type", "resource_id"],
    properties: { mode: schemaRef("NeoMode"), ...RESOURCE },
  },
  NeoCurrentMode: {
    type: "object",
    required: ["mode", "resource_type", "resource_id", "configured_keys", "effective_mode"],
    properties: {
      mode: schemaRef("NeoMode"),
      ...RESOURCE,
      configured_keys: count("All keys of the owner."),
      effective_mode: {
        ...schemaRef("NeoMode"),
        description: "The mode that takes effect: `neo` while BYOK is not enabled.",
      },
    },
  },
  ErrorResponse: {
    type: "object",
    required: ["error", "code", "kind", "message", "error_id"],
    properties: {
      error: { type: "string", minLength: 1, description: "Text for people." },
      code: { enum: Object.keys(KIND_OF), description: "Stable; what programs branch on." },
      kind: { enum: Object.values(KIND_OF), description: "Coarse category." },
      message: { type: "string", description: "Kind and error, for display." },
      error_id: {
        type: "string",
        pattern: "^[A-Za-z0-9._-]{1,64}$",
        description: "The `X-Request-Id`.",
      },
      detail: {
        type: "string",
        pattern: "^[a-z_]+$",
        description: "Finer reason, of Keyledger's own.",
      },
    },
  },
};

/** Neo's part of the OpenAPI document. Its error examples are the error table itself. */
export const NEO_OPENAPI: OpenApiPart = {
  tag: {
    name: "BYOK",
    description: "Bring Your Own Key provider management, as Neo's clients know it.",
  },
  paths: PATHS,
  components: { schemas: SCHEMAS, parameters: PARAMETERS, responses: RESPONSES },
};
