import type { Instant } from "@keyledger/core";

/** One request of a probe, and what became of it. */
export interface Question {
  /** `https:` and a host that is fixed or was checked: nothing of a caller's gets in here unchecked. */
  readonly url: string;
  /** Whose endpoint this is; absent = the main one. */
  readonly role?: string;
  readonly method?: "GET" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  /** The header that carries the key. Its text is made when the request goes out, and nobody keeps it. */
  readonly keyHeader?: { readonly name: string; readonly prefix: string; readonly key: Uint8Array };
  readonly body?: Uint8Array;
  /** Whether the judgement needs the body of a 200: some are large, and most prove nothing more than their status. */
  readonly readsSuccess: boolean;
}

export interface Answer {
  readonly kind: "answer";
  readonly status: number;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  /** At most 64 KiB of an error, 1 MiB of a success; empty where it was not read. */
  readonly body: string;
  /** When it came. */
  readonly at: Instant;
}

export interface Unanswered {
  readonly kind: "unanswered";
  readonly because:
    | "unresolved"
    | "unknown-name"
    | "refused-address"
    | "unconnected"
    | "untrusted"
    | "cut"
    | "malformed"
    | "timed-out"
    | "cancelled";
}

export const unanswered = (because: Unanswered["because"]): Unanswered => ({
  kind: "unanswered",
  because,
});
