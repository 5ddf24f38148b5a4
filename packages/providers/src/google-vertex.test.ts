import { createPrivateKey, generateKeyPairSync, type KeyObject } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { googleVertex } from "./google-vertex.ts";

/** The RSA key of RFC 7515, appendix A.2: published, and it protects nothing. */
const RFC_7515_KEY = createPrivateKey({
  format: "jwk",
  key: {
    kty: "RSA",
    e: "AQAB",
    n: "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    d: "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    p: "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    q: "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    dp: "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    dq: "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    qi: "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuMmJTKzmDQGEaSTsOc-9-Ig-cQEf9IQ8L4OpzUIS5WNEgqzhUWH8m0MNQGSVgbwkDbYh-ZQJhHmJJp2nIlRB_-T5zcH5EVmlNQxz5rQ0OnzwX14_KXbqCOQsxzMHJ1s",
  },
});
const pemOf = (key: KeyObject) => String(key.export({ type: "pkcs8", format: "pem" }));
const PEM = pemOf(RFC_7515_KEY);

const FILE = {
  type: "service_account",
  project_id: "example-project",
  private_key_id: "0123456789abcdef0123456789abcdef01234567",
  private_key: PEM,
  client_email: "probe@example-project.iam.gserviceaccount.com",
  client_id: "1",
  auth_uri: "https://accounts.google.com/o/oauth2/auth",
  token_uri: "https://oauth2.googleapis.com/token",
  client_x509_cert_url: "https://evil.example/cert",
  universe_domain: "googleapis.com",
};
const LABEL = "probe@example-project 012345";

const parse = (material: string | object, location: string | null = null) =>
  googleVertex.parse(
    Buffer.from(typeof material === "string" ? material : JSON.stringify(material)),
    location,
  );
const refusedField = (parsed: ReturnType<typeof parse>) =>
  "label" in parsed ? undefined : parsed.map(({ field }) => field);
const without = (name: keyof typeof FILE) => {
  const { [name]: _, ...rest } = FILE;
  return rest;
};

describe("A service account file", () => {
  it("is described by its account, the beginning of its key id, and the default region", () => {
    expect(parse(FILE)).toStrictEqual({ label: LABEL, location: "us-central1", expiresAt: null });
  });

  it("takes the region that is given before its own, and its own before the default", () => {
    const own = { ...FILE, region: "europe-west1" };
    expect(parse(own)).toMatchObject({ location: "europe-west1" });
    expect(parse(own, " ")).toMatchObject({ location: "europe-west1" });
    expect(parse(own, "us-east5")).toMatchObject({ location: "us-east5" });
    expect(parse(FILE, "global")).toMatchObject({ location: "global" });
  });

  it.for([
    ["without the optional members", { ...without("token_uri"), universe_domain: undefined }],
    [
      "with an older token address",
      { ...FILE, token_uri: "https://accounts.google.com/o/oauth2/token" },
    ],
    [
      "with another older one",
      { ...FILE, token_uri: "https://www.googleapis.com/oauth2/v4/token" },
    ],
    ["with line breaks as two characters", { ...FILE, private_key: PEM.replaceAll("\n", "\\n") }],
    ["with line breaks of Windows", { ...FILE, private_key: PEM.replaceAll("\n", "\r\n") }],
    ["with a bucket", { ...FILE, bucket: "gs://b" }],
  ] as const)("is accepted %s", ([, file]) => {
    expect(parse(file)).toMatchObject({ label: LABEL });
  });

  it("is labelled without the key id where that does not look like one", () => {
    expect(parse({ ...FILE, private_key_id: "not a key id" })).toMatchObject({
      label: "probe@example-project",
    });
    expect(parse(without("private_key_id"))).toMatchObject({ label: "probe@example-project" });
  });

  it("is labelled without the account where a secret may have slipped into its place", () => {
    expect(parse({ ...FILE, client_email: PEM })).toMatchObject({
      label: "service account 012345",
    });
  });

  it("has its long account cut short", () => {
    const email = `${"a".repeat(60)}@example-project.iam.gserviceaccount.com`;
    expect(parse({ ...FILE, client_email: email })).toMatchObject({
      label: `${"a".repeat(40)}... 012345`,
    });
  });

  const weak = pemOf(generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey);
  const elliptic = pemOf(generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey);
  const edwards = pemOf(generateKeyPairSync("ed25519").privateKey);
  const locked = String(
    RFC_7515_KEY.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }),
  );
  const urls = [
    "https://evil.example/token",
    "https://oauth2.googleapis.com/token/",
    "https://oauth2.googleapis.com.evil.example/token",
    "https://oauth2.googleapis.com@evil.example/token",
    "http://oauth2.googleapis.com/token",
    "http://169.254.169.254/token",
    "file:///etc/passwd",
    "",
    null,
    1,
    {},
  ];
  const external = {
    audience: "//iam.googleapis.com/x",
    subject_token_type: "urn:x",
    credential_source: {
      file: "/etc/passwd",
      url: "http://169.254.169.254/",
      executable: { command: "id" },
    },
    service_account_impersonation_url: "https://evil.example",
  };
  const hostile: readonly (readonly [string, string | object])[] = [
    ["no JSON", "AIza0123456789"],
    ["broken JSON", "{"],
    ["an array", [FILE]],
    ["a number", "1"],
    ["null", "null"],
    ["control characters", "{\u0000\u0000"],
    ["an empty object", {}],
    ...[
      "external_account",
      "external_account_authorized_user",
      "impersonated_service_account",
      "authorized_user",
      "gdch_service_account",
      "SERVICE_ACCOUNT",
      "",
      1,
      null,
    ].map((type) => [`type ${type}`, { ...FILE, ...external, type }] as const),
    ...(["type", "client_email", "private_key", "project_id"] as const).flatMap((name) => [
      [`no ${name}`, without(name)] as const,
      [`an empty ${name}`, { ...FILE, [name]: "" }] as const,
      [`${name} that is no text`, { ...FILE, [name]: { x: 1 } }] as const,
    ]),
    ...urls.map((uri) => [`token_uri ${uri}`, { ...FILE, token_uri: uri }] as const),
    ...["evil.example", "googleapis.com.evil.example", "", null, 1].map(
      (domain) => [`universe_domain ${domain}`, { ...FILE, universe_domain: domain }] as const,
    ),
    ["a key of 1024 bits", { ...FILE, private_key: weak }],
    ["a key on a curve", { ...FILE, private_key: elliptic }],
    ["an Ed25519 key", { ...FILE, private_key: edwards }],
    ["a locked key", { ...FILE, private_key: locked }],
    ["a key cut short", { ...FILE, private_key: PEM.slice(0, 600) }],
    ["no PEM", { ...FILE, private_key: "x" }],
    [
      "a public key",
      { ...FILE, private_key: "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----" },
    ],
    ["a region that is a host", { ...FILE, region: "evil.example/#" }],
    ["too much", { ...FILE, pad: "x".repeat(16384) }],
    ["a prototype", `{"__proto__":${JSON.stringify(FILE)}}`],
  ];

  it("comes in more than forty hostile forms here", () => {
    expect(hostile.length).toBeGreaterThan(40);
  });

  it.for(hostile)("is refused with %s", ([, file]) => {
    expect(refusedField(parse(file))).toStrictEqual(["secret"]);
  });

  it("is refused where its bytes are no UTF-8", () => {
    const bytes = Buffer.from(JSON.stringify(FILE));
    bytes[20] = 0xff;
    expect(googleVertex.parse(bytes, null)).toMatchObject([{ field: "secret" }]);
  });
});

describe("A Google Cloud region", () => {
  it.for([
    "us-central1",
    "us-east5",
    "europe-west12",
    "northamerica-northeast1",
    "global",
    "us",
    "eu",
  ])("may be %s", (region) => {
    expect(googleVertex.checkLocation(region)).toStrictEqual({ location: region });
    expect(parse(FILE, region)).toMatchObject({ location: region });
  });

  it("is us-central1 where none is given", () => {
    expect(googleVertex.checkLocation(null)).toStrictEqual({ location: "us-central1" });
  });

  it.for([
    "US-CENTRAL1",
    "us-central1.evil.com/#",
    "us-central1@evil.com",
    "us-central",
    "central1",
    "asia",
    "-us-central1",
    "us--central1",
    "us-central1-a",
    "169.254.169.254",
    `us-${"a".repeat(60)}1`,
  ])("may not be %s", (region) => {
    expect(googleVertex.checkLocation(region)).toMatchObject([{ field: "location" }]);
    expect(refusedField(parse(FILE, region))).toStrictEqual(["location"]);
  });

  it("keeps every host name it gets into under googleapis.com", () => {
    const piece = fc.constantFrom(
      ..."us europe - central 1 2 . / @ # ? : evil.com global \\ %".split(" "),
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.array(piece, { maxLength: 8 }).map((all) => all.join("")),
          fc.string(),
        ),
        (region) => {
          const checked = googleVertex.checkLocation(region);
          if (!("location" in checked)) return;
          const host = `${checked.location}-aiplatform.googleapis.com`;
          expect(new URL(`https://${host}/v1`).host).toBe(host);
        },
      ),
      { numRuns: 10_000 },
    );
  });
});
