import type { JWTPayload } from "jose";

/** Which claim says what. Each names a claim, or with dots the way into one: see `claimAt`. */
export interface ClaimNames {
  readonly subject: string;
  readonly team: string;
  readonly teamRole: string;
  /** Default `team_status`. */
  readonly teamStatus?: string;
  readonly organization: string;
  readonly organizationRole: string;
  /** Default `organization_status`. */
  readonly organizationStatus?: string;
  readonly features: string;
  /** Of service, auditor or operator; `undefined` = no token can be one. */
  readonly role: string | undefined;
}

export const DEFAULT_CLAIM_NAMES: ClaimNames = {
  subject: "sub",
  team: "team",
  teamRole: "team_role",
  organization: "organization",
  organizationRole: "organization_role",
  features: "features",
  role: undefined,
};

export type TeamRole = "admin" | "member" | "viewer";
export type PrivilegedRole = "service" | "auditor" | "operator";

/**
 * Who a token speaks of, in the issuer's own words: ids are claims, not yet ids of owners or actors. A privileged role
 * goes before all else. Then the team, as in Neo: for its members the team's keyring is the only one, even for an admin
 * of the organization who is no more than a viewer of the team. Then the organization. Anybody else is a user.
 */
export interface Identity {
  readonly subject: string;
  readonly team?: { readonly id: string; readonly role: TeamRole };
  /** Only of its admins: for others it opens nothing. */
  readonly organization?: { readonly id: string; readonly role: "admin" };
  /** `byok: false` takes the feature away. Nothing here can give it. */
  readonly features: { readonly byok?: false };
  readonly privileged?: PrivilegedRole;
}

/**
 * Reads verified claims. What is not understood never gives more: an unknown role is the least one, and where the subject
 * or the id of a team or organization cannot be read, there is no identity at all.
 */
export function identityFrom(payload: JWTPayload, names: ClaimNames): Identity | undefined {
  const claim = (name: string | undefined): unknown =>
    name === undefined ? undefined : claimAt(payload, name);
  const { teamStatus = "team_status", organizationStatus = "organization_status" } = names;

  const subject = idFrom(claim(names.subject));
  const team = membershipFrom(claim(names.team), claim(names.teamRole), claim(teamStatus));
  const organization = membershipFrom(
    claim(names.organization),
    claim(names.organizationRole),
    claim(organizationStatus),
  );
  if (!subject || team === undefined || organization === undefined) return undefined;

  const privileged = privilegedFrom(claim(names.role));
  return {
    subject,
    ...(team && { team: { id: team.id, role: teamRoleFrom(team.role) } }),
    ...(organization?.role === "admin" && {
      organization: { id: organization.id, role: "admin" },
    }),
    features: takesByokAway(claim(names.features)) ? { byok: false } : {},
    ...(privileged && { privileged }),
  };
}

/**
 * The claim of exactly this name, else the way into one: of `https://x.example/claims.team` the longest beginning that
 * names a claim, then the rest inside it. A name found is not given up for a shorter one.
 */
function claimAt(claims: unknown, name: string): unknown {
  if (!isRecord(claims)) return undefined;
  for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) {
    const beginning = name.slice(0, end);
    // Own members only, or `constructor` would name a claim of every token.
    if (!Object.hasOwn(claims, beginning)) continue;
    const found = claims[beginning];
    return end === name.length ? found : claimAt(found, name.slice(end + 1));
  }
  return undefined;
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The bound of OpenID Connect for a subject; ids of teams are no longer. */
const ID_LENGTH_MAX = 255;

/** A text or a whole number as an id. @returns empty where the claim names nobody, `undefined` where it cannot be read. */
function idFrom(value: unknown): string | undefined {
  if (value === undefined || value === null) return "";
  if (typeof value === "number") return Number.isSafeInteger(value) ? String(value) : undefined;
  if (typeof value !== "string" || value.length > ID_LENGTH_MAX) return undefined;
  // All lone surrogates are the same bytes in UTF-8: two such ids would become one owner.
  return value.isWellFormed() ? value : undefined;
}

/** @returns `null` where there is no membership, `undefined` where it cannot be read. A role of `undefined` is the least. */
function membershipFrom(
  id: unknown,
  role: unknown,
  status: unknown,
): { readonly id: string; readonly role: unknown } | null | undefined {
  const known = idFrom(id);
  if (known === undefined) return undefined;
  // An invitation makes nobody a member.
  if (known === "" || status === "pending") return null;
  const isActive = status === undefined || status === null || status === "active";
  return { id: known, role: isActive ? role : undefined };
}

const teamRoleFrom = (role: unknown): TeamRole =>
  role === "admin" || role === "member" ? role : "viewer";

const PRIVILEGED: readonly PrivilegedRole[] = ["service", "auditor", "operator"];

/** One text, or a list that holds one of the three. With two of them a token has neither: no role is part of another. */
function privilegedFrom(value: unknown): PrivilegedRole | undefined {
  const named = PRIVILEGED.filter((role) =>
    Array.isArray(value) ? value.includes(role) : value === role,
  );
  return named.length === 1 ? named[0] : undefined;
}

/**
 * A list names the features somebody has; a map says for each true or false, or how many. No claim, or a map without
 * `byok`, says nothing; whatever else is not plainly a yes is a no.
 */
function takesByokAway(features: unknown): boolean {
  if (features === undefined || features === null) return false;
  if (Array.isArray(features)) return !features.includes("byok");
  if (!isRecord(features)) return true;
  if (!Object.hasOwn(features, "byok")) return false;
  const { byok } = features;
  return byok !== true && !(typeof byok === "number" && byok > 0);
}
