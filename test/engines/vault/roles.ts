import { base64, done, loggedIn, ok, type Row, refused, row } from "./row.ts";
import { absent, ciphertext, count, type Shape, text, time } from "./shape.ts";

const context = base64("o1");
const plaintext = base64("x");

/** A policy, a role with it, its two ids and a login that is kept under the role's name. */
const roleRows = (
  name: string,
  policy: string,
  life: { readonly token_ttl: string; readonly token_max_ttl: string },
  seconds: number,
): readonly Row[] => [
  row(`takes the policy of the ${name}`, "root", `PUT sys/policies/acl/{p}-${name}`, done, {
    body: { policy },
  }),
  row(`takes the role of the ${name}`, "root", `POST auth/{approle}/role/{p}-${name}`, done, {
    body: { token_policies: [`{p}-${name}`], ...life },
  }),
  row(
    `tells the role id of the ${name}`,
    "root",
    `GET auth/{approle}/role/{p}-${name}/role-id`,
    ok({ role_id: text }),
    { keep: { [`${name}-role-id`]: "data.role_id" } },
  ),
  row(
    `makes a secret id for the ${name}, good for any number of logins`,
    "root",
    `POST auth/{approle}/role/{p}-${name}/secret-id`,
    ok({
      secret_id: text,
      secret_id_accessor: text,
      secret_id_num_uses: 0,
      secret_id_ttl: 0,
    }),
    { body: {}, keep: { [`${name}-secret-id`]: "data.secret_id" } },
  ),
  row(
    `lets the ${name} in`,
    null,
    "POST auth/{approle}/login",
    loggedIn(authShape(name, seconds)),
    {
      body: { role_id: `{${name}-role-id}`, secret_id: `{${name}-secret-id}` },
      keep: { [name]: "auth.client_token" },
    },
  ),
];

const authShape = (name: string, seconds: number): { readonly [field: string]: Shape } => ({
  client_token: text,
  accessor: text,
  token_policies: ["default", `{p}-${name}`],
  policies: ["default", `{p}-${name}`],
  metadata: { role_name: `{p}-${name}` },
  lease_duration: seconds,
  renewable: true,
  entity_id: text,
  token_type: "service",
  orphan: true,
  num_uses: 0,
});

const HOURS = { token_ttl: "1h", token_max_ttl: "4h" };
const SECONDS = { token_ttl: "2s", token_max_ttl: "5s" };

const LOGINS: readonly Row[] = [
  row("enables AppRole", "root", "POST sys/auth/{approle}", done, { body: { type: "approle" } }),
  ...roleRows(
    "writer",
    `path "{transit}/encrypt/kek" { capabilities = ["update"] }
     path "{kv}/data/*" { capabilities = ["create", "update"] }`,
    HOURS,
    3600,
  ),
  ...roleRows(
    "reader",
    `path "{transit}/decrypt/kek" { capabilities = ["update"] }
     path "{kv}/data/*" { capabilities = ["read"] }`,
    HOURS,
    3600,
  ),
  ...roleRows(
    "mover",
    `path "{transit}/rewrap/kek" { capabilities = ["update"] }
     path "{kv}/metadata/*" { capabilities = ["list", "read"] }`,
    SECONDS,
    2,
  ),
  row(
    "lets nobody in with a wrong secret id",
    null,
    "POST auth/{approle}/login",
    refused(400, /invalid/),
    { body: { role_id: "{writer-role-id}", secret_id: "wrong" } },
  ),
  row(
    "lets nobody in with a wrong role id",
    null,
    "POST auth/{approle}/login",
    refused(400, /invalid/),
    { body: { role_id: "wrong", secret_id: "wrong" } },
  ),
  row(
    "fails over a login without anything",
    null,
    "POST auth/{approle}/login",
    refused(500, /role_id/),
    { body: {} },
  ),
  row(
    "tells a token about itself",
    "writer",
    "GET auth/token/lookup-self",
    ok({
      accessor: text,
      creation_time: count,
      creation_ttl: 3600,
      display_name: "{approle}",
      entity_id: text,
      expire_time: time,
      explicit_max_ttl: 0,
      id: "{writer}",
      issue_time: time,
      meta: { role_name: "{p}-writer" },
      num_uses: 0,
      orphan: true,
      path: "auth/{approle}/login",
      policies: ["default", "{p}-writer"],
      renewable: true,
      ttl: count,
      type: "service",
    }),
  ),
];

const ENCRYPT = "POST {transit}/encrypt/kek";
const DECRYPT = "POST {transit}/decrypt/kek";
const REWRAP = "POST {transit}/rewrap/kek";
const denied = refused(403, /permission denied/);

const RIGHTS: readonly Row[] = [
  row(
    "lets the writer encrypt",
    "writer",
    ENCRYPT,
    ok({ ciphertext: ciphertext(2), key_version: 2 }),
    { body: { plaintext, context }, keep: { wrapped: "data.ciphertext" } },
  ),
  row("keeps the writer from decrypting", "writer", DECRYPT, denied, {
    body: { ciphertext: "{wrapped}", context },
  }),
  row(
    "lets the writer make a record",
    "writer",
    "POST {kv}/data/p/q",
    ok({
      created_time: time,
      custom_metadata: null,
      deletion_time: "",
      destroyed: false,
      version: 1,
    }),
    { body: { options: { cas: 0 }, data: { x: "1" } } },
  ),
  row("keeps the writer from reading it", "writer", "GET {kv}/data/p/q", denied),
  row("lets the reader decrypt", "reader", DECRYPT, ok({ plaintext }), {
    body: { ciphertext: "{wrapped}", context },
  }),
  row("keeps the reader from encrypting", "reader", ENCRYPT, denied, {
    body: { plaintext, context },
  }),
  row(
    "lets the reader read",
    "reader",
    "GET {kv}/data/p/q",
    ok({ data: { x: "1" }, metadata: { version: 1, destroyed: false, deletion_time: "" } }),
  ),
  row("keeps the reader from listing", "reader", "GET {kv}/metadata/p?list=true", denied),
  row(
    "lets the mover rewrap",
    "mover",
    REWRAP,
    ok({ ciphertext: ciphertext(2), key_version: 2, plaintext: absent }),
    { body: { ciphertext: "{wrapped}", context } },
  ),
  row("keeps the mover from decrypting", "mover", DECRYPT, denied, {
    body: { ciphertext: "{wrapped}", context },
  }),
  row("lets the mover list", "mover", "GET {kv}/metadata/p?list=true", ok({ keys: ["q"] })),
];

const TOKENS: readonly Row[] = [
  row("prolongs a token", "mover", "POST auth/token/renew-self", loggedIn(authShape("mover", 2)), {
    body: {},
  }),
  row("knows no token beyond its longest life", "mover", REWRAP, denied, {
    body: { ciphertext: "{wrapped}", context },
    secondsBefore: 6,
  }),
  row("prolongs no token that is over", "mover", "POST auth/token/renew-self", denied, {
    body: {},
  }),
  row("shows nothing without a token", null, "GET {transit}/keys/kek", denied),
  row("knows no token that was made up", "s.made-up", "GET {transit}/keys/kek", denied),
  row(
    "tells a token what it may do, twice over",
    "writer",
    "POST sys/capabilities-self",
    {
      status: 200,
      answer: {
        "{transit}/encrypt/kek": ["update"],
        "{transit}/decrypt/kek": ["deny"],
        data: { "{transit}/encrypt/kek": ["update"], "{transit}/decrypt/kek": ["deny"] },
      },
    },
    { body: { paths: ["{transit}/encrypt/kek", "{transit}/decrypt/kek"] } },
  ),
  row("ends a token at its own wish", "writer", "POST auth/token/revoke-self", done, { body: {} }),
  row("knows no token that was ended", "writer", ENCRYPT, denied, {
    body: { plaintext, context },
  }),
];

/** Who may come in, what each may do, and how long. */
export const ROLES: readonly Row[] = [...LOGINS, ...RIGHTS, ...TOKENS];
