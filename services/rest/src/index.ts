export { type DialectName, type RestOptions, restDocument, restPlugin } from "./app.ts";
export { SERVICE_REASONS } from "./failure.ts";
export type { CallOptions, KeyringClient, UnaryClient } from "./keyring-client.ts";
export type { OpenApiDocument } from "./openapi.ts";
export type { RestSettings } from "./plugin.ts";
