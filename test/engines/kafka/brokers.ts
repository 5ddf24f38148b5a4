import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rename, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type Admin, Kafka, logLevel } from "kafkajs";
import { type FaultyWire, openFaultyWire } from "./faulty-wire.ts";

const exec = promisify(execFile);
const POM = fileURLToPath(new URL("pom.xml", import.meta.url));
/** Fetched once, kept between runs, never committed. */
const RUN = fileURLToPath(new URL("run", import.meta.url));

/** Small heaps and the quick compiler: three brokers share two cores and some 450 MB. */
const JVM = ["-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
const WITHIN_MS = 60_000;

/** This machine has no Maven or no Java, or the jars cannot be fetched. */
export class EngineMissing extends Error {}

/** Brokers of a real Apache Kafka, each a process of ours that can be killed. */
export interface Brokers extends AsyncDisposable {
  readonly bootstrap: readonly string[];
  /** As the jar names itself: `Apache Kafka 4.1.1`. */
  readonly release: string;
  readonly control: BrokerControl;
}

/** Brokers are counted from 1, as Kafka does. */
export interface BrokerControl {
  readonly nodes: readonly number[];
  /** SIGKILL. Resolves when the process is gone. */
  kill(node: number): Promise<void>;
  /** Starts a killed one anew on its data. Resolves when it answers. */
  restart(node: number): Promise<void>;
  /** Stops it in its tracks, sockets open: what a hanging disk or a long collection looks like from outside. */
  freeze(node: number): void;
  thaw(node: number): void;
  /** What clients see of the network to a broker; the brokers talk to each other past it. */
  wire(node: number): FaultyWire;
  leaderOf(topic: string, partition: number): Promise<number>;
  /** Thaws the frozen and restarts the killed. */
  restore(): Promise<void>;
  /** Resolves when every broker is a member, and every partition of the topic has all its replicas in sync. */
  healed(topic: string): Promise<void>;
}

/**
 * Starts a KRaft cluster on free loopback ports, each broker a controller too. Ready means: a metadata request succeeds
 * and names every broker.
 * @throws {EngineMissing}
 */
export async function startBrokers({ brokers: count }: { brokers: number }): Promise<Brokers> {
  const { classPath, release } = await fetchJars();
  const directory = await mkdtemp(join(tmpdir(), "keyledger-kafka-"));
  const nodes = Array.from({ length: count }, (_, index) => index + 1);
  const ports = await freePorts(count * 3);
  const wires = await Promise.all(nodes.map((node) => openFaultyWire(ports[node - 1] ?? 0)));
  const bootstrap = wires.map(({ port }) => `127.0.0.1:${port}`);
  const clusterId = randomBytes(16).toString("base64url").replace(/^-/, "A");
  const running = new Map<number, ChildProcess>();
  const fileOf = (node: number, name: string) => join(directory, `n${node}`, name);
  const java = (...args: string[]) => [...JVM, "-cp", classPath, ...args];

  async function format(node: number): Promise<void> {
    mkdirSync(join(directory, `n${node}`));
    const file = fileOf(node, "server.properties");
    writeFileSync(file, properties({ node, nodes, ports, bootstrap, data: fileOf(node, "data") }));
    await exec("java", java("kafka.tools.StorageTool", "format", "-t", clusterId, "-c", file));
  }

  function start(node: number): void {
    const log = openSync(fileOf(node, "broker.log"), "a");
    const child = spawn("java", java("kafka.Kafka", fileOf(node, "server.properties")), {
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    running.set(node, child);
  }

  async function kill(node: number): Promise<void> {
    const child = running.get(node);
    running.delete(node);
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once("exit", resolve));
    child.kill("SIGKILL");
    await gone;
  }

  // A test run that is cut short must leave no broker behind.
  const killAll = () => running.forEach((child) => void child.kill("SIGKILL"));
  process.once("exit", killAll);
  const stop = async () => {
    await Promise.all(nodes.map(kill));
    await Promise.all(wires.map((wire) => wire[Symbol.asyncDispose]()));
    process.removeListener("exit", killAll);
    await rm(directory, { recursive: true, force: true });
  };

  const asked = async <T>(question: (admin: Admin) => Promise<T>, node?: number): Promise<T> => {
    const admin = new Kafka({
      brokers: node === undefined ? bootstrap : [bootstrap[node - 1] ?? ""],
      clientId: "keyledger-test-control",
      logLevel: logLevel.NOTHING,
      retry: { retries: 2, initialRetryTime: 50 },
    }).admin();
    try {
      await admin.connect();
      return await question(admin);
    } finally {
      await admin.disconnect();
    }
  };
  /** Asks again and again until the answer is yes; a failure is a no. */
  const until = async (question: (admin: Admin) => Promise<boolean>, node?: number) => {
    const deadline = performance.now() + WITHIN_MS;
    while (!(await asked(question, node).catch(() => false))) {
      const gone = [...running].find(([, { exitCode }]) => exitCode !== null)?.[0];
      if (gone !== undefined || performance.now() > deadline) {
        const log = readFileSync(fileOf(gone ?? node ?? 1, "broker.log"), "utf8").slice(-4_000);
        throw new Error(`the brokers are not ready within ${WITHIN_MS} ms:\n${log}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  };
  const isComplete = async (admin: Admin) =>
    (await admin.describeCluster()).brokers.length === count;

  const thaw = (node: number) => void running.get(node)?.kill("SIGCONT");
  const restart = (node: number) => {
    start(node);
    return until(async (admin) => (await admin.describeCluster()).brokers.length > 0, node);
  };

  try {
    await Promise.all(nodes.map(format));
    nodes.forEach(start);
    await until(isComplete);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    bootstrap,
    release,
    control: {
      nodes,
      kill,
      restart,
      freeze: (node) => void running.get(node)?.kill("SIGSTOP"),
      thaw,
      restore: async () => {
        nodes.forEach(thaw);
        await Promise.all(nodes.filter((node) => !running.has(node)).map(restart));
        await until(isComplete);
      },
      wire: (node) => {
        const wire = wires[node - 1];
        if (!wire) throw new Error(`there is no broker ${node}`);
        return wire;
      },
      leaderOf: (topic, partition) =>
        asked(async (admin) => {
          const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
          const found = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition);
          if (!found) throw new Error(`${topic} has no partition ${partition}`);
          return found.leader;
        }),
      healed: (topic) =>
        until(async (admin) => {
          if (!(await isComplete(admin))) return false;
          const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
          return topics.every(({ partitions }) =>
            partitions.every(
              ({ replicas, isr, leader }) => leader > 0 && isr.length === replicas.length,
            ),
          );
        }),
    },
    [Symbol.asyncDispose]: stop,
  };
}

/** The jars, by Maven, unless an earlier run left them. Also where two runs fetch at once, each sees all or none. */
async function fetchJars(): Promise<{ classPath: string; release: string }> {
  const pom = readFileSync(POM, "utf8");
  const version = /<artifactId>kafka_2\.13<\/artifactId>\s*<version>([^<]+)/.exec(pom)?.[1] ?? "";
  const libs = join(RUN, `libs-${version}`);
  for (const [command, argument] of [
    ["java", "-version"],
    ...(existsSync(libs) ? [] : [["mvn", "-v"]]),
  ]) {
    await exec(command ?? "", [argument ?? ""]).catch(() => {
      throw new EngineMissing(`${command} does not run on this machine`);
    });
  }
  if (!existsSync(libs)) {
    mkdirSync(RUN, { recursive: true });
    const fetched = await mkdtemp(join(RUN, "fetching-"));
    const copy = ["dependency:copy-dependencies", `-DoutputDirectory=${fetched}`];
    await exec("mvn", ["-q", "-B", "-f", POM, ...copy], { timeout: 300_000 }).catch((error) => {
      throw new EngineMissing(
        `Maven cannot fetch Apache Kafka: ${String(error.stdout).slice(0, 500)}`,
      );
    });
    await rename(fetched, libs).catch(() => rm(fetched, { recursive: true }));
  }
  return { classPath: join(libs, "*"), release: `Apache Kafka ${version}` };
}

async function freePorts(count: number): Promise<readonly number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(
    servers.map((server) => new Promise((resolve) => server.once("listening", resolve))),
  );
  return Promise.all(
    servers.map((server) => {
      const address = server.address();
      const port = typeof address === "object" && address ? address.port : 0;
      return new Promise<number>((resolve) => server.close(() => resolve(port)));
    }),
  );
}

/** Short sessions, so that a killed leader is missed within two seconds instead of nine. */
function properties({
  node,
  nodes,
  ports,
  bootstrap,
  data,
}: {
  node: number;
  nodes: readonly number[];
  ports: readonly number[];
  bootstrap: readonly string[];
  data: string;
}): string {
  const port = (id: number, use: number) => ports[nodes.length * use + id - 1];
  const replicas = Math.min(3, nodes.length);
  const inSync = Math.min(2, nodes.length);
  return Object.entries({
    "process.roles": "broker,controller",
    "node.id": node,
    listeners: `CLIENT://127.0.0.1:${port(node, 0)},BROKER://127.0.0.1:${port(node, 1)},CONTROLLER://127.0.0.1:${port(node, 2)}`,
    "advertised.listeners": `CLIENT://${bootstrap[node - 1]},BROKER://127.0.0.1:${port(node, 1)}`,
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "BROKER",
    "listener.security.protocol.map": "CLIENT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "controller.quorum.voters": nodes.map((id) => `${id}@127.0.0.1:${port(id, 2)}`).join(),
    "log.dirs": data,
    "offsets.topic.replication.factor": replicas,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": inSync,
    "transaction.state.log.num.partitions": 4,
    "min.insync.replicas": inSync,
    "auto.create.topics.enable": false,
    "group.initial.rebalance.delay.ms": 0,
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 300,
    "controller.quorum.election.timeout.ms": 500,
    "controller.quorum.fetch.timeout.ms": 1000,
  })
    .map(([name, value]) => `${name}=${value}\n`)
    .join("");
}
