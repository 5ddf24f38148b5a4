/** What goes wrong. Every kind but `status`, `delay`, `hang` and `reset` happens after the request was carried out. */
export type Fault =
  /** Refused unseen, e.g. 429 or 500. */
  | { readonly kind: "status"; readonly status: number; readonly retryAfterSeconds?: number }
  /** Carried out and answered, only later. */
  | { readonly kind: "delay"; readonly delayMs: number }
  /** Accepted and never answered; the connection stays open. Not carried out. */
  | { readonly kind: "hang" }
  /** The connection is reset. Not carried out. */
  | { readonly kind: "reset" }
  /** Carried out, then the connection is reset: an answer that was lost. */
  | { readonly kind: "lost-answer" }
  /** The first half of the body; its length says so, so only the JSON is short. */
  | { readonly kind: "truncated" }
  /** Well formed, but the answer to an earlier request (or to a read of nothing, where there was none). */
  | { readonly kind: "another-answer" }
  /** The items of a batch at these places fail, the others are carried out. */
  | { readonly kind: "failed-items"; readonly items: readonly number[] };

/** Which requests a fault befalls: those that match everything given. */
export interface FaultRule {
  readonly fault: Fault;
  readonly method?: string;
  /** Source of a regular expression over the path behind `/v1/`, e.g. `^keyledger-transit/decrypt/`. */
  readonly path?: string;
  /** The AppRole or Kubernetes role whose token asks. */
  readonly role?: string;
  /** How many requests; until cleared where absent. */
  readonly times?: number;
}

/** What a request was; never what it carried. */
export interface VaultRequest {
  readonly method: string;
  /** As it was sent, with its query. */
  readonly url: string;
  /** Path behind `/v1/`, without the query. */
  readonly path: string;
  /** Items of a batch; 1 where the request is none. */
  readonly items: number;
  /** Role of the token, `root`, or `null` without a token that is known. */
  readonly role: string | null;
  readonly namespace: string | null;
  /** 0 = never answered. */
  readonly status: number;
  /** Milliseconds of the monotonic clock since the stand-in started. */
  readonly startedAtMs: number;
  /** Other requests that were under way when it came. */
  readonly inFlight: number;
}

/** Service account as a token reviewer would name it. */
export interface ServiceAccount {
  readonly name: string;
  readonly namespace: string;
}

/** Moves the stand-in into the states of a real engine, and out again. The same in-process and over a control port. */
export interface VaultControl {
  /** From now on; the first rule that matches decides. */
  inject(rule: FaultRule): Promise<void>;
  /** Drops every rule. Requests that hang are cut off. */
  clearFaults(): Promise<void>;
  /** 503 to everything but health, seal status and unseal. */
  seal(): Promise<void>;
  unseal(): Promise<void>;
  /** A standby forwards requests, but its health is 429. */
  setStandby(standby: boolean): Promise<void>;
  /** Tokens of these roles (all of them where none is given) are over, once and for ever; the root token stays. */
  expireTokens(roles?: readonly string[]): Promise<void>;
  /** `renew-self` answers 403 while the token itself stays good. */
  refuseRenewals(refuse: boolean): Promise<void>;
  /** Moves the clock that tokens, leases and timestamps go by. */
  advanceClock(byMs: number): Promise<void>;
  /** What the fake token reviewer says of a JWT; `null` = not known. */
  acceptServiceAccount(jwt: string, account: ServiceAccount | null): Promise<void>;
  /** Connections made from now on see the other certificate; those that stand are cut. */
  swapCertificate(certificate: { cert: string; key: string }): Promise<void>;
  /** In the order they came, those under way included; at least the latest 100,000. */
  requests(): Promise<readonly VaultRequest[]>;
}
