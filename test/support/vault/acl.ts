import type { Body } from "./body.ts";
import type { Capability, PathRule } from "./policy.ts";

/** What one token may do: the rules of all its policies. */
export interface Acl {
  /** @param path without a slash in front; that of a list ends in one. */
  allows(capability: Capability, path: string, body: Body): boolean;
  /** As `sys/capabilities-self` shows them; `deny` alone where there is nothing else. */
  capabilities(path: string): readonly string[];
}

interface Grant {
  readonly path: string;
  readonly capabilities: ReadonlySet<Capability>;
  readonly allowedParameters: Readonly<Record<string, readonly unknown[]>> | undefined;
}

/** The root policy. */
export const ROOT_ACL: Acl = { allows: () => true, capabilities: () => ["root"] };

export function createAcl(rules: readonly PathRule[]): Acl {
  const grants = merge(rules);
  const grantFor = (path: string, listing: boolean): Grant | undefined => {
    const bare = listing && path.endsWith("/") ? path.slice(0, -1) : undefined;
    const exact = grants.get(path) ?? (bare === undefined ? undefined : grants.get(bare));
    if (exact !== undefined && !isPattern(exact.path)) return exact;
    return closest(grants, path) ?? (bare === undefined ? undefined : closest(grants, bare));
  };
  return {
    allows: (capability, path, body) => {
      const grant = grantFor(path, capability === "list");
      if (grant === undefined || grant.capabilities.has("deny")) return false;
      return grant.capabilities.has(capability) && allowsFields(grant, capability, body);
    },
    capabilities: (path) => {
      const held = grantFor(path, true)?.capabilities ?? new Set<Capability>();
      const shown = ORDER.filter((capability) => held.has(capability));
      return held.has("deny") || shown.length === 0 ? ["deny"] : shown;
    },
  };
}

const ORDER: readonly Capability[] = [
  "sudo",
  "read",
  "list",
  "update",
  "delete",
  "create",
  "patch",
];

/** The same path in several policies: what any of them grants, unless one denies. */
function merge(rules: readonly PathRule[]): ReadonlyMap<string, Grant> {
  const grants = new Map<string, Grant>();
  for (const { path, capabilities, allowedParameters } of rules) {
    const before = grants.get(path);
    grants.set(path, {
      path,
      capabilities: new Set([...(before?.capabilities ?? []), ...capabilities]),
      allowedParameters:
        before?.allowedParameters === undefined && allowedParameters === undefined
          ? undefined
          : { ...before?.allowedParameters, ...allowedParameters },
    });
  }
  return grants;
}

const isPattern = (path: string): boolean =>
  path.endsWith("*") || path.split("/").some((part) => part === "+");

/** Of the patterns that match, the most specific one alone decides. */
function closest(grants: ReadonlyMap<string, Grant>, path: string): Grant | undefined {
  return [...grants.values()]
    .filter((grant) => isPattern(grant.path) && matches(grant.path, path))
    .sort((one, other) => bySpecificity(one.path, other.path))
    .at(-1);
}

function matches(pattern: string, path: string): boolean {
  const isPrefix = pattern.endsWith("*");
  const wanted = (isPrefix ? pattern.slice(0, -1) : pattern).split("/");
  const parts = path.split("/");
  if (isPrefix ? parts.length < wanted.length : parts.length !== wanted.length) return false;
  return wanted.every((part, at) => {
    const last = isPrefix && at === wanted.length - 1;
    const found = parts[at] ?? "";
    return part === "+" || (last ? found.startsWith(part) : found === part);
  });
}

/** The later the first wildcard the better; then whole paths before prefixes, fewer `+`, the longer path. */
function bySpecificity(one: string, other: string): number {
  const [a, b] = [rank(one), rank(other)];
  return (
    a.firstWildcard - b.firstWildcard ||
    Number(b.isPrefix) - Number(a.isPrefix) ||
    b.segments - a.segments ||
    a.length - b.length
  );
}

const rank = (pattern: string) => ({
  firstWildcard: pattern.search(/(?<=^|\/)\+(?=\/|$)|\*$/),
  isPrefix: pattern.endsWith("*"),
  segments: pattern.split("/").filter((part) => part === "+").length,
  length: pattern.length,
});

function allowsFields(grant: Grant, capability: Capability, body: Body): boolean {
  const allowed = grant.allowedParameters;
  if (allowed === undefined || !["create", "update", "patch"].includes(capability)) return true;
  return Object.entries(body).every(([field, value]) => {
    const values = allowed[field.toLowerCase()] ?? allowed["*"];
    return values !== undefined && (values.length === 0 || values.includes(value));
  });
}
