import { createHash } from "node:crypto";
import type { ServiceAccount } from "./control.ts";
import type { Storage } from "./storage.ts";

/** Stands in for the token review of a Kubernetes cluster: it knows what it was told. */
export interface TokenReview {
  /** @param account `null` = no longer known. */
  accept(jwt: string, account: ServiceAccount | null): void;
  review(jwt: string): ServiceAccount | undefined;
}

export function createTokenReview(storage: Storage): TokenReview {
  const nameOf = (jwt: string) =>
    `service-account/${createHash("sha256").update(jwt).digest("hex")}`;
  return {
    accept: (jwt, account) => {
      if (account === null) storage.delete(nameOf(jwt));
      else storage.put(nameOf(jwt), account);
    },
    review: (jwt) => storage.get(nameOf(jwt)),
  };
}
