const WHOLE = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Padded base64 and nothing beside it; `undefined` if it is none. */
export const base64Bytes = (text: string): Buffer | undefined =>
  WHOLE.test(text) ? Buffer.from(text, "base64") : undefined;

/** Where it stops being base64. */
export function firstIllegalByte(text: string): number {
  const at = text.search(/[^A-Za-z0-9+/]/);
  return at < 0 ? text.length : at;
}
