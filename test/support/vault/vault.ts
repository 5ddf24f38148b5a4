import { type Answer, denied, noGoodToken, Refusal, refused } from "./answer.ts";
import { createAppRole } from "./approle.ts";
import type { Backend, Operation } from "./backend.ts";
import type { Body } from "./body.ts";
import type { ServiceAccount } from "./control.ts";
import { createKubernetes } from "./kubernetes.ts";
import { createKv } from "./kv.ts";
import { createMounts } from "./mounts.ts";
import { createPolicies, type Policies } from "./policies.ts";
import type { Capability } from "./policy.ts";
import { createSeal, type Seal } from "./seal.ts";
import type { Storage } from "./storage.ts";
import { createSystem } from "./system.ts";
import { createTokenPaths } from "./token-paths.ts";
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
  readonly reviewer: Map<string, ServiceAccount>;
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
  const reviewer = new Map<string, ServiceAccount>();
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
  const route = (path: string): readonly [string, Backend] => {
    const found = fixed.find(([mount]) => path.startsWith(mount)) ?? mounts.find(path);
    if (found !== undefined) return found;
    throw new Refusal(404, `no handler for route "${path}". route entry not found.`);
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
    const token = asked.token === undefined ? undefined : tokens.find(asked.token);
    if (!isOpen(path)) {
      if (token === undefined) throw noGoodToken();
      if (vault.renewalsRefused && path === "auth/token/renew-self") throw denied();
      check(policies, token, neededFor(asked), asked);
    }
    const [mount, backend] = route(path);
    return backend.handle({ kind, path: path.slice(mount.length), body, token, failing });
  };
  const behind = (path: string): readonly [string, Backend] | undefined => {
    const found = fixed.find(([mount]) => path.startsWith(mount)) ?? mounts.find(path);
    return found && [path.slice(found[0].length), found[1]];
  };
  const isOpen = (path: string): boolean => {
    const [rest, backend] = behind(path) ?? [];
    return backend?.isOpen?.(rest ?? "") ?? false;
  };
  const neededFor = ({ kind, path }: Asked): Capability => {
    if (kind !== "write") return kind;
    const [rest, backend] = behind(path) ?? [];
    return backend?.creates?.(rest ?? "") === true ? "create" : "update";
  };
  return vault;
}

/** Paths that change the engine as a whole want `sudo` beside the capability. */
const SUDO_PATHS: ReadonlySet<string> = new Set(["sys/seal"]);

function check(policies: Policies, token: Token, needed: Capability, { path, body }: Asked): void {
  const acl = policies.aclOf(token.policies);
  if (!acl.allows(needed, path, body)) throw denied();
  if (SUDO_PATHS.has(path) && !acl.allows("sudo", path, body)) throw denied();
}
