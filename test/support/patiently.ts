import { failureOf } from "./grpc-client.ts";

const ATTEMPTS_MAX = 50;
const PAUSE_MS = 50;

/**
 * Calls again where the answer is that a moment later all may be well. On a busy machine it may be: material is kept back
 * when its access record takes more than 250 ms to be on the disk.
 */
export async function patiently<T>(call: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const { reason, hasRetryInfo } = failureOf(error);
      if (reason === "" || !hasRetryInfo || attempt === ATTEMPTS_MAX) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
