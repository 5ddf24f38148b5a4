import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { KurrentControl } from "./stand-in.ts";

/** `POST /<method>` with a JSON list of arguments does what the control of the same name does. Loopback only. */
export async function serveControl(control: KurrentControl, port: number): Promise<Server> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      call(control, request.url?.slice(1) ?? "", Buffer.concat(chunks).toString("utf8")).then(
        (result) => response.end(JSON.stringify({ result: result ?? null })),
        (error: unknown) => response.writeHead(400).end(JSON.stringify({ error: String(error) })),
      );
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", resolve);
  });
  return server;
}

export const portOf = (server: Server): number => (server.address() as AddressInfo).port;

const METHODS: readonly (keyof KurrentControl)[] = [
  "fault",
  "clearFaults",
  "reached",
  "muteSubscriptions",
  "dropSubscriptions",
  "openSubscriptions",
  "leader",
  "electLeader",
  "kill",
  "killLeader",
  "start",
  "restart",
  "writeStatistics",
];

async function call(control: KurrentControl, name: string, body: string): Promise<unknown> {
  const method = METHODS.find((known) => known === name);
  if (!method) throw new RangeError(`no control ${name}`);
  const args: unknown = JSON.parse(body);
  return Reflect.apply(control[method], control, Array.isArray(args) ? args : []);
}

/** The control of a stand-in in another process. */
export function connectControl(port: number): KurrentControl {
  const remote = async (method: string, args: readonly unknown[]): Promise<unknown> => {
    const response = await fetch(`http://127.0.0.1:${port}/${method}`, {
      method: "POST",
      body: JSON.stringify(args),
    });
    const answer = (await response.json()) as { result?: unknown; error?: string };
    if (answer.error !== undefined) throw new Error(answer.error);
    return answer.result;
  };
  const methods = METHODS.map((name) => [name, (...args: unknown[]) => remote(name, args)]);
  return Object.fromEntries(methods) as KurrentControl;
}
