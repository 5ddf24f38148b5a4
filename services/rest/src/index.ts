export { type DialectName, type RestOptions, restPlugin } from "./app.ts";
export type { CallOptions, KeyringClient, UnaryClient } from "./keyring-client.ts";
export type { RestSettings } from "./plugin.ts";
