import type { Violation } from "../domain/rejection.ts";
import type { Secret } from "../domain/secret.ts";
import type { Instant } from "../domain/vocabulary.ts";

/** What parsing a credential told. It serves label, location and expiry only: what is stored is the input as given. */
export interface ParsedCredential {
  /** Masked snippet: at most 12 characters of the secret in all. */
  readonly label: string;
  /** Normalised location, the provider's default included; `null` where the provider has none. */
  readonly location: string | null;
  /** When the credential says that it expires. */
  readonly expiresAt: Instant | null;
}

export interface Provider {
  /** Canonical lower-case name. */
  readonly name: string;
  /** Whether a probe exists. */
  readonly hasProbe: boolean;
}

/** What we know of each provider. Pure: no I/O. */
export interface ProviderCatalogue {
  find(name: string): Provider | undefined;
  all(): readonly Provider[];
  /**
   * Checks and describes a credential. Violations name the fields `secret` or `location`, never a value.
   * @param location as the caller gave it; `null` = not given.
   */
  parse(
    provider: string,
    material: Secret,
    location: string | null,
  ): ParsedCredential | readonly Violation[];
  /**
   * Checks a location by itself, for a change that leaves the credential alone. `null` = back to the default.
   * Violations name the field `location`.
   */
  checkLocation(
    provider: string,
    location: string | null,
  ): { readonly location: string | null } | readonly Violation[];
}
