import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

/** What a process can be asked at any moment; each is read when somebody scrapes. */
export interface Observed {
  /** Age of the oldest event that the views do not show yet; 0 = caught up. */
  readonly projectionLagSeconds: () => number;
  /** Secret versions that are superseded or deleted and not yet wiped. */
  readonly shredBacklog: () => number;
}

/**
 * Counters and gauges of one process. Labels come from closed sets: no owner, no key id, and nothing a client sends, so
 * neither a person nor an attacker's imagination shows up in them.
 */
export interface Metrics {
  /**
   * One finished call.
   * @param method as given at the start; any other counts as `unknown`
   * @param code name of a gRPC code or three digits of HTTP; any other counts as `unknown`
   */
  requestDone(method: string, code: string, seconds: number): void;
  /** Adds the gauges; until then they do not exist, rather than showing a zero nobody measured. */
  observe(observed: Partial<Observed>): void;
  /** The exposition format of Prometheus, text version 0.0.4. */
  text(): Promise<string>;
  readonly contentType: string;
}

/** @param methods every RPC (`keyledger.v1.KeyringService/ListKeys`) and route (`GET /api/v1/byok/mode`) served */
export function createMetrics(methods: Iterable<string>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  // CPU, memory, file descriptors, delay of the event loop, garbage collection.
  collectDefaultMetrics({ register: registry });

  const requests = new Counter({
    name: "keyledger_requests_total",
    help: "Finished calls by method and code.",
    labelNames: ["method", "code"],
    registers,
  });
  const durations = new Histogram({
    name: "keyledger_request_seconds",
    help: "Time from the arrival of a call to the end of its answer.",
    labelNames: ["method"],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20],
    registers,
  });
  const known = new Set(methods);

  return {
    requestDone(method, code, seconds) {
      const label = known.has(method) ? method : UNKNOWN;
      requests.inc({ method: label, code: CODES.has(code) ? code : UNKNOWN });
      durations.observe({ method: label }, seconds);
    },
    observe({ projectionLagSeconds, shredBacklog }) {
      if (projectionLagSeconds) {
        gauge(
          registry,
          "keyledger_projection_lag_seconds",
          "Age of the oldest event that the views do not show yet.",
          projectionLagSeconds,
        );
      }
      if (shredBacklog) {
        gauge(
          registry,
          "keyledger_shred_backlog",
          "Secret versions that wait to be wiped.",
          shredBacklog,
        );
      }
    },
    text: () => registry.metrics(),
    contentType: registry.contentType,
  };
}

function gauge(registry: Registry, name: string, help: string, read: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(read());
    },
  });
}

const UNKNOWN = "unknown";

/** The codes of gRPC by name (https://grpc.github.io/grpc/core/md_doc_statuscodes.html) and of HTTP by number. */
const CODES: ReadonlySet<string> = new Set([
  ..."OK CANCELLED UNKNOWN INVALID_ARGUMENT DEADLINE_EXCEEDED NOT_FOUND ALREADY_EXISTS PERMISSION_DENIED".split(
    " ",
  ),
  ..."RESOURCE_EXHAUSTED FAILED_PRECONDITION ABORTED OUT_OF_RANGE UNIMPLEMENTED INTERNAL UNAVAILABLE".split(
    " ",
  ),
  ..."DATA_LOSS UNAUTHENTICATED".split(" "),
  ...Array.from({ length: 500 }, (_, index) => String(index + 100)),
]);
