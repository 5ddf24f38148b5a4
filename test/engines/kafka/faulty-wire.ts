import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/**
 * What a network does to connections: `cut` resets them, `half-closed` ends them from the far side only, `stalled` holds
 * everything back for a while, `silent` for ever, with every socket open.
 */
export type WireFault = "cut" | "half-closed" | "stalled" | "silent";

/** A loopback port that forwards to another one, and can be told to misbehave. */
export interface FaultyWire extends AsyncDisposable {
  readonly port: number;
  /** Of the connections that are open. @returns how many. */
  fault(fault: WireFault, forMs?: number): number;
}

export async function openFaultyWire(target: number): Promise<FaultyWire> {
  const links = new Set<{ near: Socket; far: Socket }>();
  const server = createServer((near) => {
    const link = { near, far: connect(target, "127.0.0.1") };
    links.add(link);
    const end = () => {
      links.delete(link);
      near.destroy();
      link.far.destroy();
    };
    for (const [from, to] of [[near, link.far] as const, [link.far, near] as const]) {
      from.setNoDelay(true).pipe(to);
      from.on("error", end).on("close", end);
    }
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;

  function fault(kind: WireFault, forMs = 0): number {
    for (const { near, far } of links) {
      if (kind === "cut") near.resetAndDestroy();
      else if (kind === "half-closed") near.end();
      else {
        near.unpipe(far).pause();
        far.unpipe(near).pause();
        const goOn = () => {
          near.pipe(far);
          far.pipe(near);
        };
        if (kind === "stalled") setTimeout(goOn, forMs);
      }
    }
    return links.size;
  }

  return {
    port,
    fault,
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const { near } of links) near.destroy();
    },
  };
}
