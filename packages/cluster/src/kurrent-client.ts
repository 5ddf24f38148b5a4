import type { Host } from "@keyledger/core";
import { KurrentDBClient } from "@kurrent/kurrentdb-client";
import { type KurrentAddress, parseKurrentConnectionString } from "./kurrent-connection-string.ts";

/** Something that an operator may want to know; each is dealt with already. */
export interface KurrentIncident {
  readonly kind: "client-renewed" | "resubscribed";
  readonly part: "appends" | "reads" | "subscriptions" | "changes" | "access";
  /** In our own words. */
  readonly because: string;
}

export interface KurrentConnectionOptions {
  /** See `parseKurrentConnectionString`. */
  readonly connectionString: string;
  /** Takes `tls=false`. */
  readonly insecure?: boolean;
  readonly host: Host;
  readonly observe?: (incident: KurrentIncident) => void;
}

/**
 * One connection for each kind of work, so that the trouble of one is not that of the others: an append that hangs takes
 * no follower with it, and reads that stay unavailable after the loss of a leader cost nothing but themselves.
 */
export class KurrentConnection implements AsyncDisposable {
  readonly host: Host;
  readonly appends: RenewableClient;
  readonly subscriptions: RenewableClient;
  /** Reads of all streams go through the client's native half, with a connection of its own. */
  readonly reads: RenewableClient;
  /** For each call of the native half: from the connection string it takes them without decoding them. */
  readonly credentials: KurrentAddress["credentials"];

  /** @throws {RangeError} the connection string is not taken. */
  constructor({ connectionString, insecure = false, host, observe }: KurrentConnectionOptions) {
    const address = parseKurrentConnectionString(connectionString, { insecure });
    const part = (name: KurrentIncident["part"]) =>
      new RenewableClient(address, host, (because) =>
        observe?.({ kind: "client-renewed", part: name, because }),
      );
    this.host = host;
    this.credentials = address.credentials;
    this.appends = part("appends");
    this.subscriptions = part("subscriptions");
    this.reads = part("reads");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.appends.close(), this.subscriptions.close(), this.reads.close()]);
  }
}

/**
 * Renewals follow each other no closer, in milliseconds: what is left of a client keeps its connections, gRPC's until they
 * were idle for half an hour, those of the native half as long as the engine does.
 */
const RENEWAL_PAUSE_FIRST_MS = 250;
const RENEWAL_PAUSE_MAX_MS = 4_000;
/** Without trouble for so long, the pauses begin anew. */
const CALM_MS = 60_000;

/** A client that can be replaced by a new one. */
export class RenewableClient {
  readonly #address: KurrentAddress;
  readonly #host: Host;
  readonly #onRenewed: (because: string) => void;
  #current: KurrentDBClient | undefined;
  #pauseMs = RENEWAL_PAUSE_FIRST_MS;
  #renewedAtMs = Number.NEGATIVE_INFINITY;

  constructor(address: KurrentAddress, host: Host, onRenewed: (because: string) => void) {
    this.#address = address;
    this.#host = host;
    this.#onRenewed = onRenewed;
    this.#current = openClient(address);
  }

  get current(): KurrentDBClient {
    this.#current ??= openClient(this.#address);
    return this.#current;
  }

  /** Nothing happens where `failed` was replaced already, or the last renewal was just now. */
  renew(failed: KurrentDBClient, because: string): void {
    const nowMs = this.#host.clock.monotonicMs();
    const sinceMs = nowMs - this.#renewedAtMs;
    if (failed !== this.#current || sinceMs < this.#pauseMs) return;
    const calm = sinceMs > CALM_MS;
    this.#pauseMs = calm
      ? RENEWAL_PAUSE_FIRST_MS
      : Math.min(this.#pauseMs * 2, RENEWAL_PAUSE_MAX_MS);
    this.#renewedAtMs = nowMs;
    this.#current = undefined;
    // It waits for its streams to end, which nobody needs to wait for with it.
    failed.dispose().catch(() => {});
    this.#onRenewed(because);
  }

  async close(): Promise<void> {
    await this.#current?.dispose();
  }
}

/** An answer to a keep-alive ping takes no longer, in milliseconds. */
const KEEP_ALIVE_TIMEOUT_MS = 10_000;

let clientsOpened = 0;

/**
 * gRPC shares connections between all clients of a process whose settings are the same, so that a new client would get
 * the very connection that the old one was given up for. A millisecond more or less makes it another one.
 */
function openClient({ connectionString }: KurrentAddress): KurrentDBClient {
  clientsOpened = (clientsOpened + 1) % 1_000;
  const own = `keepAliveTimeout=${KEEP_ALIVE_TIMEOUT_MS + clientsOpened}`;
  try {
    return KurrentDBClient.connectionString(`${connectionString}&${own}`);
  } catch {
    // Its own words may hold a part of the connection string.
    throw new RangeError(
      "the KurrentDB client does not take the connection string, or a file it names cannot be read",
    );
  }
}
