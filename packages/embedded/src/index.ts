export {
  type JsonlAuditSinkOptions,
  openJsonlAuditSink as openAuditSink,
} from "./jsonl-audit-sink.ts";
export { type Embedded, type EmbeddedOptions, openEmbedded } from "./open.ts";
export {
  openReadModels,
  type ReadModelsOptions,
  type ViewsResetReason,
} from "./sqlite-read-models.ts";
