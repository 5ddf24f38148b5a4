import { AdminService, AuditService, KeyringService, ResolveService } from "@keyledger/contracts";

/** Every method served, as `keyledger.v1.KeyringService/ListKeys`. */
export const METHOD_NAMES: readonly string[] = [
  KeyringService,
  ResolveService,
  AuditService,
  AdminService,
].flatMap((service) => service.methods.map(({ name }) => `${service.typeName}/${name}`));
