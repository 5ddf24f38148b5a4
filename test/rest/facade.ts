import { type RestSettings, restPlugin } from "@keyledger/rest";
import { createHttpEdge } from "@keyledger/runtime";
import { validateResponse } from "../support/openapi.ts";
import { FakeKeyring } from "./fake-keyring.ts";

export type Sent = {
  readonly method?: "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS";
  readonly url: string;
  /** Default: `{"x-api-key": "team"}`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** An object is sent as JSON, with its content type; a text and bytes as they are. */
  readonly body?: object | string | Buffer;
};

/** The facade over a vault in memory. Every answer is held against the OpenAPI document. */
export function facade(settings: Partial<RestSettings> = {}) {
  const keyring = new FakeKeyring();
  const faults: { readonly error: unknown; readonly errorId: string }[] = [];
  const edge = createHttpEdge({ newRequestId: () => "request-1" });
  edge.app.register(
    restPlugin({
      client: keyring.client,
      dialects: new Set(["neo"]),
      settings,
      onInternalError: (error, errorId) => faults.push({ error, errorId }),
    }),
  );

  const inject = async ({ method = "GET", url, headers = { "x-api-key": "team" }, body }: Sent) => {
    const isJson = typeof body === "object" && !Buffer.isBuffer(body);
    const response = await edge.app.inject({
      method,
      url,
      headers: { ...(isJson && { "content-type": "application/json" }), ...headers },
      ...(body !== undefined && { payload: isJson ? JSON.stringify(body) : body }),
    });
    const json: unknown = method === "HEAD" ? undefined : JSON.parse(response.body);
    if (method !== "HEAD")
      validateResponse(method, url, response.statusCode, json, response.headers);
    return { status: response.statusCode, headers: response.headers, json, text: response.body };
  };
  return { app: edge.app, keyring, faults, inject, [Symbol.asyncDispose]: () => edge.drain(0) };
}
