import type {
  AdminService,
  AuditService,
  KeyringService,
  ResolveService,
} from "@keyledger/contracts";
import type { Role } from "@keyledger/core";

/**
 * Who may call what: the only table. A method without a row does not compile.
 *
 * `owner`: whose data the call is about. `own-or-named`: the caller's own, or for a caller without one the owner it
 * names. `own-or-any`: the same, but naming none means every owner. `none`: the call is about no owner.
 */
export interface Rule {
  readonly roles: readonly Role[];
  readonly owner: "own-or-named" | "own-or-any" | "none";
  /** Refused to owners whose feature gate is off. */
  readonly isGated: boolean;
  /** Leaves an access record also where it is refused at the door. */
  readonly isRecorded?: boolean;
  /** Answered even while the views stand still: it is what tells operators why. */
  readonly isToldWhenStale?: boolean;
  /** May ask a provider, so it has the longer deadline. */
  readonly mayProbe?: boolean;
}

/** Every role that manages an owner of its own. */
const OWNERS = ["user", "team-admin", "organization-admin"] as const satisfies readonly Role[];

const write: Rule = { roles: [...OWNERS, "operator"], owner: "own-or-named", isGated: true };
const probing: Rule = { ...write, mayProbe: true };
const read: Rule = {
  roles: [...OWNERS, "service", "operator"],
  owner: "own-or-named",
  isGated: true,
};
const audit: Rule = { roles: [...OWNERS, "auditor"], owner: "own-or-any", isGated: false };
const admin: Rule = { roles: ["operator"], owner: "none", isGated: false };

type Rows<S extends { readonly method: object }> = { readonly [K in keyof S["method"]]: Rule };

export const POLICY = {
  KeyringService: {
    upsertKey: probing,
    createKey: probing,
    updateKey: probing,
    deleteKey: write,
    setMode: write,
    probeKey: probing,
    getKey: read,
    listKeys: read,
    getMode: read,
  } satisfies Rows<typeof KeyringService>,
  ResolveService: {
    resolve: { roles: ["service"], owner: "own-or-named", isGated: false, isRecorded: true },
  } satisfies Rows<typeof ResolveService>,
  AuditService: {
    listRecords: audit,
    followRecords: audit,
  } satisfies Rows<typeof AuditService>,
  AdminService: {
    issueApiKey: admin,
    listApiKeys: admin,
    revokeApiKey: admin,
    setEntitlement: { ...admin, owner: "own-or-named" },
    getStatus: { ...admin, isToldWhenStale: true },
  } satisfies Rows<typeof AdminService>,
} as const;
