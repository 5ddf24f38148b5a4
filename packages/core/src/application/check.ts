import type { Violation } from "../domain/rejection.ts";
import { isUuid } from "../domain/vocabulary.ts";

/** Form and bounds of what people set. Each check answers what is wrong, in words that name the bound and no value. */

export const TEXT_CHARACTERS_MAX = 255;
export const ALLOW_LIST_MAX = 100;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** Prefixes of provider keys and of our own: a text that holds one followed by key characters is a pasted key. */
const KEY_LIKE =
  /(?:sk-[A-Za-z0-9_-]{12}|neo_sk_[A-Za-z0-9]{12}|xai-[A-Za-z0-9_]{12}|vck_[A-Za-z0-9]{12}|AIza[A-Za-z0-9_-]{12}|AQ\.[A-Za-z0-9_-]{16}|ABSK[A-Za-z0-9+/]{16}|bedrock-api-key-|A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}|-----BEGIN|"private_key"|eyJ[A-Za-z0-9_-]{16}\.)/;

/** Long runs of key characters that mix letters and digits: hex keys, base64 keys and the like, but not UUIDs. */
const RUN = /[A-Za-z0-9+/_=-]{28,}/g;
const UUID_LIKE = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Whether a text is likely a credential that was pasted into the wrong field. */
export function looksLikeSecret(text: string): boolean {
  if (KEY_LIKE.test(text)) return true;
  for (const [run] of text.matchAll(RUN)) {
    if (UUID_LIKE.test(run)) continue;
    const digits = run.replace(/[^0-9]/g, "").length;
    const letters = run.replace(/[^A-Za-z]/g, "").length;
    // Words joined by dashes have few digits, numbers few letters; keys have many of both in one piece.
    const longest = run
      .split(/[-_=/+]/)
      .reduce((most, part) => (part.length > most ? part.length : most), 0);
    if (digits >= 4 && letters >= 4 && longest >= 24) return true;
  }
  return false;
}

/** A name or location given by people. */
export function checkText(field: string, text: string): readonly Violation[] {
  if (text.length > TEXT_CHARACTERS_MAX) {
    return [
      { field, description: `is ${text.length} characters, the most is ${TEXT_CHARACTERS_MAX}` },
    ];
  }
  if (CONTROL.test(text)) return [{ field, description: "holds a control character" }];
  if (looksLikeSecret(text)) {
    return [
      { field, description: "looks like a credential (secret_in_metadata); give it as the secret" },
    ];
  }
  return [];
}

/** Values of an allow-list. */
export function checkAllowList(field: string, list: readonly string[]): readonly Violation[] {
  if (list.length > ALLOW_LIST_MAX) {
    return [{ field, description: `has ${list.length} values, the most is ${ALLOW_LIST_MAX}` }];
  }
  return list.flatMap((value, index) => {
    const at = `${field}[${index}]`;
    if (value === "") return [{ field: at, description: "is empty" }];
    if (value.length > TEXT_CHARACTERS_MAX) {
      return [
        {
          field: at,
          description: `is ${value.length} characters, the most is ${TEXT_CHARACTERS_MAX}`,
        },
      ];
    }
    return CONTROL.test(value) ? [{ field: at, description: "holds a control character" }] : [];
  });
}

export const checkUuid = (field: string, text: string): readonly Violation[] =>
  isUuid(text) ? [] : [{ field, description: "is not a lower-case UUID" }];
