/** Bytes of one request message, on every listener: the largest legitimate one holds a secret and three full allow-lists. */
export const REQUEST_BYTES_MAX = 256 * 1024;

/** Bytes of one answer in its binary form: what gRPC clients take is four times that, unless told otherwise. */
export const ANSWER_BYTES_MAX = 1024 * 1024;
