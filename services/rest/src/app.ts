import type { FastifyPluginCallback } from "fastify";
import { neo } from "./dialects/neo.ts";
import type { KeyringClient } from "./keyring-client.ts";
import { dialectPlugin, type RestSettings } from "./plugin.ts";

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

const DIALECTS = { neo } as const;

/** The REST facade, to be registered on the HTTP edge. */
export const restPlugin =
  ({ client, dialects, settings, onInternalError }: RestOptions): FastifyPluginCallback =>
  (app, _options, done) => {
    for (const name of dialects) {
      const dialect = DIALECTS[name](client);
      const facade = {
        dialect,
        keyring: client,
        settings: { ...DEFAULTS, ...settings },
        onInternalError,
      };
      app.register(dialectPlugin(facade));
    }
    done();
  };
