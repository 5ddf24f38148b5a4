import { canonicalJson, type Json } from "../domain/canonical-json.ts";
import { lengthPrefixed } from "../domain/hash-chain.ts";
import type { Rejection } from "../domain/rejection.ts";
import type { Secret } from "../domain/secret.ts";
import type { ExpectedEdit, Owner, Position, Revision, Stamp } from "../domain/vocabulary.ts";
import type { CancelSignal, Crypto } from "../ports/host.ts";
import type { Mac } from "./mac.ts";

/** What every write carries. */
export interface WriteCall {
  readonly owner: Owner;
  readonly stamp: Stamp;
  readonly expected: ExpectedEdit | undefined;
  /** Aborts at the deadline, or when the caller goes away. */
  readonly signal: CancelSignal;
  /** What is left of the deadline, in milliseconds. */
  readonly remainingMs: number;
}

/** Where the answer stands. */
export interface Standing {
  /** The edit revision; `null` = no event yet. */
  readonly revision: Revision | null;
  readonly position: Position;
}

export type Answer<T> = (T & Standing) | { readonly rejected: Rejection };

export const rejected = (rejection: Rejection): { readonly rejected: Rejection } => ({
  rejected: rejection,
});

/**
 * The keyed hash by which a repeated request is known. Keyed, because a plain hash over a request with a credential in it
 * would let whoever reads the log test guesses.
 */
export function requestMac(
  { mac, crypto }: { mac: Mac; crypto: Crypto },
  scope: string,
  command: string,
  fields: Json,
  material?: Secret,
): string {
  // The owner stands in the message: a key per owner would have to be derived for each new one.
  const texts = [scope, command, canonicalJson(fields)];
  const parts = texts.map((text) => crypto.utf8Encode(text));
  const of = (bytes: Uint8Array[]) => {
    const message = lengthPrefixed(bytes);
    const value = mac.value("request", "", message);
    message.fill(0);
    return value;
  };
  return material ? material.use((bytes) => of([...parts, bytes])) : of(parts);
}
