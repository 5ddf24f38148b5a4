export * from "./gen/google/rpc/error_details_pb.ts";
export { type Status, StatusSchema } from "./gen/google/rpc/status_pb.ts";
export * from "./gen/keyledger/v1/admin_service_pb.ts";
export * from "./gen/keyledger/v1/audit_service_pb.ts";
export * from "./gen/keyledger/v1/keyring_pb.ts";
export * from "./gen/keyledger/v1/keyring_service_pb.ts";
export * from "./gen/keyledger/v1/resolve_service_pb.ts";
