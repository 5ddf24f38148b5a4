import type { Metadata } from "@grpc/grpc-js";
import {
  accessDenied,
  type Failure,
  noLeader,
  notLeader,
  notReady,
  plain,
  wrongCredentials,
} from "./failures.ts";
import type { FaultEffect, Faults } from "./faults.ts";
import type { KurrentStore } from "./store.ts";
import type { LiveSubscription } from "./subscription.ts";

export interface Address {
  readonly host: string;
  readonly port: number;
}

export interface Limits {
  readonly appendBytesMax: number;
  readonly eventBytesMax: number;
}

/** What the handlers of one node know of it. */
export interface NodeContext {
  readonly store: KurrentStore;
  readonly faults: Faults;
  readonly limits: Limits;
  /** Passwords by user; `undefined` on an insecure node, which looks at no credentials. */
  readonly users: ReadonlyMap<string, string> | undefined;
  readonly subscriptions: Set<LiveSubscription>;
  readonly now: () => number;
  isLeader(): boolean;
  /** `undefined` while one is being elected. */
  leader(): Address | undefined;
}

/** Why a node does not take a call, before it looks at what is asked. */
export function refusalOf(context: NodeContext, metadata: Metadata): Failure | undefined {
  const credentials = checkCredentials(context.users, metadata);
  if (credentials === "wrong") return wrongCredentials();
  if (credentials === "none") return accessDenied();
  const leader = context.leader();
  if (String(metadata.get("requires-leader")[0]) === "true" && !context.isLeader()) {
    return leader ? notLeader(leader.host, leader.port) : noLeader();
  }
  return leader ? undefined : notReady();
}

/** `fine` also where nobody asks for any. */
export function checkCredentials(
  users: ReadonlyMap<string, string> | undefined,
  metadata: Metadata,
): "fine" | "wrong" | "none" {
  if (!users) return "fine";
  const header = metadata.get("authorization")[0];
  if (header === undefined) return "none";
  const [, encoded = ""] = /^Basic (\S+)$/i.exec(String(header)) ?? [];
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  const password = users.get(text.slice(0, colon));
  return password !== undefined && password === text.slice(colon + 1) ? "fine" : "wrong";
}

/** The status of an effect that refuses; `undefined` for those that do something else. */
export function failureOf(context: NodeContext, effect: FaultEffect): Failure | undefined {
  switch (effect) {
    case "not-leader": {
      const leader = context.leader();
      return leader ? notLeader(leader.host, leader.port) : noLeader();
    }
    case "unavailable":
    case "cancelled":
    case "unknown":
    case "internal":
    case "timeout":
      return plain[effect]();
    default:
      return undefined;
  }
}
