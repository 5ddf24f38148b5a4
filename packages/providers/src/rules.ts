import type { ParsedCredential, Violation } from "@keyledger/core";
import type { ProviderProbe } from "./probe.ts";

/** What parsing a credential told, or what is wrong with it: fields `secret` and `location`, never a value. */
export type Parsed = ParsedCredential | readonly Violation[];

/** A normalised location, or what is wrong with it. */
export type Located = { readonly location: string | null } | readonly Violation[];

/**
 * What we know of one provider. Another provider is one file that exports this, one line in the catalogue, and its
 * rows among the fixtures of the fake providers.
 */
export interface ProviderRules {
  /** Canonical lower-case name. */
  readonly name: string;
  /**
   * Checks and describes a credential. Pure. Providers change the look of their keys without notice, so an unknown
   * prefix or length is never refused: only what cannot be a credential of this provider is.
   * @param material trimmed; borrowed for the call.
   * @param location `null` = not given. Providers without one take no notice of it and answer `null`.
   */
  parse(material: Uint8Array, location: string | null): Parsed;
  /** Checks a location by itself; `null` = back to the default. Pure. */
  checkLocation(location: string | null): Located;
  /** Absent: nobody can be asked, and the key stays `unprobed`. */
  readonly probe?: ProviderProbe;
}

export const refused = (
  field: "secret" | "location",
  description: string,
): readonly Violation[] => [{ field, description }];

/** A location as it was meant: trimmed, and blank is the same as not given. */
export function givenLocation(location: string | null): string | null {
  const trimmed = location?.trim() ?? "";
  return trimmed === "" ? null : trimmed;
}
