import type { LookupAddress } from "node:dns";
import { once } from "node:events";
import { isIP, connect as netConnect, type Socket } from "node:net";
import { connect as tlsConnect } from "node:tls";
import type { Host } from "@keyledger/core";
import { type Unanswered, unanswered } from "./question.ts";
import { timeLimit } from "./time-limit.ts";

const CONNECT_MS_MAX = 3000;

/** Where a request goes: the addresses were checked, and no other is connected to, whatever the name says later. */
export interface Destination {
  readonly url: URL;
  readonly addresses: readonly LookupAddress[];
}

/** Begins a TCP connection to one of the addresses. */
export type Connect = (to: {
  readonly hostname: string;
  readonly port: number;
  readonly addresses: readonly LookupAddress[];
}) => Socket;

/** The next address is tried where one does not connect at once. */
export const connectToChecked: Connect = ({ hostname, port, addresses }) =>
  netConnect({
    host: hostname,
    port,
    autoSelectFamily: true,
    lookup: (_name, { all }, done) => {
      const [first] = addresses;
      if (all) done(null, [...addresses]);
      else done(null, first?.address ?? "", first?.family);
    },
  });

/**
 * A connection that is open and, with `https:`, trusted; before that nothing of a request exists. Whoever gets it must
 * destroy it.
 */
export async function openConnection(
  { url, addresses }: Destination,
  connect: Connect,
  host: Pick<Host, "pause">,
  signal: AbortSignal,
): Promise<Socket | Unanswered> {
  using limit = timeLimit(CONNECT_MS_MAX, signal, host);
  if (limit.signal.aborted) return unanswered("timed-out");
  const hostname = hostnameOf(url);
  const isSecure = url.protocol === "https:";
  const port = Number(url.port || (isSecure ? 443 : 80));

  const transport = silent(connect({ hostname, port, addresses }));
  try {
    await once(transport, "connect", limit);
  } catch {
    transport.destroy();
    return unanswered(signal.aborted ? "timed-out" : "unconnected");
  }
  if (!isSecure) return transport;

  const socket = silent(
    tlsConnect({
      socket: transport,
      host: hostname,
      servername: isIP(hostname) === 0 ? hostname : "",
      ALPNProtocols: ["http/1.1"],
      // Said aloud, because an environment variable can turn the default off.
      rejectUnauthorized: true,
    }),
  );
  try {
    await once(socket, "secureConnect", limit);
    return socket;
  } catch {
    socket.destroy();
    transport.destroy();
    if (signal.aborted) return unanswered("timed-out");
    return unanswered(limit.signal.aborted ? "unconnected" : "untrusted");
  }
}

/** The name or address in a URL, an IPv6 one without its brackets. */
export const hostnameOf = (url: URL): string => url.hostname.replace(/^\[|\]$/g, "");

/** An error that comes when nobody waits any more would otherwise end the process. */
function silent<T extends Socket>(socket: T): T {
  socket.on("error", () => {});
  return socket;
}
