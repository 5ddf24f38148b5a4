export {
  type Applied,
  type AuditConsumer,
  type AuditConsumerOptions,
  createAuditConsumer,
  type Gap,
  GapNotFilled,
  type Mark,
  type Place,
  type Verdict,
  verdictOn,
} from "./audit-consumer.ts";
export { type FeedPage, gapReader, type ListRecords } from "./gap-reader.ts";
export { GAP_MARKER_TYPE, placeOf } from "./kafka-headers.ts";
