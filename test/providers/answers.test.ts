import { inspect } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ask, probeOf } from "../support/ask-provider.ts";
import { type FakeProviders, startFakeProviders } from "../support/fake-providers.ts";
import { providerFixtures } from "../support/provider-fixtures.ts";

const rows = [...providerFixtures].flatMap(([provider, { cases }]) =>
  Object.entries(cases("sk-fake-x")).map(([name, fixture]) => [provider, name, fixture] as const),
);
const providers = [...providerFixtures.keys()];
const CANARY = "Qm7vT2xKp9Lw4Rz8Yb3Nc6Hd1Jf5Sg0A";

let fakes: FakeProviders;
beforeAll(async () => {
  fakes = await startFakeProviders();
});
afterAll(() => fakes[Symbol.asyncDispose]());

/** Requests made with one key, which a test chooses to be its own. */
const requestsOf = (provider: string, name: string) =>
  fakes.requests.filter((request) => request.provider === provider && request.case === name);

/** Every run of eight characters of a key's secret part that stands in the text. */
function tracesOf(key: string, text: string): readonly string[] {
  const runs = Array.from({ length: key.length - 7 }, (_, at) => key.slice(at, at + 8));
  return runs.filter((run) => text.includes(run));
}

describe.concurrent("A probe", () => {
  it.for(rows)(
    "of %s answered with %s comes out as it should",
    async ([provider, name, fixture]) => {
      const budgetMs = fixture.fault === "hang" ? 300 : 10_000;
      const key = `sk-fake-${name}.${CANARY}`;
      const report = await ask(probeOf(fakes), provider, key, { budgetMs });
      expect(report).toMatchObject({ outcome: fixture.outcome, code: fixture.code });
      expect(report.retryable).toBe(
        ["rate-limited", "unavailable", "unexpected"].includes(fixture.outcome),
      );
      expect(
        tracesOf(CANARY, JSON.stringify(report) + inspect(report, { depth: null })),
      ).toStrictEqual([]);
    },
  );

  it.for([
    ["openrouter", "/api/v1/key"],
    ["anthropic", "/v1/models?limit=1"],
    ["openai", "/v1/models"],
    ["google", "/v1beta/models?pageSize=1"],
  ] as const)(
    "of %s is one GET of %s with the key in its header alone",
    async ([provider, path]) => {
      await using own = await startFakeProviders();
      await ask(probeOf(own), provider, `sk-fake-ok.${CANARY}`);
      expect(own.requests).toHaveLength(1);
      expect(own.requests[0]).toMatchObject({
        provider,
        method: "GET",
        path,
        case: "ok",
        headers: {
          accept: "application/json",
          "accept-encoding": "identity",
          connection: "close",
          "user-agent": "keyledger-probe/1",
        },
      });
      expect(JSON.stringify(own.requests)).not.toContain(CANARY);
    },
  );

  it.for(providers)("of %s tries a failure that may pass twice, and no more", async (provider) => {
    await using own = await startFakeProviders();
    const probe = probeOf(own);
    for (const [name, attempts] of [
      ["ok", 1],
      ["revoked", 1],
      ["500", 2],
      ["cut", 2],
      ["503-once", 2],
      ["429", 1],
      ["429-1s", 2],
      ["429-60s", 1],
      ["redirect", 1],
      ["garbled", 1],
    ] as const) {
      await ask(probe, provider, `sk-fake-${name}`);
      const made = own.requests.filter((request) => request.case === name);
      expect(made, name).toHaveLength(attempts);
    }
  });

  it("passes on how long the provider asked to wait, where that is too long to wait for", async () => {
    const started = performance.now();
    const report = await ask(probeOf(fakes), "openai", "sk-fake-429-60s.wait");
    expect(report).toMatchObject({ outcome: "rate-limited", retryAfterMs: 60_000 });
    expect(performance.now() - started).toBeLessThan(5000);
    const without = await ask(probeOf(fakes), "openai", "sk-fake-429.wait");
    expect(without).not.toHaveProperty("retryAfterMs");
  });

  it("does not wait longer than its budget for a second attempt", async () => {
    const started = performance.now();
    const report = await ask(probeOf(fakes), "google", "sk-fake-429-1s.short", { budgetMs: 200 });
    expect(report).toMatchObject({ outcome: "rate-limited", retryAfterMs: 1000 });
    expect(performance.now() - started).toBeLessThan(900);
  });

  it("tells when an OpenRouter key expires", async () => {
    expect(await ask(probeOf(fakes), "openrouter", "sk-fake-ok.expiry")).toStrictEqual({
      outcome: "valid",
      code: "accepted",
      message: "The provider accepted the key.",
      retryable: false,
      expiresAt: "2099-12-31T23:59:59.000Z",
    });
  });

  it.for(["mistral", "deepseek", "xai", "amazon-bedrock", "nobody"])(
    "of %s is nobody's business yet",
    async (provider) => {
      expect(await ask(probeOf(fakes), provider, "sk-fake-ok.unprobed")).toStrictEqual({
        outcome: "unprobed",
        code: "unprobed",
        message: "There is no probe for this provider.",
        retryable: false,
      });
    },
  );

  it("asks nobody about what the catalogue refuses", async () => {
    expect(await ask(probeOf(fakes), "anthropic", "sk-ant-admin01-0123456789")).toStrictEqual({
      outcome: "misconfigured",
      code: "credential_unusable",
      message: "The key must not be an Admin API key: it cannot run inference.",
      retryable: false,
    });
  });

  it.for(providers)(
    "of %s sends no key with a byte that has no place in a header",
    async (provider) => {
      await using own = await startFakeProviders();
      const probe = probeOf(own);
      const base = Buffer.from("sk-fake-ok.0123456789");
      const isVisible = (byte: number) => byte > 0x20 && byte < 0x7f;
      // Away from the ends, where whitespace and quotes are trimmed.
      for (const place of [11, 15, 19]) {
        for (let byte = 0; byte < 256; byte++) {
          if (isVisible(byte)) continue;
          const key = Buffer.from(base);
          key[place] = byte;
          const report = await ask(probe, provider, key);
          expect(report.code).toBe("credential_unusable");
        }
      }
      expect(own.requests).toStrictEqual([]);
    },
  );

  it("sends every visible byte as it is", async () => {
    await using own = await startFakeProviders();
    const visible = Array.from({ length: 94 }, (_, n) => String.fromCharCode(0x21 + n)).join("");
    const report = await ask(probeOf(own), "openai", `sk-fake-ok.${visible}x`);
    expect(report.outcome).toBe("valid");
  });

  it("trims what surrounds a key", async () => {
    expect(await ask(probeOf(fakes), "openai", '\r\n "sk-fake-ok.trim"\t\n')).toMatchObject({
      outcome: "valid",
    });
  });

  it("ends when its caller goes away", async () => {
    const cancel = new AbortController();
    const name = "timeout";
    const before = requestsOf("anthropic", name).length;
    const report = ask(probeOf(fakes), "anthropic", "sk-fake-timeout.cancel", {
      signal: cancel.signal,
    });
    await expect.poll(() => requestsOf("anthropic", name).length).toBeGreaterThan(before);
    cancel.abort();
    expect(await report).toMatchObject({ outcome: "unavailable", code: "cancelled" });
  });

  it("asks nobody without a budget, or for a caller who is gone already", async () => {
    await using own = await startFakeProviders();
    const none = await ask(probeOf(own), "openai", "sk-fake-ok", { budgetMs: 0 });
    expect(none).toMatchObject({ outcome: "unavailable", code: "timed_out", retryable: true });
    const gone = await ask(probeOf(own), "openai", "sk-fake-ok", { signal: AbortSignal.abort() });
    expect(gone).toMatchObject({ outcome: "unavailable", code: "cancelled" });
    expect(own.requests).toStrictEqual([]);
  });
});
