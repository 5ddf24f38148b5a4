import type { FirstKeys } from "./init-keys.ts";

export interface Addresses {
  readonly grpc: string;
  readonly http: string;
  readonly metrics: string;
  readonly admin: string | undefined;
}

export interface BannerFacts {
  readonly version: string;
  readonly addresses: Addresses;
  readonly isTls: boolean;
  readonly dataDirectory: string;
  readonly warnings: readonly string[];
  /** Keys to show: only on a terminal, and only once. */
  readonly shownKeys: FirstKeys | undefined;
  /** Where the first keys lie, if they do. */
  readonly keysFile: string | undefined;
  /** Whether these keys were made by this start. */
  readonly isFirstStart: boolean;
}

/** What a start tells people: how to reach it, and requests that work as pasted. */
export function banner(facts: BannerFacts): string {
  const { version, addresses, isTls, dataDirectory, warnings } = facts;
  const scheme = isTls ? "https" : "http";
  const lines = [
    "",
    `  Keyledger ${version} is ready`,
    "",
    `    gRPC     ${addresses.grpc}`,
    `    HTTP     ${scheme}://${addresses.http}   (REST, Connect, gRPC-Web; API docs at /docs)`,
    `    metrics  http://${addresses.metrics}/metrics`,
    ...(addresses.admin ? [`    admin    ${addresses.admin}   (AdminService)`] : []),
    `    data     ${dataDirectory}`,
    ...warnings.flatMap((warning) => ["", `  ! ${warning}`]),
    ...(facts.isFirstStart ? ["", ...firstRequests(facts, scheme)] : []),
    "",
    "  Ctrl-C stops it; a restart has everything.",
    "",
    "",
  ];
  return lines.join("\n");
}

function firstRequests({ addresses, isTls, shownKeys, keysFile }: BannerFacts, scheme: string) {
  const { team_key, service_key, operator_key } = shownKeys ?? {};
  const fromFile = (name: string) =>
    `$(sed -n 's/.*"${name}": "\\(.*\\)".*/\\1/p' '${keysFile ?? ""}')`;
  const plaintext = isTls ? "" : " --http2-prior-knowledge";
  const keys = shownKeys
    ? [
        "  First keys, shown this once: keep them.",
        "",
        ...(team_key ? [`    TEAM_KEY=${team_key}`] : []),
        ...(service_key ? [`    SERVICE_KEY=${service_key}`] : []),
        ...(operator_key ? [`    OPERATOR_KEY=${operator_key}`] : []),
      ]
    : [
        `  The first keys lie in ${keysFile ?? ""} (only you can read it): keep them, then remove it.`,
        "",
        `    TEAM_KEY=${fromFile("team_key")}`,
        `    SERVICE_KEY=${fromFile("service_key")}`,
      ];
  return [
    ...keys,
    "",
    "  Store a provider key (put a real one in), list, and use your own keys from now on:",
    "",
    `    curl -X PATCH ${scheme}://${addresses.http}/api/v1/byok/providers/openai \\`,
    `      -H "X-Api-Key: $TEAM_KEY" -H 'Content-Type: application/json' -d '{"api_key":"sk-put-your-own-key-here"}'`,
    `    curl ${scheme}://${addresses.http}/api/v1/byok/providers -H "X-Api-Key: $TEAM_KEY"`,
    `    curl -X PATCH ${scheme}://${addresses.http}/api/v1/byok/mode \\`,
    `      -H "X-Api-Key: $TEAM_KEY" -H 'Content-Type: application/json' -d '{"mode":"byok"}'`,
    "",
    "  Resolve it over gRPC, as a gateway does, from this directory:",
    "",
    `    npx buf curl --schema proto --protocol grpc${plaintext} -H "Authorization: Bearer $SERVICE_KEY" \\`,
    `      -d '{"owner":{"kind":"OWNER_KIND_TEAM","id":"default"},"provider":"openai"}' \\`,
    `      ${scheme}://${addresses.grpc}/keyledger.v1.ResolveService/Resolve`,
  ];
}
