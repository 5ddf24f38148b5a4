import { MATERIAL_BYTES_MAX } from "@keyledger/core";
import { parseJson } from "./json.ts";

/** Whether a credential means to be JSON: no plain key begins with a bracket. */
export const looksLikeJson = (material: Uint8Array): boolean =>
  material[0] === 0x7b || material[0] === 0x5b;

/**
 * The one place where a credential becomes a string: `JSON.parse` takes nothing else. Whoever asks keeps no part of it
 * beyond the call.
 * @returns `undefined` where the bytes are no JSON text in UTF-8, or too many.
 */
export function parseJsonCredential(material: Uint8Array): unknown {
  if (material.byteLength > MATERIAL_BYTES_MAX) return undefined;
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(material);
  } catch {
    return undefined;
  }
  return parseJson(text);
}

/** A text that may stand in a request header; empty ones may not. */
export const isVisibleText = (value: unknown): value is string =>
  typeof value === "string" && /^[\x21-\x7e]+$/.test(value);
