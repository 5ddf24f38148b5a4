import { type Acl, createAcl, ROOT_ACL } from "./acl.ts";
import { Refusal } from "./answer.ts";
import { type PathRule, parsePolicy } from "./policy.ts";
import type { Storage } from "./storage.ts";

/** Policies by name, and what a token with some of them may do. */
export interface Policies {
  put(name: string, source: string): void;
  read(name: string): string | undefined;
  delete(name: string): void;
  names(): readonly string[];
  aclOf(names: readonly string[]): Acl;
}

/** What every token may do, whatever else it may: ask about itself, prolong itself, end itself. */
const DEFAULT_POLICY = `
path "auth/token/lookup-self" { capabilities = ["read"] }
path "auth/token/renew-self" { capabilities = ["update"] }
path "auth/token/revoke-self" { capabilities = ["update"] }
path "sys/capabilities-self" { capabilities = ["update"] }
`;

export function createPolicies(storage: Storage): Policies {
  const acls = new Map<string, Acl>();
  const read = (name: string): string | undefined =>
    storage.get<string>(`policy/${name}`) ?? (name === "default" ? DEFAULT_POLICY : undefined);
  return {
    read,
    put: (name, source) => {
      if (name === "root") throw new Refusal(400, 'cannot update "root" policy');
      try {
        parsePolicy(source);
      } catch (fault) {
        throw new Refusal(400, `failed to parse policy: ${String(fault)}`);
      }
      storage.put(`policy/${name}`, source);
      acls.clear();
    },
    delete: (name) => {
      storage.delete(`policy/${name}`);
      acls.clear();
    },
    names: () => [...new Set(["default", ...storage.entries("policy"), "root"])].sort(),
    aclOf: (names) => {
      if (names.includes("root")) return ROOT_ACL;
      const key = names.join("\n");
      const known = acls.get(key);
      if (known !== undefined) return known;
      // A policy that is not there grants nothing.
      const rules = names.flatMap((name): readonly PathRule[] => parsePolicy(read(name) ?? ""));
      const acl = createAcl(rules);
      acls.set(key, acl);
      return acl;
    },
  };
}
