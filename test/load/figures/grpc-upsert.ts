import { toBinary } from "@bufbuild/protobuf";
import { KeyringService, OwnerKind, UpsertKeyResponseSchema } from "@keyledger/contracts";
import { grpcClient } from "../../support/grpc-client.ts";
import { type BenchServers, startEcho } from "../bench-servers.ts";
import type { EchoAnswers } from "../echo-grpc.ts";
import type { Figure } from "../figure.ts";
import { frameOf, pathOf } from "../grpc-frame.ts";
import { madeUpKey } from "../material.ts";
import type { Effort } from "../options.ts";
import { underLoad } from "../under-load.ts";

/** Requests made ready per millisecond of a sample: more than either server answers. */
const REQUESTS_PER_MS = 16;

/** Upserts of new keys on distinct owners through gRPC, by an operator, beside an echo of the same messages. */
export async function upsertThroughGrpc(
  { keyledger, load, where }: BenchServers,
  effort: Effort,
  report: (figure: Figure) => void,
): Promise<void> {
  const { operator_key: key } = keyledger.keys;
  const method = KeyringService.method.upsertKey;
  using client = grpcClient(KeyringService, keyledger.grpc, { key });
  let owners = 0;
  const request = () => ({
    owner: { kind: OwnerKind.TEAM, id: `bench-${owners++}` },
    provider: "openai",
    secret: madeUpKey(),
  });
  const answer = await client.upsertKey(request());
  const answers: EchoAnswers = { [pathOf(method)]: toBinary(UpsertKeyResponseSchema, answer) };
  using echo = await startEcho("echo-grpc", answers, where);

  await underLoad(
    {
      name: "upsert through gRPC",
      load,
      effort,
      server: { pid: keyledger.pid, address: keyledger.grpc },
      echo,
      job: () => ({
        protocol: "grpc",
        path: pathOf(method),
        headers: { authorization: `Bearer ${key}` },
        bodies: Array.from({ length: REQUESTS_PER_MS * effort.sampleMs }, () =>
          frameOf(method.input, request()),
        ),
        inFlight: 64,
        connections: 4,
      }),
      goals: { cpu: { kind: "at-most-times-baseline", bound: 4 }, rate: null },
    },
    report,
  );
}
