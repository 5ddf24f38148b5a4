import type { CallerKeyEvent } from "./events.ts";
import type { CallerKeyView, Occurrence } from "./views.ts";
import type { Instant } from "./vocabulary.ts";

/** The fold behind the view of one caller key. `undefined` = no such key. */
export function projectCallerKey(
  view: CallerKeyView | undefined,
  event: CallerKeyEvent,
  { revision, position, time }: Occurrence,
): CallerKeyView | undefined {
  switch (event.type) {
    case "ApiKeyIssued": {
      const { type: _type, ...fields } = event;
      return { ...fields, issuedAt: time, revokedAt: null, revision, position };
    }
    case "ApiKeyRevoked":
      return view && { ...view, revokedAt: view.revokedAt ?? time, revision, position };
  }
}

/** Neither revoked nor expired. @param now asked only where the key has an end: most have none. */
export const isInForce = (key: CallerKeyView, now: () => Instant): boolean =>
  key.revokedAt === null && (key.expiresAt === null || key.expiresAt > now());

/** Roles that own a keyring: their caller keys are bound to an owner of the kind named. */
export const ownerKindOf = {
  user: "user",
  "team-admin": "team",
  "team-member": "team",
  "team-viewer": "team",
  "organization-admin": "organization",
  service: null,
  auditor: null,
  operator: null,
} as const;
