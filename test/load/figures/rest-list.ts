import { KeyringService } from "@keyledger/contracts";
import { grpcClient } from "../../support/grpc-client.ts";
import { type BenchServers, startEcho } from "../bench-servers.ts";
import type { EchoPage } from "../echo-http.ts";
import type { Figure } from "../figure.ts";
import { madeUpKey } from "../material.ts";
import type { Effort } from "../options.ts";
import { underLoad } from "../under-load.ts";

const PATH = "/api/v1/byok/providers";

/** A team's list of three keys in Neo's dialect, beside a Fastify that answers the same bytes. */
export async function restList(
  { keyledger, load, where }: BenchServers,
  effort: Effort,
  report: (figure: Figure) => void,
): Promise<void> {
  const { team_key: key } = keyledger.keys;
  const headers = { authorization: `Bearer ${key}` };
  using client = grpcClient(KeyringService, keyledger.grpc, { key });
  await client.upsertKey({ provider: "openai", secret: madeUpKey("sk-proj-") });
  await client.upsertKey({ provider: "anthropic", secret: madeUpKey("sk-ant-api03-") });
  await client.upsertKey({ provider: "xai", secret: madeUpKey("xai-") });

  const listed = async (): Promise<EchoPage> => {
    const response = await fetch(`http://${keyledger.http}${PATH}`, { headers });
    const body = await response.text();
    if (response.status !== 200 || JSON.parse(body).count !== 3) {
      throw new Error("the list did not answer the three keys that were stored");
    }
    return { path: PATH, contentType: response.headers.get("content-type") ?? "", body };
  };
  using echo = await startEcho("echo-http", await listed(), where);

  await underLoad(
    {
      name: "REST list of 3 keys",
      load,
      effort,
      server: { pid: keyledger.pid, address: keyledger.http },
      echo,
      job: () => ({
        protocol: "http",
        path: PATH,
        headers,
        bodies: [],
        inFlight: 64,
        connections: 64,
      }),
      goals: { cpu: null, rate: { kind: "at-least-times-baseline", bound: 0.5 } },
    },
    report,
  );
  await listed();
}
