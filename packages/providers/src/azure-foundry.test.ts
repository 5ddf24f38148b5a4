import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseAzureEndpoint } from "./azure-endpoint.ts";
import { azureFoundry } from "./azure-foundry.ts";

const KEY = "0123456789abcdef0123456789abcdef";
const SUFFIXES = [
  ".openai.azure.com",
  ".services.ai.azure.com",
  ".cognitiveservices.azure.com",
  ".openai.azure.us",
  ".cognitiveservices.azure.us",
  ".api.cognitive.microsoft.com",
];
const ORIGIN = "https://my-res.openai.azure.com";

const parse = (material: string | object, location: string | null = null) =>
  azureFoundry.parse(
    Buffer.from(typeof material === "string" ? material : JSON.stringify(material)),
    location,
  );
const refusedField = (parsed: ReturnType<typeof parse>) =>
  "label" in parsed ? undefined : parsed.map(({ field }) => field);

describe("An Azure endpoint", () => {
  it.for(SUFFIXES)("of %s is reduced to its origin, whatever was pasted with it", (suffix) => {
    for (const before of ["", "https://", "http://", "HTTPS://", "  https://"]) {
      for (const after of [
        "",
        "/",
        ":443",
        ":443/",
        "/openai",
        "/openai/v1",
        "/openai/v1/",
        "/models",
        "/anthropic",
        "/api/projects/some-project",
        "/openai/deployments/gpt/chat/completions",
        " \n",
      ]) {
        expect(parseAzureEndpoint(`${before}My-Res${suffix}${after}`)).toStrictEqual({
          origin: `https://my-res${suffix}`,
          resource: "my-res",
        });
      }
    }
  });

  it("has one label of at most 63 characters in front of the suffix", () => {
    expect(parseAzureEndpoint(`${"a".repeat(63)}.openai.azure.com`)).toBeDefined();
    expect(parseAzureEndpoint(`${"a".repeat(64)}.openai.azure.com`)).toBeUndefined();
  });

  it("may carry a query only where a per-deployment URL is expected", () => {
    const url = `${ORIGIN}/openai/deployments/d/chat/completions?api-version=2024-10-21`;
    expect(parseAzureEndpoint(url)).toBeUndefined();
    expect(parseAzureEndpoint(url, { allowsQuery: true })?.origin).toBe(ORIGIN);
  });

  it("is none of some thousand URLs that lead elsewhere or are not quite right", () => {
    const corpus = ssrfCorpus();
    expect(corpus.length).toBeGreaterThan(1000);
    expect(corpus.filter((url) => parseAzureEndpoint(url) !== undefined)).toStrictEqual([]);
    expect(
      corpus.filter((url) => !refusedField(parse(KEY, url))?.includes("location")),
    ).toStrictEqual([]);
  });

  it("always lies under a suffix of Microsoft's, as a URL parser sees it too", () => {
    const piece = fc.constantFrom(
      ...SUFFIXES,
      ..."https:// http:// // / \\ @ : ? # . .. %2e %00 : 443 :443 :80 a evil.tld 127.0.0.1 [::1] xn--a \t \n 。".split(
        " ",
      ),
      " ",
      "my-res",
    );
    const text = fc.array(piece, { maxLength: 6 }).map((pieces) => pieces.join(""));
    const host = /^[a-z0-9][a-z0-9-]{0,62}$/;
    fc.assert(
      fc.property(fc.oneof(text, fc.webUrl(), fc.string()), fc.boolean(), (pasted, allowsQuery) => {
        const found = parseAzureEndpoint(pasted, { allowsQuery });
        if (found === undefined) return;
        const url = new URL(found.origin);
        expect(url.origin).toBe(found.origin);
        const suffix = SUFFIXES.find((known) => url.hostname.endsWith(known));
        expect(url.hostname.slice(0, -(suffix?.length ?? 0))).toMatch(host);
      }),
      { numRuns: 10_000 },
    );
  });
});

describe("A credential for Azure Foundry", () => {
  it("that is a plain key needs the endpoint as its location", () => {
    expect(parse(KEY, "my-res.openai.azure.com/openai/v1")).toStrictEqual({
      label: "my-res...cdef",
      location: ORIGIN,
      expiresAt: null,
    });
    expect(refusedField(parse(KEY))).toStrictEqual(["location"]);
    expect(refusedField(parse(KEY, "  "))).toStrictEqual(["location"]);
  });

  it("hides a short key altogether", () => {
    expect(parse("0123456789", ORIGIN)).toMatchObject({ label: "my-res...****" });
  });

  it.for([
    ["Edgee's", { endpoint: `${ORIGIN}/`, api_key: KEY }, ORIGIN],
    ["OpenRouter's, without a type", { api_key: KEY, resource_name: "My-Res" }, ORIGIN],
    [
      "OpenRouter's for OpenAI",
      { api_key: KEY, resource_name: "my-res", resource_type: "openai" },
      ORIGIN,
    ],
    [
      "OpenRouter's for Foundry",
      { api_key: KEY, resource_name: "my-res", resource_type: "ai_foundry" },
      "https://my-res.services.ai.azure.com",
    ],
    [
      "OpenRouter's per deployment",
      {
        api_key: KEY,
        endpoint_url: `${ORIGIN}/openai/deployments/d/chat/completions?api-version=2024-10-21`,
        model_id: "d",
        model_slug: "openai/gpt",
      },
      ORIGIN,
    ],
    ["an array of one", [{ api_key: KEY, resource_name: "my-res" }], ORIGIN],
    [
      "an array of several, of which the first counts",
      [
        { api_key: KEY, resource_name: "my-res" },
        { api_key: `${KEY}x`, resource_name: "other", resource_type: "ai_foundry" },
      ],
      ORIGIN,
    ],
  ] as const)("brings its endpoint along in the form %s", ([, form, location]) => {
    expect(parse(form)).toStrictEqual({ label: "my-res...cdef", location, expiresAt: null });
  });

  it("agrees with a location that is given all the same, or is refused", () => {
    const forms = [
      { api_key: KEY, resource_name: "my-res" },
      { api_key: `${KEY.slice(0, -4)}9999`, resource_name: "other" },
    ];
    expect(parse(forms, "https://other.openai.azure.com/openai")).toStrictEqual({
      label: "other...9999",
      location: "https://other.openai.azure.com",
      expiresAt: null,
    });
    expect(refusedField(parse(forms, "https://third.openai.azure.com"))).toStrictEqual([
      "location",
    ]);
  });

  it.for([
    "[]",
    "{}",
    "{",
    "[[]]",
    "[null]",
    "[1]",
    { endpoint: ORIGIN },
    { api_key: KEY },
    { endpoint: ORIGIN, api_key: 1 },
    { endpoint: ORIGIN, api_key: "short" },
    { endpoint: ORIGIN, api_key: `${KEY}\r\nX: y` },
    { endpoint: ORIGIN, api_key: "https://my-res.openai.azure.com" },
    { endpoint: "https://evil.example", api_key: KEY },
    { endpoint: `${ORIGIN}?x=y`, api_key: KEY },
    { endpoint: 1, resource_name: 2, api_key: KEY },
    { resource_name: "my-res.evil.example/", api_key: KEY },
    { resource_name: "xn--a", api_key: KEY },
    { resource_name: "", api_key: KEY },
    { resource_name: "my-res", resource_type: "__proto__", api_key: KEY },
    { endpoint_url: ORIGIN, api_key: KEY },
    { endpoint_url: ORIGIN, model_id: "d", model_slug: "", api_key: KEY },
    { endpoint_url: "https://evil.example/?x", model_id: "d", model_slug: "s", api_key: KEY },
    [
      { resource_name: "my-res", api_key: KEY },
      { endpoint: "https://evil.example", api_key: KEY },
    ],
  ])("is refused as %j", (form) => {
    expect(refusedField(parse(form))).toStrictEqual(["secret"]);
  });

  it("has a location of its own to check", () => {
    expect(azureFoundry.checkLocation(`${ORIGIN}/openai`)).toStrictEqual({ location: ORIGIN });
    expect(azureFoundry.checkLocation(null)).toMatchObject([{ field: "location" }]);
    expect(azureFoundry.checkLocation("https://evil.example")).toMatchObject([
      { field: "location" },
    ]);
  });
});

/** Everything that has ever fooled a check of a host. */
function ssrfCorpus(): readonly string[] {
  const good = "my-res.openai.azure.com";
  const hosts = [
    ..."127.0.0.1 127.1 2130706433 0x7f000001 0x7f.0.0.1 0177.0.0.1 017700000001 0 0.0.0.0".split(
      " ",
    ),
    ..."169.254.169.254 2852039166 0xa9fea9fe 0251.0376.0251.0376 10.0.0.1 192.168.0.1".split(" "),
    ..."[::1] [::] [::ffff:127.0.0.1] [::ffff:169.254.169.254] [fd00:ec2::254] [fe80::1]".split(
      " ",
    ),
    ..."[64:ff9b::a9fe:a9fe] [::ffff:7f00:1] ::1 168.63.129.16 100.100.100.200".split(" "),
    ..."localhost localhost.localdomain metadata.google.internal metadata kubernetes.default.svc".split(
      " ",
    ),
    ..."evil.tld openai.azure.com .openai.azure.com a.b.openai.azure.com azure.com".split(" "),
    ..."openai.azure.com.evil.tld my-res.openai.azure.com.evil.tld my-resopenai.azure.com".split(
      " ",
    ),
    ..."my-res.openai.azure.co my-res.openai.azure.community my-res.openai.azure.com.".split(" "),
    ..."my-res..openai.azure.com -my-res.openai.azure.com my_res.openai.azure.com".split(" "),
    ..."my-res.openai-azure.com my-res.openai.azure.com-evil.tld my-res.openai.azure.com:evil".split(
      " ",
    ),
    ..."xn--80ak6aa92e.openai.azure.com myrés.openai.azure.com my-res.openai。azure.com".split(" "),
    ..."my-res.openai.azure.cοm my-res.ｏpenai.azure.com ⓜy-res.openai.azure.com".split(" "),
    ..."my-res.openai.azure%2ecom my-res%2eopenai.azure.com my-res.openai.azure.com%00".split(" "),
    ..."my-res.openai.azure.com%2f@evil.tld my-res.services.ai.azure.us *.openai.azure.com".split(
      " ",
    ),
    ..."privatelink.openai.azure.com.internal a.privatelink.openai.azure.com".split(" "),
    ..."127.0.0.1.nip.io my-res.openai.azure.com.127.0.0.1.nip.io 1.openai.azure.com.10.0.0.1".split(
      " ",
    ),
  ];
  const onGood = [
    `user@${good}`,
    `user:pass@${good}`,
    `@${good}`,
    `:@${good}`,
    `${good}@evil.tld`,
    `${good}:443@evil.tld`,
    `evil.tld@${good}`,
    `evil.tld:80@${good}`,
    `evil.tld#@${good}`,
    `evil.tld?@${good}`,
    `evil.tld/@${good}`,
    `evil.tld\\@${good}`,
    `evil.tld\\.${good}`,
    `evil.tld/.openai.azure.com`,
    `evil.tld?.openai.azure.com`,
    `evil.tld#.openai.azure.com`,
    `evil.tld%23.openai.azure.com`,
    `evil.tld\t.openai.azure.com`,
    `evil.tld\n.openai.azure.com`,
    `evil.tld\r\n.openai.azure.com`,
    `evil.tld\u0000.openai.azure.com`,
    `evil.tld .openai.azure.com`,
    `${good}:80`,
    `${good}:8443`,
    `${good}:0443`,
    `${good}:0`,
    `${good}:65979`,
    `${good}:-1`,
    `${good}:`,
    `${good}:443:443`,
    `${good}?`,
    `${good}?x=y`,
    `${good}/?x=y`,
    `${good}#`,
    `${good}#x`,
    `${good}/#x`,
    `${good}\\evil.tld`,
    `${good}\\@evil.tld`,
    `${good}\tevil`,
    `${good}\n/evil`,
    `${good}/a b`,
    `${good}/a\\b`,
    `${good},evil.tld`,
    `${good};evil.tld`,
    `${good}|evil.tld`,
    `${good} evil.tld`,
    `my-res\t.openai.azure.com`,
    `my-\nres.openai.azure.com`,
    `my\u00adres.openai.azure.com`,
    `my\u200bres.openai.azure.com`,
    `\u202e${good}`,
  ];
  const schemes = [
    "",
    "https://",
    "http://",
    "HTTPS://",
    "https:///",
    "https:/",
    "https:",
    "//",
    "https://https://",
    "http:https://",
    "ftp://",
    "file://",
    "gopher://",
    "javascript:",
    "data:text/plain,",
    "ws://",
    "blob:https://",
    "\thttps://\t",
    "https\u200b://",
  ];
  const wellFormed = ["", "https://", "http://", "HTTPS://"];
  const schemesThatSpoil = schemes.filter((scheme) => !wellFormed.includes(scheme));
  return [
    ...schemes.flatMap((scheme) => [...hosts, ...onGood].map((rest) => scheme + rest)),
    ...hosts.flatMap((host) => [`https://${host}/openai/v1`, `https://${host}:443/`]),
    ...schemesThatSpoil.map((scheme) => scheme + good),
    "",
    "https://",
    `https://${"a".repeat(3000)}.openai.azure.com`,
    `https://${good}/${"a".repeat(3000)}`,
  ];
}
