import { type Answer, denied, noGoodToken, Refusal, refused } from "./answer.ts";
import { createAppRole } from "./approle.ts";
import type { Backend, Operation } from "./backend.ts";
import type { Body } from "./body.ts";
import { createKubernetes } from "./kubernetes.ts";
import { createKv } from "./kv.ts";
import { createMounts } from "./mounts.ts";
import { createPolicies, type Policies } from "./policies.ts";
import type { Capability } from "./policy.ts";
import { createSeal, type Seal } from "./seal.ts";
import type { Storage } from "./storage.ts";
import { createSystem } from "./system.ts";
import { createTokenPaths } from "./token-paths.ts";
import { createTokenReview, type TokenReview } from "./token-review.ts";
import { createTokens, type Token, type Tokens } from "./tokens.ts";
import { createTransit } from "./transit.ts";
import type { VaultClock } from "./vault-time.ts";

export interface Asked {
  readonly kind: Operation["kind"];
  /** Behind `/v1/`; that of a list ends in a slash. */
  readonly path: string;
  readonly body: Body;
  readonly token: string | undefined;
  readonly failing: ReadonlySet<number>;
}

/** The engine without its sockets. */
export interface Vault {
  handle(asked: Asked): Answer;
  readonly seal: Seal;
  readonly tokens: Tokens;
  readonly reviewer: TokenReview;
  renewalsRefused: boolean;
}

export function createVault(
  storage: Storage,
  clock: VaultClock,
  keys: { readonly rootToken: string; readonly unsealKey: string },
): Vault {
  const seal = createSeal(keys.unsealKey);
  const policies = createPolicies(storage);
  const tokens = createTokens(storage, clock, keys.rootToken);
  const reviewer = createTokenReview(storage);
  const mounts = createMounts(storage, {
    transit: (mount) => createTransit(storage, clock, mount),
    kv: (mount) => createKv(storage, clock, mount),
    approle: (mount) => createAppRole(storage, clock, tokens, mount),
    kubernetes: (mount) => createKubernetes(storage, clock, tokens, mount, reviewer),
  });
  const fixed: readonly (readonly [string, Backend])[] = [
    ["sys/", createSystem({ seal, policies, mounts, clock })],
    ["auth/token/", createTokenPaths(tokens, clock)],
  ];
  /** The part a path is for, and the path in it. */
  const locate = (path: string): Located | undefined => {
    const found = fixed.find(([mount]) => path.startsWith(mount)) ?? mounts.find(path);
    return found && { backend: found[1], rest: path.slice(found[0].length) };
  };
  const vault: Vault = {
    seal,
    tokens,
    reviewer,
    renewalsRefused: false,
    handle: (asked) => {
      try {
        return carryOut(asked);
      } catch (fault) {
        if (fault instanceof Refusal) return refused(fault);
        throw fault;
      }
    },
  };
  const carryOut = (asked: Asked): Answer => {
    const { kind, path, body, failing } = asked;
    if (seal.sealed && !seal.isOpen(path)) throw new Refusal(503, "Vault is sealed");
    const located = locate(path);
    const token = asked.token === undefined ? undefined : tokens.find(asked.token);
    if (located?.backend.isOpen?.(located.rest) !== true) {
      if (token === undefined) throw noGoodToken();
      if (vault.renewalsRefused && path === "auth/token/renew-self") throw denied();
      check(policies, token, capabilityFor(kind, located), asked);
    }
    if (located === undefined) {
      throw new Refusal(404, `no handler for route "${path}". route entry not found.`);
    }
    return located.backend.handle({ kind, path: located.rest, body, token, failing });
  };
  return vault;
}

interface Located {
  readonly backend: Backend;
  readonly rest: string;
}

/** A write wants `create` where it would make something, else `update`. */
function capabilityFor(kind: Operation["kind"], located: Located | undefined): Capability {
  if (kind !== "write") return kind;
  return located?.backend.creates?.(located.rest) === true ? "create" : "update";
}

/** Paths that change the engine as a whole want `sudo` beside the capability. */
const SUDO_PATHS: ReadonlySet<string> = new Set(["sys/seal"]);

function check(policies: Policies, token: Token, needed: Capability, { path, body }: Asked): void {
  const acl = policies.aclOf(token.policies);
  if (!acl.allows(needed, path, body)) throw denied();
  if (SUDO_PATHS.has(path) && !acl.allows("sudo", path, body)) throw denied();
}
