import type { SecureContextOptions } from "node:tls";
import { Canceller, Fault, type Host, OutcomeUnknown, StoreUnavailable } from "@keyledger/core";
import type { KafkaMessage } from "./kafka-message.ts";
import { Reader, Sender, type Session, type TopicEntry } from "./kafka-session.ts";
import { wordsFor } from "./kafka-words.ts";

export interface KafkaConnection {
  /** `host:port` of some brokers; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** Shown in the brokers' logs and quotas; the groups that read the checkpoints are called `<clientId>.<uuid>`. */
  readonly clientId: string;
  /** Without it everything is sent in the clear, and there can be no login. Certificates are always verified. */
  readonly tls?: Pick<SecureContextOptions, "ca" | "cert" | "key">;
  readonly sasl?: KafkaLogin;
  readonly host: Host;
}

export type KafkaLogin =
  | Login<"plain">
  // The password itself is never sent.
  | Login<"scram-sha-256">
  | Login<"scram-sha-512">;

interface Login<Mechanism> {
  readonly mechanism: Mechanism;
  readonly username: string;
  readonly password: string;
}

/** What the audit sink needs of Kafka. Every fault is in our own words: the client library's may name anything. */
export interface KafkaClient extends AsyncDisposable {
  /**
   * Resolves when every message is on all replicas in sync. One call at a time.
   * @throws {StoreUnavailable} no broker could be reached: nothing was sent.
   * @throws {OutcomeUnknown} some, all or none of it may be there. Send all of it again.
   */
  send(topic: string, messages: readonly KafkaMessage[]): Promise<void>;
  /** Every record that a topic of one partition holds, oldest first. @throws {StoreUnavailable} */
  readAll(topic: string): Promise<readonly TopicEntry[]>;
}

/** The most that a first broker may take to be connected to. */
const CONNECT_MS = 5_000;
/** The most that a call may take then: metadata, the other brokers, and the request itself. */
const CALL_MS = 25_000;

/** @throws {Fault} where it would have to log in without TLS. */
export function openKafkaClient(connection: KafkaConnection): KafkaClient {
  if (connection.sasl && !connection.tls) {
    throw new Fault("a login to Kafka needs TLS: it would be sent in the clear", {
      retryable: false,
    });
  }
  return new Client(connection);
}

/** How a failure is told, given the words for it. */
type FaultOf = (words: string) => Fault;

const unavailable: FaultOf = (words) => new StoreUnavailable(words, { retryable: true });
const unknown: FaultOf = (words) => new OutcomeUnknown(words);
const closed = () => new StoreUnavailable("the Kafka client is closed", { retryable: false });

class Client implements KafkaClient {
  readonly #connection: KafkaConnection;
  readonly #closed = new Canceller();
  #sessions = 0;
  #sender: Sender | undefined;

  constructor(connection: KafkaConnection) {
    this.#connection = connection;
  }

  async send(topic: string, messages: readonly KafkaMessage[]): Promise<void> {
    // A sender that failed once is not trusted again: it may hold dead connections or metadata of yesterday.
    const kept = this.#sender;
    this.#sender = undefined;
    const sender = kept ?? (await this.#connected(new Sender(this.#next()), topic));
    const done = () => sender.send(topic, messages);
    const { isComplete } = await this.#bounded(sender, topic, done, CALL_MS, unknown);
    if (!isComplete) {
      sender.end();
      throw unknown(`a partition of the Kafka topic ${topic} acknowledged nothing`);
    }
    this.#sender = sender;
  }

  async readAll(topic: string): Promise<readonly TopicEntry[]> {
    const reader = await this.#connected(new Reader(this.#next()), topic);
    const done = () => reader.readAll(topic);
    const entries = await this.#bounded(reader, topic, done, CALL_MS, unavailable);
    reader.end();
    return entries;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.cancel();
    this.#sender?.end();
    this.#sender = undefined;
  }

  /** Each session begins with another broker: the library itself would ask a frozen one again and again. */
  #next(): KafkaConnection {
    const { brokers } = this.#connection;
    const first = this.#sessions++ % brokers.length;
    return {
      ...this.#connection,
      brokers: [...brokers.slice(first), ...brokers.slice(0, first)],
    };
  }

  async #connected<S extends Session>(session: S, topic: string): Promise<S> {
    await this.#bounded(session, topic, () => session.connect(), CONNECT_MS, unavailable);
    return session;
  }

  /** Ends the session for good where the call fails, takes too long, or is not wanted any more. */
  async #bounded<T>(
    session: Session,
    topic: string,
    call: () => Promise<T>,
    withinMs: number,
    faultOf: FaultOf,
  ): Promise<T> {
    const over = new Canceller();
    const end = () => over.cancel();
    this.#closed.addEventListener("abort", end);
    try {
      if (this.#closed.aborted) throw closed();
      const lapse = this.#connection.host.pause(withinMs, over).then(() => {
        throw this.#closed.aborted ? closed() : faultOf(wordsFor(undefined, topic));
      });
      return await Promise.race([call(), lapse]);
    } catch (error) {
      session.end();
      throw error instanceof Fault ? error : faultOf(wordsFor(error, topic));
    } finally {
      this.#closed.removeEventListener("abort", end);
      over.cancel();
    }
  }
}
