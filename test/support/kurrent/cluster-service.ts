import { features, gossip } from "./generated.ts";
import { writeUuid } from "./uuid.ts";

export interface Member {
  readonly id: string;
  readonly host: string;
  readonly port: number;
  readonly state: "leader" | "follower" | "unknown";
  readonly isAlive: boolean;
}

const { VNodeState } = gossip.MemberInfo;

const STATES = {
  leader: VNodeState.LEADER,
  follower: VNodeState.FOLLOWER,
  unknown: VNodeState.UNKNOWN,
} satisfies Record<Member["state"], number>;

/** `Gossip/Read`: who is there, and who leads. */
export function clusterInfo(members: readonly Member[], nowMs: number): gossip.ClusterInfo {
  const infos = members.map(({ id, host, port, state, isAlive }) => {
    const endPoint = new gossip.EndPoint().setAddress(host).setPort(port);
    return new gossip.MemberInfo()
      .setInstanceId(writeUuid(id, true))
      .setTimeStamp(String(nowMs * 10_000))
      .setState(STATES[state])
      .setIsAlive(isAlive)
      .setHttpEndPoint(endPoint);
  });
  return new gossip.ClusterInfo().setMembersList(infos);
}

/** How a server answers the question what it can do: with batch append, without it, or not at all. */
export type Negotiation = "batch-append" | "append" | "none";

const METHODS: readonly [service: string, method: string, features?: readonly string[]][] = [
  ["event_store.client.streams.streams", "append"],
  ["event_store.client.streams.streams", "batchappend"],
  ["event_store.client.streams.streams", "delete"],
  ["event_store.client.streams.streams", "read", ["position", "events"]],
  ["event_store.client.streams.streams", "tombstone"],
  ["event_store.client.gossip.gossip", "read"],
  ["event_store.client.server_features.serverfeatures", "getsupportedmethods"],
];

/** `ServerFeatures/GetSupportedMethods`. */
export function supportedMethods(
  negotiation: Negotiation,
  version: string,
): features.SupportedMethods {
  const methods = METHODS.filter(
    ([, method]) => method !== "batchappend" || negotiation === "batch-append",
  ).map(([service, method, list = []]) =>
    new features.SupportedMethod()
      .setServiceName(service)
      .setMethodName(method)
      .setFeaturesList([...list]),
  );
  return new features.SupportedMethods()
    .setMethodsList(methods)
    .setEventStoreServerVersion(version);
}
