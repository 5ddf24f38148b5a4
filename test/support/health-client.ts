import { credentials, makeGenericClientConstructor } from "@grpc/grpc-js";

const STATUSES = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"] as const;
export type Health = (typeof STATUSES)[number];

// HealthCheckRequest has one field, the service (1, text), and HealthCheckResponse one, the status (1, enum).
const encode = (service: string): Buffer => {
  const text = Buffer.from(service, "utf8");
  return text.length === 0 ? text : Buffer.concat([Buffer.from([0x0a, text.length]), text]);
};
const decode = (bytes: Buffer): Health => STATUSES[bytes[1] ?? 0] ?? "UNKNOWN";

const method = (name: string, responseStream: boolean) => ({
  path: `/grpc.health.v1.Health/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: encode,
  requestDeserialize: (bytes: Buffer) => bytes.toString("utf8"),
  responseSerialize: (status: Health) => Buffer.from([0x08, STATUSES.indexOf(status)]),
  responseDeserialize: decode,
});

const HealthClient = makeGenericClientConstructor(
  { check: method("Check", false), watch: method("Watch", true) },
  "grpc.health.v1.Health",
);

/** A client of `grpc.health.v1`, as a load balancer has one. */
export function healthClient(address: string) {
  const client = new HealthClient(address, credentials.createInsecure());
  return {
    check: (service: string): Promise<Health> =>
      new Promise((resolve, reject) =>
        client.check?.(service, (error: Error | null, status: Health) =>
          error ? reject(error) : resolve(status),
        ),
      ),
    /** What it was told so far, and whether the stream is over. */
    watch(service: string): { readonly seen: readonly Health[]; readonly isOver: () => boolean } {
      const seen: Health[] = [];
      let isOver = false;
      const stream = client.watch?.(service);
      stream.on("data", (status: Health) => seen.push(status));
      stream.on("end", () => {
        isOver = true;
      });
      stream.on("error", () => {
        isOver = true;
      });
      return { seen, isOver: () => isOver };
    },
    [Symbol.dispose]: () => client.close(),
  };
}
