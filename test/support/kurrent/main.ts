import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { portOf, serveControl } from "./control-port.ts";
import { startKurrentStandIn } from "./stand-in.ts";

/**
 * The stand-in as a process of its own: prints one line of JSON when it serves, then runs until it is told to stop.
 *
 *   node test/support/kurrent/main.ts --nodes 3 --ports 2111,2112,2113 --file log.db --control-port 2100
 *
 * Killed and started with the same ports and file, it has everything that was acknowledged.
 */
const { values } = parseArgs({
  options: {
    nodes: { type: "string", default: "1" },
    ports: { type: "string" },
    file: { type: "string" },
    "control-port": { type: "string", default: "0" },
    "tls-key": { type: "string" },
    "tls-cert": { type: "string" },
    "tls-ca": { type: "string" },
  },
});

const { "tls-key": key, "tls-cert": cert, "tls-ca": caFile } = values;
const standIn = await startKurrentStandIn({
  nodes: Number(values.nodes),
  ...(values.ports && { ports: values.ports.split(",").map(Number) }),
  ...(values.file && { file: values.file }),
  ...(key &&
    cert &&
    caFile && {
      tls: { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8"), caFile },
    }),
});
const controlServer = await serveControl(standIn.control, Number(values["control-port"]));

console.log(
  JSON.stringify({
    ready: true,
    pid: process.pid,
    connectionString: standIn.connectionString,
    nodes: standIn.nodes,
    controlPort: portOf(controlServer),
  }),
);

const stop = async (): Promise<void> => {
  controlServer.close();
  await standIn[Symbol.asyncDispose]();
  process.exit(0);
};
process.once("SIGINT", stop);
process.once("SIGTERM", stop);
