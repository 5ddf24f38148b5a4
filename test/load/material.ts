import { randomBytes } from "node:crypto";

const LENGTH = 164;
const BODY = randomBytes(LENGTH).toString("base64url");
let made = 0;

/**
 * Another credential each time, as long as OpenAI's project keys are. They differ in a count only: making them shall
 * cost nothing that is taken for the price of storing them.
 */
export function madeUpKey(prefix = "sk-proj-"): Uint8Array {
  const count = String(made++);
  return Buffer.from(prefix + BODY.slice(0, LENGTH - prefix.length - count.length) + count);
}
