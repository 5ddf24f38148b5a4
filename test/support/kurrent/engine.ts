import { readFileSync } from "node:fs";
import { credentials, type ServiceError } from "@grpc/grpc-js";
import { type features, ServerFeaturesClient, shared } from "./generated.ts";
import { startKurrentStandIn } from "./stand-in.ts";

export interface KurrentEngine extends AsyncDisposable {
  readonly connectionString: string;
  readonly insecure: boolean;
  readonly version: string;
}

/**
 * What the contract suites run on: the engine that `KEYLEDGER_TEST_KURRENTDB` names, or the stand-in. Says which of them
 * answered, so that nobody takes the one for the other.
 */
export async function openKurrentEngine(): Promise<KurrentEngine> {
  const given = process.env.KEYLEDGER_TEST_KURRENTDB;
  const standIn = given ? undefined : await startKurrentStandIn();
  const connectionString = given ?? standIn?.connectionString ?? "";
  const version = await versionOf(connectionString);
  console.log(
    `KurrentDB: ${version} ${given ? "given by KEYLEDGER_TEST_KURRENTDB" : "in process"}`,
  );
  return {
    connectionString,
    insecure: /[?&]tls=false/i.test(connectionString),
    version,
    [Symbol.asyncDispose]: async () => standIn?.[Symbol.asyncDispose](),
  };
}

/** What the first host of a connection string says it is. */
export async function versionOf(connectionString: string): Promise<string> {
  const [, host = "", query = ""] =
    /^\w+(?:\+discover)?:\/\/(?:[^@]*@)?([^,/?]+)[^?]*\??(.*)$/.exec(connectionString) ?? [];
  const settings = new URLSearchParams(query.replaceAll("+", "%2B"));
  const caFile = [...settings].find(([name]) => name.toLowerCase() === "tlscafile")?.[1];
  const channel = /(^|&)tls=false/i.test(query)
    ? credentials.createInsecure()
    : credentials.createSsl(caFile ? readFileSync(caFile) : null);
  const client = new ServerFeaturesClient(host.includes(":") ? host : `${host}:2113`, channel);
  try {
    return await new Promise<string>((resolve, reject) => {
      client.getSupportedMethods(
        new shared.Empty(),
        (error: ServiceError | null, methods: features.SupportedMethods) =>
          error ? reject(error) : resolve(methods.getEventStoreServerVersion()),
      );
    });
  } finally {
    client.close();
  }
}
