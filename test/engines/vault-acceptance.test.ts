import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { REAL_VAULT, type VaultUnderTest, vaultUnderTest } from "../support/vault/engine.ts";
import { type Played, play } from "./vault/play.ts";
import { VAULT_ACCEPTANCE, VAULT_SEALING } from "./vault-acceptance.ts";

// Sealing shuts out everybody: on a real engine only where its key is given, and said where it is not.
const maySeal =
  REAL_VAULT === undefined || process.env.KEYLEDGER_TEST_VAULT_UNSEAL_KEY !== undefined;
const sealing = maySeal ? "" : " (skipped: KEYLEDGER_TEST_VAULT_UNSEAL_KEY is not set)";

describe(`Vault at ${REAL_VAULT ?? "the stand-in"}`, () => {
  let vault: VaultUnderTest;
  let played: Played;

  // The rows are asked in their order, whatever the order of the tests that look at what came back.
  beforeAll(async () => {
    vault = await vaultUnderTest();
    played = await play(vault, [...VAULT_ACCEPTANCE, ...(maySeal ? VAULT_SEALING : [])]);
  }, 120_000);

  afterAll(async () => {
    await played[Symbol.asyncDispose]();
    await vault[Symbol.asyncDispose]();
  });

  it.for(VAULT_ACCEPTANCE)("$name", ({ name }) => {
    expect(played.outcomes.get(name)).toStrictEqual([]);
  });

  describe.skipIf(!maySeal)(`when it is sealed${sealing}`, () => {
    it.for(VAULT_SEALING)("$name", ({ name }) => {
      expect(played.outcomes.get(name)).toStrictEqual([]);
    });
  });
});
