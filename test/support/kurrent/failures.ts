import { Metadata, status } from "@grpc/grpc-js";

/** How a call ends badly: a status with the trailers that clients look at. */
export class Failure extends Error {
  readonly code: number;
  readonly details: string;
  readonly metadata: Metadata;

  constructor(code: number, details: string, metadata = new Metadata()) {
    super(details);
    this.name = "Failure";
    this.code = code;
    this.details = details;
    this.metadata = metadata;
  }
}

function trailers(exception: string, more: Readonly<Record<string, string>> = {}): Metadata {
  const metadata = new Metadata();
  metadata.set("exception", exception);
  for (const [name, value] of Object.entries(more)) metadata.set(name, value);
  return metadata;
}

export const accessDenied = (): Failure =>
  new Failure(status.PERMISSION_DENIED, "Access Denied", trailers("access-denied"));

export const wrongCredentials = (): Failure =>
  new Failure(status.UNAUTHENTICATED, "Bad credentials");

export const notLeader = (host: string, port: number): Failure =>
  new Failure(
    status.NOT_FOUND,
    "Leader info available",
    trailers("not-leader", {
      "leader-endpoint-host": host,
      "leader-endpoint-port": String(port),
    }),
  );

export const noLeader = (): Failure =>
  new Failure(status.UNKNOWN, "No leader info available in response");

export const notReady = (): Failure => new Failure(status.UNAVAILABLE, "Server Is Not Ready");

export const streamDeleted = (stream: string): Failure =>
  new Failure(
    status.FAILED_PRECONDITION,
    `Event stream '${stream}' is deleted.`,
    trailers("stream-deleted", { "stream-name": stream }),
  );

export const wrongVersionOnDelete = (
  stream: string,
  expected: bigint,
  actual: bigint | undefined,
): Failure =>
  new Failure(
    status.FAILED_PRECONDITION,
    "Delete failed due to WrongExpectedVersion.",
    trailers("wrong-expected-version", {
      "stream-name": stream,
      "expected-version": String(expected),
      "actual-version": String(actual ?? -1n),
    }),
  );

export const appendTooLarge = (bytesMax: number): Failure =>
  new Failure(
    status.INVALID_ARGUMENT,
    `Maximum Append Size of ${bytesMax} Exceeded.`,
    trailers("maximum-append-size-exceeded", { "maximum-append-size": String(bytesMax) }),
  );

export const eventTooLarge = (id: string, bytes: number, bytesMax: number): Failure =>
  new Failure(
    status.INVALID_ARGUMENT,
    `Event with Id: ${id}, Size: ${bytes}, exceeds Maximum Append Event Size of ${bytesMax}.`,
    trailers("maximum-append-event-size-exceeded", {
      "event-id": id,
      "proposed-append-event-size": String(bytes),
      "maximum-append-event-size": String(bytesMax),
    }),
  );

export const missingProperty = (name: string): Failure =>
  new Failure(
    status.INVALID_ARGUMENT,
    `Required Metadata Property '${name}' is missing`,
    trailers("missing-required-metadata-property", {
      "required-metadata-properties": "type,content-type",
    }),
  );

export const invalidArgument = (details: string): Failure =>
  new Failure(status.INVALID_ARGUMENT, details);

export const plain = {
  unavailable: () => new Failure(status.UNAVAILABLE, "Server Is Too Busy"),
  cancelled: () => new Failure(status.CANCELLED, "Operation Cancelled"),
  unknown: () => new Failure(status.UNKNOWN, "Unexpected OperationResult"),
  internal: () => new Failure(status.INTERNAL, "Internal"),
  timeout: () => new Failure(status.ABORTED, "Operation timed out: Commit phase timeout."),
};
