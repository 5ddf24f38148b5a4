import type { Answer, Question, Unanswered } from "./question.ts";
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
