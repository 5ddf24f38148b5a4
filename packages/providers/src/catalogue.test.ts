import { Secret } from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { providerCatalogue } from "./catalogue.ts";

const catalogue = providerCatalogue();
const secret = (text: string) => new Secret(Buffer.from(text));

describe("The catalogue of providers", () => {
  it("knows the nine of the Neo API in its order, then three more", () => {
    expect(catalogue.all().map(({ name }) => name)).toStrictEqual([
      "openrouter",
      "anthropic",
      "openai",
      "google",
      "xai",
      "vercel-gateway",
      "google-vertex",
      "amazon-bedrock",
      "azure-foundry",
      "mistral",
      "deepseek",
      "z-ai",
    ]);
  });

  it("says which of them can be probed", () => {
    const probed = catalogue.all().filter(({ hasProbe }) => hasProbe);
    expect(probed.map(({ name }) => name)).toStrictEqual([
      "openrouter",
      "anthropic",
      "openai",
      "google",
    ]);
  });

  it.for(["", "OpenAI", "openai ", "__proto__", "constructor", "toString"])(
    "does not know %j",
    (name) => {
      expect(catalogue.find(name)).toBeUndefined();
      expect(catalogue.parse(name, secret("sk-0123456789"), null)).toStrictEqual([
        { field: "provider", description: "must be a known provider" },
      ]);
      expect(catalogue.checkLocation(name, null)).toStrictEqual([
        { field: "provider", description: "must be a known provider" },
      ]);
    },
  );

  it.for([
    ["openrouter", `sk-or-v1-${"0".repeat(60)}beef`, "sk-or-...beef"],
    ["anthropic", `sk-ant-api03-${"x".repeat(91)}AbAA`, "sk-ant-...AbAA"],
    ["openai", "sk-proj-abcdefghT3BlbkFJabcdAbCd", "sk-proj-...AbCd"],
    ["openai", "sk-svcacct-abcdefghT3BlbkFJabcdAbCd", "sk-...AbCd"],
    ["openai", "sk-service-abcdefghT3BlbkFJabcdAbCd", "sk-...AbCd"],
    ["openai", "sk-abcdefghT3BlbkFJabcdAbCd", "sk-...AbCd"],
    ["google", `AIza${"x".repeat(31)}AbCd`, "AIza...AbCd"],
    ["google", `AQ.${"x".repeat(31)}AbCd`, "AQ....AbCd"],
    ["xai", `xai-${"x".repeat(76)}9f_2`, "xai-...9f_2"],
    ["vercel-gateway", "vck_0123456789abk2Qz", "vck_...k2Qz"],
    ["mistral", `${"x".repeat(28)}AbCd`, "...AbCd"],
    ["deepseek", `sk-${"x".repeat(28)}abcd`, "sk-...abcd"],
    ["z-ai", `${"0".repeat(32)}.${"x".repeat(12)}AbCd`, "...AbCd"],
    ["openai", "sk-fake-ok", "****"],
  ] as const)("labels a key of %s", ([provider, key, label]) => {
    expect(catalogue.parse(provider, secret(key), null)).toStrictEqual({
      label,
      location: null,
      expiresAt: null,
    });
  });

  it.for([
    ["anthropic", "sk-ant-admin01-0123456789", "Admin API key"],
    ["anthropic", "sk-ant-oat01-0123456789", "OAuth token"],
    ["openai", "sk-admin-0123456789", "admin key"],
    ["vercel-gateway", "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln", "OIDC token"],
    ["google-vertex", "AIza0123456789", "JSON"],
  ] as const)("refuses for %s what is no key for inference: %s", ([provider, key, because]) => {
    const parsed = catalogue.parse(provider, secret(key), null);
    expect(parsed).toStrictEqual([
      { field: "secret", description: expect.stringContaining(because) },
    ]);
  });

  it("trims what surrounds a key before it looks", () => {
    expect(catalogue.parse("openai", secret(' "sk-0123456789abcdef"\n'), null)).toMatchObject({
      label: "sk-...cdef",
    });
  });

  it("leaves the material alone", () => {
    const material = secret(" sk-0123456789abcdef ");
    catalogue.parse("openai", material, null);
    expect(material.use((bytes) => Buffer.from(bytes).toString())).toBe(" sk-0123456789abcdef ");
  });

  it("reads its own normalised location as the same location", () => {
    const azure =
      '{"endpoint":"HTTPS://My-Res.openai.azure.com/openai/v1/","api_key":"0123456789"}';
    const bedrock = '{"access_key_id":"AKIAIOSFODNN7EXAMPLE","secret_access_key":"s"}';
    for (const [provider, text] of [
      ["azure-foundry", azure],
      ["amazon-bedrock", bedrock],
      ["amazon-bedrock", `{"eu-west-1":${bedrock}}`],
      ["openai", "sk-0123456789abcdef"],
    ] as const) {
      const first = catalogue.parse(provider, secret(text), null);
      if (!("location" in first)) throw new Error("was refused");
      expect(catalogue.parse(provider, secret(text), first.location)).toStrictEqual(first);
    }
  });

  it("answers anything with a label or with violations that name a field and quote nothing", () => {
    const anyText = fc.oneof(
      fc.string({ unit: "binary", maxLength: 200 }),
      fc.json({ maxDepth: 4 }),
      fc.webUrl(),
    );
    const names = catalogue.all().map(({ name }) => name);
    const descriptions = new Set<string>();
    fc.assert(
      fc.property(
        fc.constantFrom(...names),
        anyText,
        fc.option(anyText, { nil: null }),
        (provider, text, location) => {
          const parsed = catalogue.parse(provider, secret(text), location);
          if ("label" in parsed) return;
          expect(parsed.length).toBeGreaterThan(0);
          for (const { field, description } of parsed) {
            expect(["secret", "location"]).toContain(field);
            descriptions.add(description);
          }
        },
      ),
      { numRuns: 2000 },
    );
    // A description that quoted its input would come in as many forms as there were inputs.
    expect(descriptions.size).toBeLessThan(30);
  });
});
