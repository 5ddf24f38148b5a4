import { base64, batch, ok, okWithWarning, type Row, refused, row } from "./row.ts";
import { absent, ciphertext, isAbout, text } from "./shape.ts";

const context = base64("owner-1");
const plaintext = base64("hello");
const otherContext = base64("another owner");
const failed = { error: text, ciphertext: absent, reference: "" };
const unopened = { plaintext: "", error: isAbout(/authentication/), reference: "" };

const ENCRYPT = "POST {transit}/encrypt/kek";
const DECRYPT = "POST {transit}/decrypt/kek";

const SINGLE: readonly Row[] = [
  row(
    "encrypts nothing under an unknown key",
    "root",
    "POST {transit}/encrypt/none",
    refused(400, /key not found/),
    { body: { plaintext, context } },
  ),
  row("encrypts", "root", ENCRYPT, ok({ ciphertext: ciphertext(1), key_version: 1 }), {
    body: { plaintext, context },
    keep: { sealed: "data.ciphertext" },
  }),
  row("decrypts", "root", DECRYPT, ok({ plaintext }), {
    body: { ciphertext: "{sealed}", context },
  }),
  row("opens under no other context", "root", DECRYPT, refused(400, /authentication/), {
    body: { ciphertext: "{sealed}", context: otherContext },
  }),
  row("opens under no missing context", "root", DECRYPT, refused(400, /context/), {
    body: { ciphertext: "{sealed}" },
  }),
  row("encrypts under no missing context", "root", ENCRYPT, refused(400, /context/), {
    body: { plaintext },
  }),
  row("wants a context in base64", "root", ENCRYPT, refused(400, /base64/), {
    body: { plaintext, context: "***" },
  }),
  row("wants a plaintext in base64", "root", ENCRYPT, refused(400, /base64/), {
    body: { plaintext: "***", context },
  }),
  row("wants a plaintext", "root", ENCRYPT, refused(400, /plaintext/), { body: { context } }),
  row(
    "encrypts an empty plaintext",
    "root",
    ENCRYPT,
    ok({ ciphertext: ciphertext(1), key_version: 1 }),
    { body: { plaintext: "", context } },
  ),
  row(
    "passes over a nonce of the caller's, with a warning",
    "root",
    ENCRYPT,
    okWithWarning({ ciphertext: ciphertext(1), key_version: 1 }, /nonce/),
    { body: { plaintext, context, nonce: base64("123456789012") } },
  ),
  row("wants a ciphertext", "root", DECRYPT, refused(400, /ciphertext/), { body: { context } }),
  row("wants its own mark before a ciphertext", "root", DECRYPT, refused(400, /prefix/), {
    body: { ciphertext: "zzz", context },
  }),
  row("wants all parts of a ciphertext", "root", DECRYPT, refused(400, /fields/), {
    body: { ciphertext: "vault:v1", context },
  }),
  row("wants a number for a version", "root", DECRYPT, refused(400, /version number/), {
    body: { ciphertext: "vault:vx:AAAA", context },
  }),
  row("refuses a version that is yet to come", "root", DECRYPT, refused(400, /too new/), {
    body: { ciphertext: "vault:v9:AAAA", context },
  }),
  row("wants the sealed bytes in base64", "root", DECRYPT, refused(400, /base64/), {
    body: { ciphertext: "vault:v1:***", context },
  }),
  row("refuses bytes too few for a nonce", "root", DECRYPT, refused(400, /length/), {
    body: { ciphertext: "vault:v1:AAAA", context },
  }),
  row(
    "decrypts nothing under an unknown key",
    "root",
    "POST {transit}/decrypt/none",
    refused(400, /key not found/),
    { body: { ciphertext: "{sealed}", context } },
  ),
  row("refuses half a JSON", "root", ENCRYPT, refused(400, /JSON/), { rawBody: "{" }),
  row("refuses JSON that is no object", "root", ENCRYPT, refused(400, /JSON/), { rawBody: "[]" }),
  row(
    "encrypts with associated data",
    "root",
    ENCRYPT,
    ok({ ciphertext: ciphertext(1), key_version: 1 }),
    {
      body: { plaintext, context, associated_data: base64("aad") },
      keep: { bound: "data.ciphertext" },
    },
  ),
  row("decrypts with the same associated data", "root", DECRYPT, ok({ plaintext }), {
    body: { ciphertext: "{bound}", context, associated_data: base64("aad") },
  }),
  row("does not decrypt without it", "root", DECRYPT, refused(400, /authentication/), {
    body: { ciphertext: "{bound}", context },
  }),
  row(
    "never rewraps what has associated data, even with it",
    "root",
    "POST {transit}/rewrap/kek",
    refused(400, /authentication/),
    { body: { ciphertext: "{bound}", context, associated_data: base64("aad") } },
  ),
];

const one = { plaintext: base64("a"), context: base64("o1") };
const two = { plaintext: base64("b"), context: base64("o2") };
const illegible = { plaintext: "***", context: base64("o2") };
const sealedOne = { ciphertext: "{one}", context: base64("o1") };
const sealedTwo = { ciphertext: "{two}", context: base64("o2") };
const misplaced = { ciphertext: "{two}", context: base64("wrong") };

const BATCHES: readonly Row[] = [
  row(
    "encrypts a batch in its order, and repeats the references",
    "root",
    ENCRYPT,
    batch([
      { ciphertext: ciphertext(1), key_version: 1, reference: "r1" },
      { ciphertext: ciphertext(1), key_version: 1, reference: "r2" },
    ]),
    {
      body: {
        batch_input: [
          { ...one, reference: "r1" },
          { ...two, reference: "r2" },
        ],
      },
      keep: { one: "data.batch_results.0.ciphertext", two: "data.batch_results.1.ciphertext" },
    },
  ),
  row(
    "answers 400 to a batch with a bad item, and yet encrypts the others",
    "root",
    ENCRYPT,
    batch(
      [{ ciphertext: ciphertext(1), key_version: 1, error: absent, reference: "" }, failed],
      400,
    ),
    { body: { batch_input: [one, illegible] } },
  ),
  row(
    "answers such a batch with the status the caller wants",
    "root",
    ENCRYPT,
    batch([{ ciphertext: ciphertext(1), key_version: 1, error: absent, reference: "" }, failed]),
    { body: { partial_failure_response_code: 200, batch_input: [one, illegible] } },
  ),
  row("wants a context in all items or in none", "root", ENCRYPT, refused(400, /context/), {
    body: { batch_input: [one, { plaintext: base64("b") }] },
  }),
  row("refuses an empty batch", "root", ENCRYPT, refused(400, /batch/), {
    body: { batch_input: [] },
  }),
  row("fails over an item without a plaintext field", "root", ENCRYPT, refused(500, /plaintext/), {
    body: { batch_input: [{ context: base64("o1") }] },
  }),
  row(
    "decrypts a batch in its order",
    "root",
    DECRYPT,
    batch([
      { plaintext: base64("a"), reference: "r1" },
      { plaintext: base64("b"), reference: "r2" },
    ]),
    {
      body: {
        batch_input: [
          { ...sealedOne, reference: "r1" },
          { ...sealedTwo, reference: "r2" },
        ],
      },
    },
  ),
  row(
    "answers 400 to a batch with an item that does not open, and yet opens the others",
    "root",
    DECRYPT,
    batch([{ plaintext: base64("a"), error: absent, reference: "" }, unopened], 400),
    { body: { batch_input: [sealedOne, misplaced] } },
  ),
  row(
    "answers that one too with the status the caller wants",
    "root",
    DECRYPT,
    batch([{ plaintext: base64("a"), error: absent, reference: "" }, unopened]),
    { body: { partial_failure_response_code: 200, batch_input: [sealedOne, misplaced] } },
  ),
  row(
    "answers 400 whatever the caller wants if no item opened",
    "root",
    DECRYPT,
    batch([unopened], 400),
    { body: { partial_failure_response_code: 200, batch_input: [misplaced] } },
  ),
  row(
    "fails over an item without a ciphertext field",
    "root",
    DECRYPT,
    refused(500, /ciphertext/),
    {
      body: { batch_input: [{ context: base64("o1") }] },
    },
  ),
];

/** Encrypting and decrypting, one by one and in batches. */
export const ENCRYPTION: readonly Row[] = [...SINGLE, ...BATCHES];
