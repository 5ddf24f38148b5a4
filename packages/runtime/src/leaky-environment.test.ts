import { describe, expect, it } from "vitest";
import { refuseLeakyEnvironment } from "./leaky-environment.ts";

describe("a leaky environment", () => {
  it.for([
    ["DEBUG", "*"],
    ["DEBUG", "node-vault"],
    ["DEBUG", "vite:*, kafkajs*"],
    ["DEBUG", "kafkajs:client"],
    ["DEBUG", "-follow-redirects node-*"],
    ["NODE_DEBUG", "http,http2,net"],
    ["NODE_DEBUG_NATIVE", "tls"],
    ["GRPC_TRACE", "all"],
    ["GRPC_NODE_TRACE", "server"],
    ["GRPC_VERBOSITY", "debug"],
    ["GRPC_NODE_VERBOSITY", "DEBUG"],
    ["GRPC_NODE_DEBUG_SEND_ERROR_DETAILS", "true"],
    ["KAFKAJS_DEBUG_PROTOCOL_BUFFERS", "1"],
    ["VAULT_SKIP_VERIFY", "false"],
    ["NODE_TLS_REJECT_UNAUTHORIZED", "0"],
    ["NODE_OPTIONS", "--max-old-space-size=512 --inspect"],
    ["NODE_OPTIONS", "--inspect-brk=0.0.0.0:9229"],
    ["NODE_OPTIONS", "--report_on_fatalerror"],
    ["NODE_OPTIONS", "--heapsnapshot-signal=SIGUSR2"],
    ["NODE_OPTIONS", "--tls-keylog=/tmp/keys"],
  ] as const)("is refused for %s=%s, naming the variable and not its value", ([name, value]) => {
    const problems = refuseLeakyEnvironment({ [name]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(name);
    expect(problems[0]).not.toContain(value);
  });

  it("is refused for an option given to node itself", () => {
    expect(refuseLeakyEnvironment({}, ["--inspect=0"])).toHaveLength(1);
  });

  it("is reported whole, not finding by finding", () => {
    const env = { DEBUG: "*", NODE_DEBUG: "http", VAULT_SKIP_VERIFY: "1" };
    expect(refuseLeakyEnvironment(env)).toHaveLength(3);
  });
});

describe("a harmless environment", () => {
  it.for([
    ["DEBUG", ""],
    ["DEBUG", "vite:config,-node-vault"],
    ["NODE_DEBUG", ""],
    ["GRPC_VERBOSITY", "ERROR"],
    ["VAULT_SKIP_VERIFY", ""],
    ["NODE_TLS_REJECT_UNAUTHORIZED", "1"],
    ["NODE_OPTIONS", "--max-old-space-size=512 --enable-source-maps"],
    ["PATH", "/usr/bin"],
  ] as const)("is let through with %s=%s", ([name, value]) => {
    expect(refuseLeakyEnvironment({ [name]: value }, ["--conditions=x"])).toStrictEqual([]);
  });
});
