import { ENCRYPTION } from "./vault/encryption.ts";
import { KEYS } from "./vault/keys.ts";
import { KV } from "./vault/kv.ts";
import { ROLES } from "./vault/roles.ts";
import { ROTATION } from "./vault/rotation.ts";
import type { Row } from "./vault/row.ts";
import { SEALING } from "./vault/sealing.ts";

/**
 * What Keyledger takes for granted of OpenBao and Vault, and what else shapes their answers: requests in their order,
 * each with the status and the shape of its answer.
 */
export const VAULT_ACCEPTANCE: readonly Row[] = [
  ...KEYS,
  ...ENCRYPTION,
  ...ROTATION,
  ...KV,
  ...ROLES,
];

/** The same, for the engine as a whole: whoever shares it is shut out meanwhile. */
export const VAULT_SEALING: readonly Row[] = SEALING;
