import type { Host } from "@keyledger/core";
import { type JwtAlgorithm, parseKeySet, type VerifyingKey } from "./jwks-keys.ts";
import { assertTrustworthy, type JwksSource, KeySetUnreadable, readJwks } from "./jwks-source.ts";

/** Why there is no key for a token. */
export type KeyMiss = "no-keys" | "unknown-key" | "ambiguous-key";

/** The verification keys of one issuer, kept fresh in the background. */
export interface Jwks {
  /**
   * The one key that fits a token's header. Without a `kid` that is the only one of its algorithm; several are ambiguous,
   * as OpenID Connect Core 1.0, section 10.1, has it. Never rejects.
   */
  keyFor(header: {
    readonly alg: JwtAlgorithm;
    readonly kid: string | undefined;
  }): Promise<VerifyingKey | KeyMiss>;
}

export interface JwksOptions {
  readonly source: JwksSource;
  readonly host: Pick<Host, "clock" | "pause">;
  /** Hears in a sentence of our own why the keys were not refreshed, or what is wrong with them; again at every attempt. */
  readonly onProblem: (sentence: string) => void;
  /** Ends the background work, as closing does. */
  readonly signal?: AbortSignal;
}

/** Half the time within which a removed key has to be refused. */
const REFRESH_MS = 5 * 60_000;
/** An issuer that is down for less is not noticed by anybody whose key is known. */
const STALE_MS_MAX = 60 * 60_000;
/** Between attempts after a failure, and between fetches that tokens with an unknown key ask for. */
const COOLDOWN_MS = 30_000;
const READ_MS_MAX = 5_000;

/**
 * Resolves after the first attempt to read the keys. An endpoint that does not answer is reported and asked again: an
 * issuer that is down must not keep the service from starting.
 * @throws {KeySetUnreadable} where it is no outage but a mistake: an URL that is never asked, a file without a key set.
 */
export async function openJwks(options: JwksOptions): Promise<Jwks & AsyncDisposable> {
  const { source, signal } = options;
  if (source.kind === "file") await parseKeySet(await readJwks(source));
  else assertTrustworthy(source.url);

  const ended = new AbortController();
  const running = AbortSignal.any([ended.signal, ...(signal ? [signal] : [])]);
  const held = holdKeys(options, running);
  await held.refresh();
  const background = held.refreshInBackground();

  return {
    async keyFor({ alg, kid }) {
      let found = held.find(alg, kid);
      // Twice: an attempt that is under way already may have begun before the key was published.
      for (let round = 0; round < 2 && isMissing(found); round++) {
        await held.refreshOnDemand();
        found = held.find(alg, kid);
      }
      return found;
    },
    async [Symbol.asyncDispose]() {
      ended.abort();
      await Promise.all([background, held.refresh()]);
    },
  };
}

/** The keys last read, and the three occasions to read them anew. At most one attempt is under way. */
function holdKeys({ source, host, onProblem }: JwksOptions, running: AbortSignal) {
  const { clock, pause } = host;
  let keys: readonly VerifyingKey[] = [];
  let keysAtMs = Number.NEGATIVE_INFINITY;
  let attemptAtMs = Number.NEGATIVE_INFINITY;
  let quietUntilMs = Number.NEGATIVE_INFINITY;
  let attempt: Promise<void> | undefined;

  const load = async () => {
    attemptAtMs = clock.monotonicMs();
    try {
      const set = await within(READ_MS_MAX, host, running, async (limit) =>
        parseKeySet(await readJwks(source, limit)),
      );
      keys = set.keys;
      keysAtMs = attemptAtMs;
      if (set.warning !== undefined) onProblem(`the key set ${set.warning}`);
    } catch (error) {
      if (running.aborted) return;
      quietUntilMs = attemptAtMs + COOLDOWN_MS;
      const words = error instanceof KeySetUnreadable ? error.message : "cannot be read";
      onProblem(`the key set ${words}; ${standing(clock.monotonicMs() - keysAtMs)}`);
    }
  };

  const refresh = async () => {
    if (running.aborted) return attempt;
    attempt ??= load().finally(() => {
      attempt = undefined;
    });
    return attempt;
  };

  return {
    refresh,

    find(alg: JwtAlgorithm, kid: string | undefined): VerifyingKey | KeyMiss {
      if (clock.monotonicMs() - keysAtMs > STALE_MS_MAX) return "no-keys";
      const fits = (key: VerifyingKey) => key.alg === alg && (kid === undefined || key.kid === kid);
      const fitting = keys.filter(fits);
      return fitting.length > 1 ? "ambiguous-key" : (fitting[0] ?? "unknown-key");
    },

    /** Junk in tokens makes no traffic: for whatever key is missing, the one fixed request goes out, and that rarely. */
    async refreshOnDemand() {
      const nowMs = clock.monotonicMs();
      if (attempt !== undefined) return attempt;
      if (nowMs < quietUntilMs) return;
      quietUntilMs = nowMs + COOLDOWN_MS;
      return refresh();
    },

    async refreshInBackground() {
      while (!running.aborted) {
        const dueAtMs = Math.max(keysAtMs + REFRESH_MS, attemptAtMs + COOLDOWN_MS);
        const waitMs = dueAtMs - clock.monotonicMs();
        if (waitMs > 0) await pause(waitMs, running);
        else await refresh();
      }
    },
  };
}

const isMissing = (found: VerifyingKey | KeyMiss): boolean =>
  found === "no-keys" || found === "unknown-key";

/** @throws {KeySetUnreadable} when the time is over or the signal aborts, whether or not the task heeds it. */
async function within<T>(
  ms: number,
  { pause }: Pick<Host, "pause">,
  signal: AbortSignal,
  task: (limit: AbortSignal) => Promise<T>,
): Promise<T> {
  const done = new AbortController();
  const late = new AbortController();
  const over = pause(ms, AbortSignal.any([done.signal, signal])).then(() => {
    late.abort();
    throw new KeySetUnreadable(`did not come within ${ms / 1_000} s`);
  });
  try {
    return await Promise.race([task(late.signal), over]);
  } finally {
    done.abort();
  }
}

function standing(ageMs: number): string {
  if (ageMs > STALE_MS_MAX) return "no keys are held and every token is refused";
  const minutes = Math.floor(ageMs / 60_000);
  return `those of ${minutes} min ago stay in use until they are ${STALE_MS_MAX / 60_000} min old`;
}
