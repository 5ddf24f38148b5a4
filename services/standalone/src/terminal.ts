import { Fault } from "@keyledger/core";

/** Where people may be watching. */
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/** One line that is written over and over while something long goes on; nothing where nobody watches. */
export function progressLine(terminal: Terminal): { show(text: string): void; end(): void } {
  if (!terminal.isTTY) return { show: () => {}, end: () => {} };
  let isShown = false;
  return {
    show(text) {
      isShown = true;
      terminal.write(`\r\u001b[K${text}`);
    },
    end() {
      if (isShown) terminal.write("\r\u001b[K");
      isShown = false;
    },
  };
}

/** Why a start failed, for people: our own words, or the system's code for what it refused. */
export function explain(error: unknown): string {
  if (error instanceof Fault) return error.message;
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  const address = error instanceof Error && "address" in error ? error.address : undefined;
  const port = error instanceof Error && "port" in error ? error.port : undefined;
  if (code === "EADDRINUSE") {
    return `the address ${String(address ?? "")}:${String(port ?? "")} is in use: stop what holds it, or choose another port (0 = any free one)`;
  }
  if (typeof code === "string") return `the start failed with ${code}`;
  // What grpc-js says of a port it cannot have holds the address only.
  if (
    error instanceof Error &&
    /No address added out of total|Failed to bind/i.test(error.message)
  ) {
    return "the gRPC address is in use or not ours: see --grpc-listen (port 0 = any free one)";
  }
  return "the start failed unexpectedly; the log line start-failed says where";
}
