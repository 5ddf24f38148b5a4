import { readFileSync } from "node:fs";
import { askVault, textAt } from "./client.ts";
import type { VaultControl, VaultRequest } from "./control.ts";
import type { AdministeredVault } from "./provision.ts";
import { startVaultStandIn } from "./stand-in.ts";

/** The engine a suite runs on. */
export interface VaultUnderTest extends AdministeredVault, AsyncDisposable {
  /** Opens it again after a seal; without it nobody may seal it. */
  readonly unsealKey: string | undefined;
  /** The stand-in alone can be told to go wrong, and knows what it was asked. */
  readonly standIn:
    | { readonly control: VaultControl; readonly requests: readonly VaultRequest[] }
    | undefined;
}

/** Address of a real engine; the stand-in answers where it is unset. */
export const REAL_VAULT = process.env.KEYLEDGER_TEST_VAULT;

/**
 * The engine `KEYLEDGER_TEST_VAULT` names, with `KEYLEDGER_TEST_VAULT_TOKEN` and, where they apply,
 * `KEYLEDGER_TEST_VAULT_CA` (file) and `KEYLEDGER_TEST_VAULT_UNSEAL_KEY`; a fresh stand-in where it is unset. Prints which
 * one answered, and its version.
 */
export async function vaultUnderTest(): Promise<VaultUnderTest> {
  const vault = REAL_VAULT === undefined ? await standIn() : realVault(REAL_VAULT);
  const health = await askVault(vault, { method: "GET", path: "/v1/sys/health" });
  const name = vault.standIn === undefined ? "a real engine" : "the stand-in";
  console.info(`Vault at ${vault.address}: ${name}, version ${textAt(health.body, "version")}`);
  return vault;
}

async function standIn(): Promise<VaultUnderTest> {
  const started = await startVaultStandIn();
  const { address, rootToken, unsealKey, control, requests } = started;
  return {
    address,
    rootToken,
    unsealKey,
    standIn: { control, requests },
    [Symbol.asyncDispose]: () => started[Symbol.asyncDispose](),
  };
}

function realVault(address: string): VaultUnderTest {
  const {
    KEYLEDGER_TEST_VAULT_TOKEN: rootToken,
    KEYLEDGER_TEST_VAULT_CA: caFile,
    KEYLEDGER_TEST_VAULT_UNSEAL_KEY: unsealKey,
  } = process.env;
  if (rootToken === undefined) {
    throw new Error("KEYLEDGER_TEST_VAULT needs KEYLEDGER_TEST_VAULT_TOKEN");
  }
  return {
    address,
    rootToken,
    unsealKey,
    ...(caFile === undefined ? {} : { ca: readFileSync(caFile, "utf8") }),
    standIn: undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}
