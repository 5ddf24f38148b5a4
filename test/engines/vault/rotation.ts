import { keyShape } from "./keys.ts";
import { base64, batch, done, ok, type Row, refused, row } from "./row.ts";
import { absent, ciphertext, count, isAbout, keyOf32Bytes, type Shape } from "./shape.ts";

const context = base64("owner-1");
const plaintext = base64("hello");

const kek = (facts: { readonly [field: string]: Shape }): Shape =>
  keyShape({ name: "kek", derived: true, deletion_allowed: false, ...facts });
const rotated = kek({
  keys: { 1: count, 2: count },
  latest_version: 2,
  min_available_version: 0,
  min_decryption_version: 1,
  min_encryption_version: 0,
});
const raised = {
  keys: { 1: absent, 2: count },
  latest_version: 2,
  min_decryption_version: 2,
  min_encryption_version: 2,
};
const unopened = { error: isAbout(/authentication/), ciphertext: absent, reference: "r2" };

const KEK = "POST {transit}/keys/kek";
const ENCRYPT = "POST {transit}/encrypt/kek";
const DECRYPT = "POST {transit}/decrypt/kek";
const REWRAP = "POST {transit}/rewrap/kek";

const VERSIONS: readonly Row[] = [
  row("rotates a key to a new version", "root", `${KEK}/rotate`, ok(rotated), { body: {} }),
  row("shows both versions", "root", "GET {transit}/keys/kek", ok(rotated)),
  row("still opens what the old version sealed", "root", DECRYPT, ok({ plaintext }), {
    body: { ciphertext: "{sealed}", context },
  }),
  row(
    "encrypts with the newest version",
    "root",
    ENCRYPT,
    ok({ ciphertext: ciphertext(2), key_version: 2 }),
    { body: { plaintext, context }, keep: { resealed: "data.ciphertext" } },
  ),
  row(
    "encrypts with an old version if asked to",
    "root",
    ENCRYPT,
    ok({ ciphertext: ciphertext(1), key_version: 1 }),
    { body: { plaintext, context, key_version: 1 } },
  ),
  row("encrypts with no version yet to come", "root", ENCRYPT, refused(400, /higher/), {
    body: { plaintext, context, key_version: 9 },
  }),
  row("encrypts with no negative version", "root", ENCRYPT, refused(400, /negative/), {
    body: { plaintext, context, key_version: -1 },
  }),
  row(
    "rewraps to the newest version",
    "root",
    REWRAP,
    ok({ ciphertext: ciphertext(2), key_version: 2 }),
    { body: { ciphertext: "{sealed}", context }, keep: { rewrapped: "data.ciphertext" } },
  ),
  row("rewraps under no other context", "root", REWRAP, refused(400, /authentication/), {
    body: { ciphertext: "{sealed}", context: base64("x") },
  }),
  row(
    "answers 200 to a rewrapped batch with a bad item",
    "root",
    REWRAP,
    batch([
      { ciphertext: ciphertext(2), key_version: 2, error: absent, reference: "r1" },
      unopened,
    ]),
    {
      body: {
        batch_input: [
          { ciphertext: "{one}", context: base64("o1"), reference: "r1" },
          { ciphertext: "{two}", context: base64("wrong"), reference: "r2" },
        ],
      },
    },
  ),
  row("answers 200 even if none was rewrapped", "root", REWRAP, batch([unopened]), {
    body: {
      batch_input: [{ ciphertext: "{two}", context: base64("wrong"), reference: "r2" }],
    },
  }),
];

const MINIMUMS: readonly Row[] = [
  row(
    "takes no minimum beyond the newest version",
    "root",
    `${KEK}/config`,
    refused(400, /latest/),
    { body: { min_decryption_version: 9 } },
  ),
  row(
    "takes no minimum to encrypt below that to decrypt",
    "root",
    `${KEK}/config`,
    refused(400, /min encryption/),
    { body: { min_decryption_version: 2, min_encryption_version: 1 } },
  ),
  row(
    "raises both minimums and shows the versions left",
    "root",
    `${KEK}/config`,
    ok(kek({ ...raised, min_available_version: 0 })),
    { body: { min_decryption_version: 2, min_encryption_version: 2 } },
  ),
  row("opens nothing below the minimum", "root", DECRYPT, refused(400, /too old/), {
    body: { ciphertext: "{sealed}", context },
  }),
  row("rewraps nothing below the minimum", "root", REWRAP, refused(400, /too old/), {
    body: { ciphertext: "{sealed}", context },
  }),
  row("opens what was rewrapped before", "root", DECRYPT, ok({ plaintext }), {
    body: { ciphertext: "{rewrapped}", context },
  }),
  row("trims to no version unnamed", "root", `${KEK}/trim`, refused(400, /min_available_version/), {
    body: {},
  }),
  row("trims to no version above the minimums", "root", `${KEK}/trim`, refused(400, /greater/), {
    body: { min_available_version: 3 },
  }),
  row("trims", "root", `${KEK}/trim`, ok(kek({ ...raised, min_available_version: 2 })), {
    body: { min_available_version: 2 },
  }),
  row(
    "shows what was trimmed to",
    "root",
    "GET {transit}/keys/kek",
    ok(kek({ ...raised, min_available_version: 2 })),
  ),
  row("takes no minimum that was trimmed", "root", `${KEK}/config`, refused(400, /available/), {
    body: { min_decryption_version: 1 },
  }),
];

const ENDS: readonly Row[] = [
  row(
    "deletes no key that may not be deleted",
    "root",
    "DELETE {transit}/keys/plain",
    refused(400, /not allowed/),
  ),
  row(
    "can be told that a key may be deleted",
    "root",
    "POST {transit}/keys/plain/config",
    ok(keyShape({ name: "plain", derived: false, deletion_allowed: true })),
    { body: { deletion_allowed: true } },
  ),
  row("deletes that key", "root", "DELETE {transit}/keys/plain", done),
  row(
    "makes a data key, in clear and wrapped",
    "root",
    "POST {transit}/datakey/plaintext/kek",
    ok({ ciphertext: ciphertext(2), key_version: 2, plaintext: keyOf32Bytes }),
    { body: { context, bits: 256 } },
  ),
  row(
    "makes a data key that is only handed out wrapped",
    "root",
    "POST {transit}/datakey/wrapped/kek",
    ok({ ciphertext: ciphertext(2), key_version: 2, plaintext: absent }),
    { body: { context } },
  ),
];

/** Versions of a key: new ones, the minimums, trimming, and the end of a key. */
export const ROTATION: readonly Row[] = [...VERSIONS, ...MINIMUMS, ...ENDS];
