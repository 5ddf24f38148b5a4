import { randomUUID } from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { ServerCredentials } from "@grpc/grpc-js";
import type { Member, Negotiation } from "./cluster-service.ts";
import { plain } from "./failures.ts";
import { type Fault, type FaultPoint, Faults } from "./faults.ts";
import { StandInNode } from "./node.ts";
import type { Address, Limits, NodeContext } from "./node-context.ts";
import { KurrentStore } from "./store.ts";
import type { LiveSubscription } from "./subscription.ts";

export interface StandInOptions {
  /** 1 unless given; more form a cluster with one leader. */
  readonly nodes?: number;
  /** Their ports, any free ones unless given. */
  readonly ports?: readonly number[];
  /** Where the log is kept; in memory unless given. */
  readonly file?: string;
  /** PEM. Without it the nodes are insecure and look at no credentials. */
  readonly tls?: { readonly key: string; readonly cert: string; readonly caFile: string };
  /** Users and passwords on nodes with TLS. */
  readonly users?: Readonly<Record<string, string>>;
  readonly negotiation?: Negotiation;
  readonly limits?: Partial<Limits>;
  readonly recentIdsMax?: number;
  /** How long a cluster is without a leader after it lost one, 200 ms unless given. */
  readonly electionMs?: number;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Makes the engine misbehave, and tells what reached it. The same from within the process and from outside. */
export interface KurrentControl {
  fault(fault: Fault): Promise<void>;
  clearFaults(): Promise<void>;
  /** Calls that reached a point so far. */
  reached(point: FaultPoint): Promise<number>;
  /** All open subscriptions go silent for ever, without a word. @returns how many. */
  muteSubscriptions(): Promise<number>;
  /** All open subscriptions end with CANCELLED. @returns how many. */
  dropSubscriptions(): Promise<number>;
  openSubscriptions(): Promise<number>;
  /** Node whose turn it is to lead; -1 during an election. */
  leader(): Promise<number>;
  /** Leadership moves to a node that is alive; the old leader follows. */
  electLeader(node: number): Promise<void>;
  kill(node: number): Promise<void>;
  /** Kills the node that leads; another is elected after a while. @returns which it was. */
  killLeader(): Promise<number>;
  start(node: number): Promise<void>;
  /** Kills all nodes and starts them again on their ports, with everything that was acknowledged. */
  restart(downMs?: number): Promise<void>;
  /** Writes an event that servers write by themselves. */
  writeStatistics(): Promise<void>;
}

export interface KurrentStandIn extends AsyncDisposable {
  readonly connectionString: string;
  readonly nodes: readonly Address[];
  readonly control: KurrentControl;
  /** The log behind it, to look at what really stands there. */
  readonly store: KurrentStore;
}

const HOST = "127.0.0.1";
const LIMITS: Limits = { appendBytesMax: 268_435_456, eventBytesMax: 16_777_216 };

/** A server that speaks KurrentDB's protocol to the official client, on loopback. */
export async function startKurrentStandIn(options: StandInOptions = {}): Promise<KurrentStandIn> {
  const {
    nodes: count = 1,
    electionMs = 200,
    now = Date.now,
    negotiation = "batch-append",
  } = options;
  const { file, recentIdsMax, tls, users = { admin: "changeit" } } = options;
  const store = new KurrentStore({
    now,
    ...(file !== undefined && { file }),
    ...(recentIdsMax !== undefined && { recentIdsMax }),
  });
  const faults = new Faults();
  const subscriptions: Set<LiveSubscription>[] = [];
  const ids = Array.from({ length: count }, () => randomUUID());
  let leader = 0;
  let election: AbortController | undefined;

  const address = (node: number): Address => ({ host: HOST, port: nodes[node]?.port ?? 0 });
  const members = (): readonly Member[] =>
    nodes.map((node, nth) => ({
      id: ids[nth] ?? "",
      ...address(nth),
      state: leader < 0 ? "unknown" : nth === leader ? "leader" : "follower",
      isAlive: node.isAlive,
    }));
  const credentials = () =>
    tls
      ? ServerCredentials.createSsl(null, [
          { private_key: Buffer.from(tls.key), cert_chain: Buffer.from(tls.cert) },
        ])
      : ServerCredentials.createInsecure();

  const nodes = Array.from({ length: count }, (_, nth) => {
    const open = new Set<LiveSubscription>();
    subscriptions.push(open);
    const context: NodeContext = {
      store,
      faults,
      now,
      limits: { ...LIMITS, ...options.limits },
      users: tls ? new Map(Object.entries(users)) : undefined,
      subscriptions: open,
      isLeader: () => nth === leader,
      leader: () => (leader < 0 ? undefined : address(leader)),
    };
    return new StandInNode({
      context,
      credentials: credentials(),
      host: HOST,
      negotiation,
      members,
    });
  });

  /** Whoever is alive takes over after a while, unless somebody was chosen meanwhile. */
  async function elect(): Promise<void> {
    leader = -1;
    election?.abort();
    election = new AbortController();
    const { signal } = election;
    await pause(electionMs, undefined, { signal }).catch(() => {});
    if (!signal.aborted) leader = nodes.findIndex(({ isAlive }) => isAlive);
  }

  function kill(node: number): void {
    nodes[node]?.kill();
    if (node === leader) void elect();
  }

  async function start(node: number): Promise<void> {
    await nodes[node]?.start();
    if (leader < 0 && nodes.filter(({ isAlive }) => isAlive).length === 1) leader = node;
  }

  const open = () => subscriptions.flatMap((set) => [...set]);
  const control: KurrentControl = {
    fault: async (fault) => faults.add(fault),
    clearFaults: async () => faults.clear(),
    reached: async (point) => faults.reached(point),
    async muteSubscriptions() {
      for (const subscription of open()) subscription.mute();
      return open().length;
    },
    async dropSubscriptions() {
      const dropped = open();
      for (const subscription of dropped) subscription.break(plain.cancelled());
      return dropped.length;
    },
    openSubscriptions: async () => open().length,
    leader: async () => leader,
    async electLeader(node) {
      election?.abort();
      leader = node;
    },
    kill: async (node) => kill(node),
    async killLeader() {
      const led = leader;
      kill(led);
      return led;
    },
    start,
    async restart(downMs = 0) {
      for (const node of nodes) node.kill();
      store.forgetRecentIds();
      await pause(downMs);
      for (const node of nodes) await node.start();
    },
    writeStatistics: async () => store.writeStatistics(),
  };

  for (const [nth, node] of nodes.entries()) await node.start(options.ports?.[nth] ?? 0);
  return {
    connectionString: connectionStringOf(
      nodes.map((_, nth) => address(nth)),
      options,
    ),
    nodes: nodes.map((_, nth) => address(nth)),
    control,
    store,
    async [Symbol.asyncDispose]() {
      election?.abort();
      for (const node of nodes) node.kill();
      store[Symbol.dispose]();
    },
  };
}

function connectionStringOf(nodes: readonly Address[], { tls, users }: StandInOptions): string {
  const hosts = nodes.map(({ host, port }) => `${host}:${port}`).join(",");
  if (!tls) return `kurrentdb://${hosts}?tls=false`;
  const [user = "admin", password = "changeit"] = Object.entries(users ?? {})[0] ?? [];
  const credentials = `${encodeURIComponent(user)}:${encodeURIComponent(password)}`;
  return `kurrentdb://${credentials}@${hosts}?tls=true&tlsCAFile=${encodeURIComponent(tls.caFile)}`;
}
