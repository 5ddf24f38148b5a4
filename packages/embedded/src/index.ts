export {
  type JsonlAuditSinkOptions,
  openJsonlAuditSink as openAuditSink,
} from "./jsonl-audit-sink.ts";
export { type Embedded, type EmbeddedOptions, openEmbedded } from "./open.ts";
export { openReadModels } from "./sqlite-read-models.ts";
export type { ReadModelsOptions, ViewsResetReason } from "./views-file.ts";
