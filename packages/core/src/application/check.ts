import type { Violation } from "../domain/rejection.ts";
import { isUuid } from "../domain/vocabulary.ts";

/** Form and bounds of what people set. Each check answers what is wrong, in words that name the bound and no value. */

export const TEXT_CHARACTERS_MAX = 255;
export const ALLOW_LIST_MAX = 100;

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]/;

/** Beginnings of provider keys and of our own, each with enough behind it to be no word that people use. */
const KEY_LIKE = new RegExp(
  `(?<![A-Za-z0-9])(?:${[
    "sk-(?:ant|or-v1|proj|svcacct|service|admin)-[A-Za-z0-9_-]{12}",
    "sk-[A-Za-z0-9]{20}",
    "neo_sk_[A-Za-z0-9]{12}",
    "xai-(?=[A-Za-z_]*[0-9])[A-Za-z0-9_]{20}",
    "vck_[A-Za-z0-9]{12}",
    "AIza[A-Za-z0-9_-]{12}",
    "AQ\\.(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{20}",
    "ABSK[A-Za-z0-9+/]{16}",
    "bedrock-api-key-YmVk",
    "A(?:KIA|SIA|BIA|CCA)[A-Z2-7]{16}",
    "eyJ[A-Za-z0-9_-]{16,}\\.",
  ].join("|")})|-----BEGIN|private_key\\\\?"|T3BlbkFJ`,
);

const UUID_LIKE = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;
/** Characters that keys without a known beginning are made of, in one piece. */
const PIECE = /[A-Za-z0-9+/]{28,}/g;
const HEX = /(?:[0-9a-f]{32}|[0-9A-F]{32})/;
const WORD = /[A-Z]?[a-z]+|[A-Z]+|[0-9]+/g;
/** Words and numbers that people join are some six characters long, what looks like one in a key about two. */
const WORD_CHARACTERS_MIN = 4;

/** Whether a text holds what begins like a key: for fields that gateways fill, where random ids are no offence. */
export const holdsKey = (text: string): boolean => KEY_LIKE.test(text);

/** Whether a text is likely a credential that was pasted into the wrong field. */
export function looksLikeSecret(text: string): boolean {
  if (KEY_LIKE.test(text)) return true;
  const pieces = text.replace(UUID_LIKE, " ").match(PIECE) ?? [];
  return pieces.some((piece) => {
    if (HEX.test(piece) && /[0-9]/.test(piece) && /[A-Fa-f]/.test(piece)) return true;
    const isPath = /[+/]/.test(piece) && !(/[a-z]/.test(piece) && /[A-Z]/.test(piece));
    const characters = piece.replace(/[+/]/g, "").length;
    const words = piece.match(WORD)?.length ?? 0;
    return !isPath && characters >= 28 && characters < words * WORD_CHARACTERS_MIN;
  });
}

const CREDENTIAL = "looks like a credential (secret_in_metadata); give it as the secret";

/** A name or location given by people. */
export function checkText(field: string, text: string): readonly Violation[] {
  if (text.length > TEXT_CHARACTERS_MAX) {
    return [
      { field, description: `is ${text.length} characters, the most is ${TEXT_CHARACTERS_MAX}` },
    ];
  }
  if (CONTROL.test(text)) return [{ field, description: "holds a control character" }];
  if (looksLikeSecret(text)) {
    return [{ field, description: CREDENTIAL }];
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
    if (CONTROL.test(value)) return [{ field: at, description: "holds a control character" }];
    // Ids and hashes look as random as keys: only what begins like a key is one.
    if (KEY_LIKE.test(value)) return [{ field: at, description: CREDENTIAL }];
    return [];
  });
}

export const checkUuid = (field: string, text: string): readonly Violation[] =>
  isUuid(text) ? [] : [{ field, description: "is not a lower-case UUID" }];
