import { randomUUID } from "node:crypto";
import { nodeHost } from "@keyledger/runtime";
import {
  type KurrentAccessLogOptions,
  openKurrentAccessLog,
} from "../../packages/cluster/src/kurrent-access-log.ts";
import {
  type KurrentEventLogOptions,
  openKurrentEventLog,
} from "../../packages/cluster/src/kurrent-event-log.ts";

export const host = nodeHost();

export interface Engine {
  readonly connectionString: string;
  readonly insecure: boolean;
}

/** Names of their own keep stores apart, so that they can share one engine, which need not be empty. */
const newNamespace = () => `t${randomUUID().replaceAll("-", "").slice(0, 20)}`;

/** One event log in an engine: whoever opens it anew finds what was written. */
export function newEventLogStore(engine: Engine, settings: Partial<KurrentEventLogOptions> = {}) {
  const deploymentId = host.random.uuid();
  const namespace = newNamespace();
  return {
    deploymentId,
    namespace,
    open: (changes: Partial<KurrentEventLogOptions> = {}) =>
      openKurrentEventLog({ ...engine, deploymentId, namespace, host, ...settings, ...changes }),
    [Symbol.asyncDispose]: async () => {},
  };
}

/** One access log in an engine. */
export function newAccessLogStore(engine: Engine, settings: Partial<KurrentAccessLogOptions> = {}) {
  const deploymentId = host.random.uuid();
  const nodeId = host.random.uuid();
  const namespace = newNamespace();
  const own = { deploymentId, nodeId, namespace, host };
  return {
    deploymentId,
    namespace,
    nodeId,
    open: (changes: Partial<KurrentAccessLogOptions> = {}) =>
      openKurrentAccessLog({ ...engine, ...own, ...settings, ...changes }),
    [Symbol.asyncDispose]: async () => {},
  };
}
