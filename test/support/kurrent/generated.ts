/**
 * The protocol as the client package itself generates it, so that no proto text is copied here: whatever the client
 * puts on the wire, these modules read. They are CommonJS without named exports that Node could see.
 */

import gossipService from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/gossip_grpc_pb.js";
import gossip from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/gossip_pb.js";
import featuresService from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/serverfeatures_grpc_pb.js";
import features from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/serverfeatures_pb.js";
import shared from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/shared_pb.js";
import status from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/status_pb.js";
import streamsService from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/streams_grpc_pb.js";
import streams from "@kurrent/kurrentdb-client/generated/kurrentdb/protocols/v1/streams_pb.js";
import any from "google-protobuf/google/protobuf/any_pb.js";
import emptyMessage from "google-protobuf/google/protobuf/empty_pb.js";
import timestamp from "google-protobuf/google/protobuf/timestamp_pb.js";

export const { GossipService } = gossipService;
export const { ServerFeaturesClient, ServerFeaturesService } = featuresService;
export const { StreamsService } = streamsService;
export { any, emptyMessage, features, gossip, shared, status, streams, timestamp };
