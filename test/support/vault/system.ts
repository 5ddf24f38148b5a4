import {
  type Answer,
  answered,
  notFound,
  nothing,
  Refusal,
  unsupportedOperation,
  unsupportedPath,
} from "./answer.ts";
import type { Backend, Operation } from "./backend.ts";
import { flagOf, integerOf, namesOf, recordOf, textOf } from "./body.ts";
import type { Mounts, MountType } from "./mounts.ts";
import type { Policies } from "./policies.ts";
import type { Seal } from "./seal.ts";
import { unixSeconds, type VaultClock } from "./vault-time.ts";

/** Said in `sys/health`, so that no run can take the stand-in for a real engine. */
export const STAND_IN_VERSION = "0.0.0-stand-in";

interface Parts {
  readonly seal: Seal;
  readonly policies: Policies;
  readonly mounts: Mounts;
  readonly clock: VaultClock;
}

/** `sys/`: health, seal, mounts, policies. */
export function createSystem(parts: Parts): Backend {
  const { seal } = parts;
  return {
    isOpen: (path) => seal.isOpen(`sys/${path}`),
    handle: (operation) => {
      const { path, kind, body, token } = operation;
      const [head = "", ...rest] = path.split("/");
      const name = rest.join("/");
      if (path === "health" && kind === "read") return health(parts, operation);
      if (path === "seal-status" && kind === "read") return { status: 200, body: status(seal) };
      if (path === "seal" && kind === "write") {
        seal.close();
        return nothing;
      }
      if (path === "unseal" && kind === "write") {
        seal.openWith(textOf(body, "key"));
        return { status: 200, body: status(seal) };
      }
      if (path === "capabilities-self" && kind === "write") {
        const acl = parts.policies.aclOf(token?.policies ?? []);
        const paths = [...namesOf(body, "paths"), ...namesOf(body, "path")];
        return doubled(Object.fromEntries(paths.map((p) => [p, acl.capabilities(p)])));
      }
      if (head === "mounts") return mountPaths(parts.mounts, "", name, operation);
      if (head === "auth") return mountPaths(parts.mounts, "auth/", name, operation);
      if (path.startsWith("policies/acl")) {
        return policyPaths(parts.policies, path.slice("policies/acl/".length), operation);
      }
      throw unsupportedPath();
    },
  };
}

/** Some answers of the system show their data twice: in `data` and beside it. */
function doubled(data: Readonly<Record<string, unknown>>): Answer {
  const answer = answered({ data });
  return { ...answer, body: { ...data, ...recordOf(answer.body) } };
}

function health({ seal, clock }: Parts, { body }: Operation): Answer {
  const code = seal.sealed
    ? (integerOf(body, "sealedcode") ?? 503)
    : seal.standby && flagOf(body, "standbyok") !== true
      ? (integerOf(body, "standbycode") ?? 429)
      : (integerOf(body, "activecode") ?? 200);
  const mode = (open: string): string => (seal.sealed ? "unknown" : open);
  return {
    status: code,
    body: {
      initialized: true,
      sealed: seal.sealed,
      standby: seal.standby,
      replication_performance_mode: mode("primary"),
      replication_dr_mode: mode("disabled"),
      server_time_utc: unixSeconds(clock.nowMs()),
      version: STAND_IN_VERSION,
      ...(seal.sealed ? {} : CLUSTER),
    },
  };
}

const CLUSTER = {
  cluster_name: "stand-in",
  cluster_id: "00000000-0000-4000-8000-000000000000",
};

const status = ({ sealed }: Seal): object => ({
  type: "shamir",
  initialized: true,
  sealed,
  t: 1,
  n: 1,
  progress: 0,
  nonce: "",
  recovery_seal: false,
  version: STAND_IN_VERSION,
  commit_date: "",
  migration: false,
  ...(sealed ? {} : CLUSTER),
  storage_type: "stand-in",
});

const SECRETS: Readonly<Record<string, MountType>> = {
  transit: "transit",
  kv: "kv",
  "kv-v2": "kv",
};
const LOGINS: Readonly<Record<string, MountType>> = {
  approle: "approle",
  kubernetes: "kubernetes",
};

/** `sys/mounts` and `sys/auth`. */
function mountPaths(mounts: Mounts, under: string, name: string, operation: Operation): Answer {
  const { kind, body } = operation;
  const path = `${under}${name.replace(/\/$/, "")}/`;
  if (kind === "read" && name === "") {
    const listed = Object.entries(mounts.list())
      .filter(([mount]) => mount.startsWith("auth/") === (under !== ""))
      .map(([mount, type]) => [mount.slice(under.length), { type, options: optionsOf(type) }]);
    return doubled(Object.fromEntries(listed));
  }
  if (kind === "delete") {
    mounts.disable(path);
    return nothing;
  }
  if (kind !== "write" || name === "") throw unsupportedOperation();
  const wanted = textOf(body, "type");
  const type = (under === "" ? SECRETS : LOGINS)[wanted];
  if (type === undefined) throw new Refusal(400, `plugin not found in the catalog: ${wanted}`);
  const version = textOf(recordOf(body.options) ?? {}, "version", wanted === "kv-v2" ? "2" : "1");
  if (type === "kv" && version !== "2")
    throw new Refusal(400, "the stand-in has KV version 2 only");
  mounts.enable(path, type);
  return nothing;
}

const optionsOf = (type: MountType): object | null => (type === "kv" ? { version: "2" } : null);

/** `sys/policies/acl`. */
function policyPaths(policies: Policies, name: string, { kind, body }: Operation): Answer {
  if (kind === "list" && name === "") return answered({ data: { keys: policies.names() } });
  if (name === "") throw unsupportedOperation();
  if (kind === "read") {
    const policy = policies.read(name);
    if (policy === undefined) throw notFound();
    return answered({ data: { name, policy } });
  }
  if (kind === "write") {
    policies.put(name, policySource(textOf(body, "policy")));
    return nothing;
  }
  if (kind === "delete") {
    policies.delete(name);
    return nothing;
  }
  throw unsupportedOperation();
}

/** As it stands, or in base64. */
function policySource(text: string): string {
  if (text === "") throw new Refusal(400, "'policy' parameter not supplied or empty");
  const isBase64 = /^(?:[\w+/]{4})*(?:[\w+/]{2}==|[\w+/]{3}=)?$/.test(text);
  return isBase64 ? Buffer.from(text, "base64").toString("utf8") : text;
}
