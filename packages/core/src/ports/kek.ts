/** A data key under the key-encryption key. */
export interface WrappedKey {
  readonly kekId: string;
  readonly kekVersion: number;
  readonly bytes: Uint8Array;
}

/**
 * Wraps and unwraps data keys under a context. A key wrapped under one context opens under no other. The outcome of
 * each item stands by itself.
 */
export interface Kek {
  /** @param dek 32 bytes. @throws {StoreUnavailable} the keys are out of reach. */
  wrap(dek: Uint8Array, context: Uint8Array): Promise<WrappedKey>;
  /** @returns per item the 32 bytes, or `null` where it does not open: another context, altered, or a version that is gone. */
  unwrap(
    items: readonly { wrapped: WrappedKey; context: Uint8Array }[],
  ): Promise<readonly (Uint8Array | null)[]>;
  /** Like unwrap, then wrap under the current version, without the data key leaving the keeper. */
  rewrap(
    items: readonly { wrapped: WrappedKey; context: Uint8Array }[],
  ): Promise<readonly (WrappedKey | null)[]>;
  /** What new wraps are made with. */
  current(): Promise<{ readonly id: string; readonly version: number }>;
  /** Makes a new version; old ones still unwrap. */
  rotate(): Promise<{ readonly id: string; readonly version: number }>;
}
