import { isVisibleAscii, startsWith, startsWithAnyCase } from "./ascii.ts";
import { maskedKey } from "./label.ts";
import { type ProviderRules, refused } from "./rules.ts";

const KEY_BYTES_MIN = 8;
const KEY_BYTES_MAX = 8192;

/** A kind of key that authenticates somewhere, but never for what we keep it. */
export interface WrongKind {
  readonly prefix: string;
  readonly description: string;
}

export interface PlainKeyFormat {
  /** Public prefixes, for the label only. */
  readonly prefixes?: readonly string[];
  readonly wrongKinds?: readonly WrongKind[];
}

/**
 * How a provider reads whose credential is one opaque key and that has no location. A location that is given all the
 * same is neither kept nor refused: the Neo API speaks of it for location-aware providers only, and its clients may
 * send one with every provider.
 */
export const plainKey = ({
  prefixes = [],
  wrongKinds = [],
}: PlainKeyFormat): Pick<ProviderRules, "parse" | "checkLocation"> => ({
  parse(material) {
    const flaw = keyFlaw(material, wrongKinds);
    return flaw === undefined
      ? { label: maskedKey(material, prefixes), location: null, expiresAt: null }
      : refused("secret", flaw);
  },
  checkLocation: () => ({ location: null }),
});

/**
 * What keeps these bytes from being a key, or `undefined`. A key goes into a request header, so this is also what
 * stands between a pasted line break and a second header.
 */
export function keyFlaw(
  key: Uint8Array,
  wrongKinds: readonly WrongKind[] = [],
): string | undefined {
  if (key.byteLength < KEY_BYTES_MIN || key.byteLength > KEY_BYTES_MAX) {
    return `must be ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes long`;
  }
  if (!isVisibleAscii(key)) return "must hold visible ASCII characters only, and no whitespace";
  if (startsWithAnyCase(key, "https://") || startsWithAnyCase(key, "http://")) {
    return "must be a key, not a URL";
  }
  return wrongKinds.find(({ prefix }) => startsWith(key, prefix))?.description;
}
