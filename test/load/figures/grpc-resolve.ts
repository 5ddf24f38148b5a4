import { toBinary } from "@bufbuild/protobuf";
import {
  KeyringService,
  Mode,
  OwnerKind,
  ResolveResponseSchema,
  ResolveService,
} from "@keyledger/contracts";
import { grpcClient } from "../../support/grpc-client.ts";
import { type BenchServers, startEcho } from "../bench-servers.ts";
import type { EchoAnswers } from "../echo-grpc.ts";
import type { Figure } from "../figure.ts";
import { frameOf, pathOf } from "../grpc-frame.ts";
import { madeUpKey } from "../material.ts";
import type { Effort } from "../options.ts";
import { underLoad } from "../under-load.ts";

/** Audited resolves of a stored key by a service, beside an echo of the same messages. */
export async function resolveThroughGrpc(
  { keyledger, load, where }: BenchServers,
  effort: Effort,
  report: (figure: Figure) => void,
): Promise<void> {
  const owner = { kind: OwnerKind.TEAM, id: "bench-resolve" };
  const material = madeUpKey();
  using manager = grpcClient(KeyringService, keyledger.grpc, { key: keyledger.keys.operator_key });
  await manager.upsertKey({ owner, provider: "openai", secret: material });
  await manager.setMode({ owner, mode: Mode.BYOK });

  const { service_key: key } = keyledger.keys;
  const method = ResolveService.method.resolve;
  const request = { owner, provider: "openai", model: "gpt-5", userId: "u-1" };
  using client = grpcClient(ResolveService, keyledger.grpc, { key });
  const resolved = async () => {
    const answer = await client.resolve(request);
    if (!Buffer.from(answer.material ?? []).equals(material)) {
      throw new Error("a resolve did not answer the material that was stored");
    }
    return answer;
  };
  const answers: EchoAnswers = {
    [pathOf(method)]: toBinary(ResolveResponseSchema, await resolved()),
  };
  using echo = await startEcho("echo-grpc", answers, where);

  await underLoad(
    {
      name: "audited resolve",
      load,
      effort,
      server: { pid: keyledger.pid, address: keyledger.grpc },
      echo,
      job: () => ({
        protocol: "grpc",
        path: pathOf(method),
        headers: { authorization: `Bearer ${key}` },
        bodies: [frameOf(method.input, request)],
        inFlight: 64,
        connections: 4,
      }),
      goals: { cpu: { kind: "at-most-times-baseline", bound: 2.5 }, rate: null },
    },
    report,
  );
  // The load may have come from a client that does not look into answers.
  await resolved();
}
