import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import type { VaultControl } from "./control.ts";

/**
 * The control of a stand-in in another process: `POST /<method>` with its arguments as a JSON list, on the loopback.
 * Whoever reaches the port rules the stand-in, as is fit for tests and nothing else.
 */
export async function serveControl(
  control: VaultControl,
  port: number,
): Promise<{ readonly address: string }> {
  const server = createServer((request, response) => {
    call(control, (request.url ?? "").slice(1), request)
      .then((result) => response.end(JSON.stringify({ result })))
      .catch((fault: unknown) => response.writeHead(500).end(String(fault)));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  const { port: bound } = server.address() as AddressInfo;
  return { address: `http://127.0.0.1:${bound}` };
}

async function call(
  control: VaultControl,
  method: string,
  body: NodeJS.ReadableStream,
): Promise<unknown> {
  const args = JSON.parse(await text(body)) as readonly never[];
  if (!Object.hasOwn(control, method)) throw new Error(`no control ${method}`);
  const named = control as unknown as Record<
    string,
    (...args: readonly never[]) => Promise<unknown>
  >;
  return named[method]?.(...args);
}

/** The other end of {@link serveControl}. */
export function remoteControl(address: string): VaultControl {
  const ask = async <T>(method: string, ...args: readonly unknown[]): Promise<T> => {
    const body = JSON.stringify(args);
    const response = await fetch(`${address}/${method}`, { method: "POST", body });
    if (!response.ok) throw new Error(await response.text());
    const { result } = (await response.json()) as { result: T };
    return result;
  };
  return {
    inject: (rule) => ask("inject", rule),
    clearFaults: () => ask("clearFaults"),
    seal: () => ask("seal"),
    unseal: () => ask("unseal"),
    setStandby: (standby) => ask("setStandby", standby),
    expireTokens: (roles) =>
      roles === undefined ? ask("expireTokens") : ask("expireTokens", roles),
    refuseRenewals: (refuse) => ask("refuseRenewals", refuse),
    advanceClock: (byMs) => ask("advanceClock", byMs),
    acceptServiceAccount: (jwt, account) => ask("acceptServiceAccount", jwt, account),
    swapCertificate: (certificate) => ask("swapCertificate", certificate),
    requests: () => ask("requests"),
  };
}
