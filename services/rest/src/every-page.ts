import type { KeyringClient } from "./keyring-client.ts";

/** Lists to the end: a page ends early where its keys are too many bytes for one answer. */
export const everyPage =
  (listKeys: KeyringClient["listKeys"]): KeyringClient["listKeys"] =>
  async (request, options) => {
    const first = await listKeys(request, options);
    if (first.keys.length === first.totalCount) return first;
    const keys = [...first.keys];
    while (keys.length < first.totalCount) {
      const page = await listKeys({ ...request, offset: keys.length }, options);
      // Somebody deleted keys meanwhile: what was there is all there is.
      if (page.keys.length === 0) break;
      keys.push(...page.keys);
    }
    return { ...first, keys };
  };
