import {
  type KeyledgerProcess,
  startKeyledger,
  temporaryDirectory,
} from "../support/keyledger-process.ts";
import { type Child, startChild } from "./child.ts";
import { type Load, openLoad } from "./load.ts";
import { type Pinning, pin } from "./machine.ts";

/** What figures over the wire have in common: the measured process, and whoever makes load. */
export interface BenchServers extends AsyncDisposable {
  readonly keyledger: KeyledgerProcess;
  readonly load: Load;
  readonly where: Pinning | undefined;
}

export async function startServers(where: Pinning | undefined): Promise<BenchServers> {
  await using opened = new AsyncDisposableStack();
  const directory = opened.use(await temporaryDirectory());
  const keyledger = opened.use(await startKeyledger(directory.path));
  pin(keyledger.pid, where?.server);
  const load = opened.use(openLoad(where));
  const owned = opened.move();
  return { keyledger, load, where, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** An echo server that answers as it is told, and where it listens. */
export async function startEcho<Told>(
  name: "echo-grpc" | "echo-http",
  told: Told,
  where: Pinning | undefined,
): Promise<{ readonly name: string; readonly pid: number; readonly address: string } & Disposable> {
  const child: Child<Told, { port: number }> = startChild(name, where?.server);
  try {
    const { port } = await child.ask(told, 10_000);
    return {
      name: name === "echo-grpc" ? "grpc-js echo" : "Fastify echo",
      pid: child.pid,
      address: `127.0.0.1:${port}`,
      [Symbol.dispose]: () => child[Symbol.dispose](),
    };
  } catch (error) {
    child[Symbol.dispose]();
    throw error;
  }
}
