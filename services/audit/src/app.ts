import { type AuditSink, createRelay, type Feed, type Host, type Relay } from "@keyledger/core";

/** One relay per feed: each log is its own outbox, followed and delivered; nobody writes twice. */
export interface AuditApp {
  readonly relays: Readonly<Record<"changes" | "access", Relay>>;
}

export const auditApp = ({
  feeds,
  sink,
  host,
}: {
  feeds: { readonly changes: Feed; readonly access: Feed };
  sink: AuditSink;
  host: Host;
}): AuditApp => ({
  relays: {
    changes: createRelay({ feed: feeds.changes, sink, host }),
    access: createRelay({ feed: feeds.access, sink, host }),
  },
});
