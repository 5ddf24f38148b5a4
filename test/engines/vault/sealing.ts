import { base64, done, ok, plain, type Row, refused, row } from "./row.ts";
import { count, text } from "./shape.ts";

const sealed = { initialized: true, sealed: true, standby: true, server_time_utc: count };

/** Closed and opened again. */
export const SEALING: readonly Row[] = [
  row("seals itself", "root", "PUT sys/seal", done),
  row("is not well while sealed", null, "GET sys/health", plain(sealed, 503), { patient: true }),
  row(
    "says so with the status the caller wants",
    null,
    "GET sys/health?sealedcode=200",
    plain(sealed),
  ),
  row(
    "encrypts nothing while sealed",
    "root",
    "POST {transit}/encrypt/kek",
    refused(503, /sealed/),
    { body: { plaintext: base64("x"), context: base64("o1") } },
  ),
  row("lets nobody in while sealed", null, "POST auth/{approle}/login", refused(503, /sealed/), {
    body: { role_id: "{reader-role-id}", secret_id: "{reader-secret-id}" },
  }),
  row(
    "opens with its key",
    null,
    "PUT sys/unseal",
    plain({ initialized: true, sealed: false, t: count, n: count, progress: 0, version: text }),
    { body: { key: "{unseal}" } },
  ),
  row(
    "is well again",
    null,
    "GET sys/health",
    plain({ initialized: true, sealed: false, standby: false }),
    { patient: true },
  ),
  row(
    "opens what it sealed before",
    "root",
    "POST {transit}/decrypt/kek",
    ok({ plaintext: base64("hello") }),
    { body: { ciphertext: "{resealed}", context: base64("owner-1") } },
  ),
];
