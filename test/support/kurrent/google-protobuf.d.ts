// The package ships no types, and those the client brings along are its own. What the generated modules take and give
// names the types all the same.

declare module "google-protobuf/google/protobuf/any_pb.js" {
  import type { Status } from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/status_pb.js";
  export const Any: new () => NonNullable<ReturnType<Status["getDetails"]>>;
}

declare module "google-protobuf/google/protobuf/timestamp_pb.js" {
  import type { ReadResp } from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/streams_pb.js";
  export const Timestamp: new () => NonNullable<ReturnType<ReadResp.CaughtUp["getTimestamp"]>>;
}

declare module "google-protobuf/google/protobuf/empty_pb.js" {
  import type { BatchAppendResp } from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/streams_pb.js";
  export const Empty: new () => NonNullable<ReturnType<BatchAppendResp["getAny"]>>;
}
