import type { Instant } from "@keyledger/core";
import { type Verdict, verdictOfSilence } from "./verdict.ts";

/** How to find out whether a provider accepts a credential, without spending tokens. */
export interface ProviderProbe {
  /** Further endpoints that are asked beside the main one: what `--probe-endpoint <provider>/<role>` may name. */
  readonly roles: readonly string[];
  /** Asks as often as it must and judges. The credential was parsed before, so its form is right. */
  run(credential: ProbedCredential, ask: Ask): Promise<Verdict>;
}

export interface ProbedCredential {
  /** Trimmed; borrowed until `run` ends. */
  readonly material: Uint8Array;
  /** Normalised; `null` where the provider has none. */
  readonly location: string | null;
}

/** One request, with its second attempt where that may help. Never throws. */
export type Ask = (question: Question) => Promise<Answer | Unanswered>;

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

/** Judges an answer. Pure: the body's reason code first, then the status, because the status alone misleads. */
export type Classify = (answer: Answer) => Verdict;

export interface OneRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default: `authorization: Bearer <key>`. */
  readonly keyHeader?: { readonly name: string; readonly prefix: string };
  /** Default: the body of a 200 is not read. */
  readonly readsSuccess?: boolean;
  readonly classify: Classify;
}

const BEARER = { name: "authorization", prefix: "Bearer " };

/** The probe of a provider that needs one GET and a plain key. */
export const oneRequest = ({
  url,
  headers = {},
  keyHeader = BEARER,
  readsSuccess = false,
  classify,
}: OneRequest): ProviderProbe => ({
  roles: [],
  async run({ material }, ask) {
    const reply = await ask({
      url,
      headers,
      keyHeader: { ...keyHeader, key: material },
      readsSuccess,
    });
    return reply.kind === "answer" ? classify(reply) : verdictOfSilence[reply.because];
  },
});
