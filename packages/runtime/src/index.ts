export { Secret } from "@keyledger/core";
export { type CrossProblem, type Reading, readSettings, type SettingSources } from "./config.ts";
export { FileRefused, readPrivateFile, removeDurably, writePrivateFile } from "./files.ts";
export { nodeHost } from "./host.ts";
export {
  createHttpEdge,
  type HttpEdge,
  type HttpEdgeLimits,
  type HttpEdgeOptions,
  type HttpEdgeTls,
  isKeyLike,
  PAGE_HEADERS,
} from "./http-edge.ts";
export { refuseLeakyEnvironment } from "./leaky-environment.ts";
export {
  createLog,
  LOG_LEVELS,
  type Log,
  type LogFields,
  type LogLevel,
  type LogValue,
} from "./log.ts";
export { createMetrics, type Metrics, type Observed } from "./metrics.ts";
export { listenForMetrics, type MetricsListener } from "./metrics-listener.ts";
export {
  type DrainedStep,
  type DrainStep,
  drain,
  type SignalSource,
  type StopSignal,
  untilSignal,
} from "./serve.ts";
export {
  duration,
  type HostPort,
  hostPort,
  integer,
  isLoopback,
  type Kind,
  oneOf,
  onOff,
  type Parsed,
  pair,
  path,
  secretFile,
  showHostPort,
  word,
} from "./setting-kinds.ts";
export {
  flagOf,
  list,
  optional,
  renderHelp,
  renderMarkdown,
  type Setting,
  type SettingsOf,
  type SettingTable,
  setting,
  variableOf,
} from "./setting-table.ts";
