/**
 * The stand-in as a process of its own: `node main.ts --state <file> [--port <n>] [--control-port <n>]
 * [--tls-cert <file> --tls-key <file>]`. Prints one line of JSON when it serves. Killed and started again with the same
 * state file and port, it is the same engine; it comes up unsealed. For tests: the ready line carries the root token.
 */
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { serveControl } from "./control-server.ts";
import { startVaultStandIn } from "./stand-in.ts";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "0" },
    "control-port": { type: "string", default: "0" },
    state: { type: "string" },
    "tls-cert": { type: "string" },
    "tls-key": { type: "string" },
  },
});
const { state, "tls-cert": certFile, "tls-key": keyFile } = values;
if ((certFile === undefined) !== (keyFile === undefined)) {
  throw new Error("--tls-cert and --tls-key go together");
}
const vault = await startVaultStandIn({
  port: Number(values.port),
  ...(state === undefined ? {} : { stateFile: state }),
  ...(certFile === undefined || keyFile === undefined
    ? {}
    : { tls: { cert: readFileSync(certFile, "utf8"), key: readFileSync(keyFile, "utf8") } }),
});
const control = await serveControl(vault.control, Number(values["control-port"]));
const { address, rootToken, unsealKey } = vault;
process.stdout.write(
  `${JSON.stringify({ ready: true, address, control: control.address, rootToken, unsealKey })}\n`,
);
// Started by a test, it does not outlive it.
process.once("disconnect", () => process.exit(0));
process.once("SIGTERM", () => process.exit(0));
