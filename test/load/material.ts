import { randomBytes } from "node:crypto";

/** A made-up credential of a common provider: 164 characters, as OpenAI's project keys have. */
export const madeUpKey = (prefix = "sk-proj-"): Uint8Array =>
  Buffer.from(
    prefix +
      randomBytes(120)
        .toString("base64url")
        .slice(0, 164 - prefix.length),
  );
