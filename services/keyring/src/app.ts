import { AdminService, AuditService, KeyringService, ResolveService } from "@keyledger/contracts";
import type { Ledger } from "@keyledger/core";
import { adminService, type Status } from "./admin-service.ts";
import { auditService } from "./audit-service.ts";
import { createGuard, type GuardParts } from "./guard.ts";
import { type GuardedService, guarded } from "./guarded.ts";
import { keyringService } from "./keyring-service.ts";
import { POLICY } from "./policy.ts";
import { resolveService } from "./resolve-service.ts";

/** The four services behind the guard. Which listener serves which is the process's choice. */
export interface KeyringApp {
  readonly keyring: GuardedService;
  readonly resolve: GuardedService;
  readonly audit: GuardedService;
  readonly admin: GuardedService;
}

export function keyringApp(
  ledger: Ledger,
  {
    status,
    ...parts
  }: Omit<GuardParts, "isGateOpen" | "isFresh" | "recordRefusal"> & {
    readonly status: () => Promise<Status>;
  },
): KeyringApp {
  const { isGateOpen, isFresh, recordRefusal } = ledger;
  const guard = createGuard({ ...parts, isGateOpen, isFresh, recordRefusal });
  return {
    keyring: guarded(guard, KeyringService, POLICY.KeyringService, keyringService(ledger)),
    resolve: guarded(guard, ResolveService, POLICY.ResolveService, resolveService(ledger)),
    audit: guarded(
      guard,
      AuditService,
      POLICY.AuditService,
      auditService(ledger, parts.host.pause),
    ),
    admin: guarded(guard, AdminService, POLICY.AdminService, adminService(ledger, status)),
  };
}
