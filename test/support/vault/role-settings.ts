import { Refusal } from "./answer.ts";
import { type Body, namesOf, secondsOf } from "./body.ts";

/** What every login method lets a role say about its tokens. */
export interface RoleSettings {
  readonly policies: readonly string[];
  readonly ttlSeconds: number;
  readonly maxTtlSeconds: number;
}

/** The engine's own: 32 days, for both. */
const SYSTEM_TTL_SECONDS = 32 * 86_400;

/** Fields that are absent keep what they were. */
export function roleSettings(body: Body, before: RoleSettings | undefined): RoleSettings {
  const settings = {
    policies: "token_policies" in body ? namesOf(body, "token_policies") : (before?.policies ?? []),
    ttlSeconds: secondsOf(body, "token_ttl") ?? before?.ttlSeconds ?? 0,
    maxTtlSeconds: secondsOf(body, "token_max_ttl") ?? before?.maxTtlSeconds ?? 0,
  };
  if (settings.maxTtlSeconds > 0 && settings.ttlSeconds > settings.maxTtlSeconds) {
    throw new Refusal(400, "token_ttl cannot be greater than token_max_ttl");
  }
  return settings;
}

export const shownSettings = (role: RoleSettings): Readonly<Record<string, unknown>> => ({
  token_policies: role.policies,
  token_ttl: role.ttlSeconds,
  token_max_ttl: role.maxTtlSeconds,
});

/** 0 = as long as the engine allows. */
export function lifeOf({ ttlSeconds, maxTtlSeconds }: RoleSettings): {
  readonly ttlSeconds: number;
  readonly maxTtlSeconds: number;
} {
  const longest = Math.min(maxTtlSeconds || SYSTEM_TTL_SECONDS, SYSTEM_TTL_SECONDS);
  return { maxTtlSeconds: longest, ttlSeconds: Math.min(ttlSeconds || longest, longest) };
}

/** What a token is called after the mount it was logged in through. */
export const displayNameOf = (mount: string): string =>
  mount
    .replace(/^auth\//, "")
    .replace(/\/$/, "")
    .replaceAll("/", "-");
