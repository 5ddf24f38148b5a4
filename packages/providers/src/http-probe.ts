import { lookup as resolveName } from "node:dns/promises";
import {
  type Host,
  type KeyProbe,
  type ProbeReport,
  trimMaterial,
  type Violation,
} from "@keyledger/core";
import { rulesOf } from "./catalogue.ts";
import { connectToChecked } from "./connection.ts";
import { guardedRequest, retryAfterMs, type Target, type Transport } from "./guarded-request.ts";
import type { Ask } from "./probe.ts";
import type { ProbeEndpoints } from "./probe-endpoints.ts";
import { type Answer, type Question, type Unanswered, unanswered } from "./question.ts";
import { timeLimit } from "./time-limit.ts";
import { PROBE_FAULT, type Verdict } from "./verdict.ts";

export interface HttpKeyProbeOptions {
  readonly host: Pick<Host, "clock" | "pause">;
  /** In place of the providers' own hosts; default none. */
  readonly endpoints?: ProbeEndpoints;
  /** Lets `endpoints` lead to this machine, and by plain http to nothing else. */
  readonly allowInsecureLoopback: boolean;
  /** Default: the system's resolver. Rejects with code `ENOTFOUND` where a name does not exist. */
  readonly lookup?: Transport["lookup"];
  /** Default: TCP to the addresses that were looked up and checked. */
  readonly connect?: Transport["connect"];
}

/**
 * Asks providers over HTTPS. A key goes to the fixed host of its provider, or to the endpoint the operator named, and
 * only to addresses that were checked after resolving; a redirect is an answer like any other.
 */
export function httpKeyProbe({
  host,
  endpoints = new Map(),
  allowInsecureLoopback,
  lookup = (hostname) => resolveName(hostname, { all: true }),
  connect = connectToChecked,
}: HttpKeyProbeOptions): KeyProbe {
  const transport: Transport = { host, lookup, connect };

  const targetOf = (provider: string, { url, role }: Question): Target => {
    const own = new URL(url);
    const named = endpoints.get(role === undefined ? provider : `${provider}/${role}`);
    return named === undefined
      ? { url: own, mayBeLocal: false }
      : { url: new URL(named + own.pathname + own.search), mayBeLocal: allowInsecureLoopback };
  };

  return {
    async probe({ provider, material, location, budgetMs, signal }) {
      const rules = rulesOf(provider);
      if (rules?.probe === undefined) return UNPROBED;
      const { probe } = rules;

      using limit = timeLimit(budgetMs, signal, host);
      let last: Answer | Unanswered | undefined;
      const ask: Ask = async (question) => {
        const target = targetOf(provider, question);
        last = await guardedRequest(target, question, transport, limit.signal);
        if (last.kind === "unanswered" && signal.aborted) last = unanswered("cancelled");
        return last;
      };
      try {
        const verdict = await material.use(async (untrimmed) => {
          const bytes = trimMaterial(untrimmed);
          const parsed = rules.parse(bytes, location);
          return "label" in parsed
            ? probe.run({ material: bytes, location: parsed.location }, ask)
            : unusable(parsed);
        });
        return report(verdict, last);
      } catch {
        // A fault of ours, and whatever it says may quote what it choked on.
        return report(PROBE_FAULT);
      }
    },
  };
}

const UNPROBED: ProbeReport = {
  outcome: "unprobed",
  code: "unprobed",
  message: "There is no probe for this provider.",
  retryable: false,
};

const INDETERMINATE: readonly ProbeReport["outcome"][] = [
  "rate-limited",
  "unavailable",
  "unexpected",
];

function report(verdict: Verdict, last?: Answer | Unanswered): ProbeReport {
  const retryable = INDETERMINATE.includes(verdict.outcome);
  const waitMs = retryable && last?.kind === "answer" ? retryAfterMs(last) : undefined;
  return { ...verdict, retryable, ...(waitMs !== undefined && { retryAfterMs: waitMs }) };
}

/** What the catalogue would have refused needs no provider to be wrong. */
const unusable = ([violation]: readonly Violation[]): Verdict =>
  violation?.field === "location"
    ? {
        outcome: "misconfigured",
        code: "location_unusable",
        message: `The location ${violation.description}.`,
      }
    : {
        outcome: "misconfigured",
        code: "credential_unusable",
        message: `The key ${violation?.description}.`,
      };
