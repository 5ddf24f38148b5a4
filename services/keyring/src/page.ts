/** Bytes that a page of a list may take: the rest of an answer, and what encloses each of its messages, comes on top. */
export const PAGE_BYTES_MAX = 900_000;

/**
 * The first of `messages`, as many as fit into `max` bytes, but one at least: a page without any would never let a reader
 * get past it.
 * @param sizeOf encoded bytes of one; asked for no more of them than are looked at.
 */
export function takeBytes<T>(
  messages: readonly T[],
  sizeOf: (message: T) => number,
  max: number,
): readonly T[] {
  let bytes = 0;
  const cut = messages.findIndex((message, index) => {
    bytes += sizeOf(message);
    return bytes > max && index > 0;
  });
  return cut < 0 ? messages : messages.slice(0, cut);
}
