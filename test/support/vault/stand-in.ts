import { randomBytes } from "node:crypto";
import { Server as TlsServer } from "node:https";
import type { AddressInfo } from "node:net";
import type { VaultStandIn, VaultStandInOptions } from "./api.ts";
import type { VaultControl } from "./control.ts";
import { createFaults, type Faults } from "./faults.ts";
import { createVaultServer, type VaultServer } from "./http-server.ts";
import { openStorage, type Storage } from "./storage.ts";
import { createVault, type Vault } from "./vault.ts";
import { createClock, type VaultClock } from "./vault-time.ts";

/** Starts one that listens; empty, unless the state file holds something. */
export async function startVaultStandIn(options: VaultStandInOptions = {}): Promise<VaultStandIn> {
  const { port = 0, tls, now = Date.now } = options;
  const storage = openStorage(options.stateFile);
  const keys = keysOf(storage, options.rootToken);
  const clock = createClock(now);
  const vault = createVault(storage, clock, keys);
  const faults = createFaults();
  const server = createVaultServer(vault, faults, tls);
  await new Promise<void>((resolve, reject) => {
    server.server.once("error", reject).listen(port, "127.0.0.1", resolve);
  });
  const { port: bound } = server.server.address() as AddressInfo;
  return {
    address: `${tls === undefined ? "http" : "https"}://127.0.0.1:${bound}`,
    ...keys,
    control: controlOf(vault, clock, faults, server),
    requests: server.requests,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      storage[Symbol.dispose]();
    },
  };
}

interface Keys {
  readonly rootToken: string;
  readonly unsealKey: string;
}

function keysOf(storage: Storage, rootToken: string | undefined): Keys {
  const kept = storage.get<Keys>("keys");
  const keys = {
    rootToken: rootToken ?? kept?.rootToken ?? `s.${randomBytes(18).toString("base64url")}`,
    unsealKey: kept?.unsealKey ?? randomBytes(32).toString("hex"),
  };
  storage.put("keys", keys);
  return keys;
}

function controlOf(
  vault: Vault,
  clock: VaultClock,
  faults: Faults,
  { server, requests, releaseHanging }: VaultServer,
): VaultControl {
  return {
    inject: async (rule) => faults.add(rule),
    clearFaults: async () => {
      faults.clear();
      releaseHanging();
    },
    seal: async () => vault.seal.close(),
    unseal: async () => vault.seal.open(),
    setStandby: async (standby) => vault.seal.setStandby(standby),
    expireTokens: async (roles) => vault.tokens.revokeRoles(roles),
    refuseRenewals: async (refuse) => {
      vault.renewalsRefused = refuse;
    },
    advanceClock: async (byMs) => clock.advance(byMs),
    acceptServiceAccount: async (jwt, account) => vault.reviewer.accept(jwt, account),
    swapCertificate: async (certificate) => {
      if (!(server instanceof TlsServer)) throw new Error("this stand-in speaks no TLS");
      server.setSecureContext(certificate);
      server.closeAllConnections();
    },
    requests: async () => requests,
  };
}
