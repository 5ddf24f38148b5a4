import type { FastifyPluginCallback } from "fastify";
import { neo } from "./dialects/neo.ts";
import { NEO_OPENAPI } from "./dialects/neo-openapi.ts";
import { serveDocs } from "./docs.ts";
import type { KeyringClient } from "./keyring-client.ts";
import { type OpenApiDocument, type OpenApiPart, openApiDocument } from "./openapi.ts";
import { type Dialect, dialectPlugin, type RestSettings } from "./plugin.ts";

export type DialectName = "neo";

export interface RestOptions {
  readonly client: KeyringClient;
  /** Which products' clients are served. */
  readonly dialects: ReadonlySet<DialectName>;
  readonly settings?: Partial<RestSettings>;
  /** Told of every error that is answered as internal. It may hold anything: log its type, not its text. */
  readonly onInternalError?: (error: unknown, errorId: string) => void;
}

const DEFAULTS: RestSettings = { deadlineMs: 5_000, probeDeadlineMs: 20_000 };

const DIALECTS = { neo } as const satisfies Record<
  DialectName,
  (keyring: KeyringClient) => Dialect
>;
const OPENAPI = { neo: NEO_OPENAPI } as const satisfies Record<DialectName, OpenApiPart>;

/** What is served, as one OpenAPI document. */
export const restDocument = (dialects: ReadonlySet<DialectName>): OpenApiDocument =>
  openApiDocument([...dialects].map((name) => OPENAPI[name]));

/** The REST facade, to be registered on the HTTP edge: the dialects, `/openapi.json` and `/docs`. */
export const restPlugin =
  ({ client, dialects, settings, onInternalError }: RestOptions): FastifyPluginCallback =>
  (app, _options, done) => {
    for (const name of dialects) {
      app.register(
        dialectPlugin({
          dialect: DIALECTS[name](client),
          keyring: client,
          settings: { ...DEFAULTS, ...settings },
          onInternalError,
        }),
      );
    }
    serveDocs(app, restDocument(dialects));
    done();
  };
