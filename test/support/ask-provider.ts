import { type KeyProbe, type ProbeReport, Secret } from "@keyledger/core";
import { type HttpKeyProbeOptions, httpKeyProbe, parseProbeEndpoints } from "@keyledger/providers";
import { nodeHost } from "@keyledger/runtime";
import type { FakeProviders } from "./fake-providers.ts";

/** A probe that asks the fakes. */
export function probeOf(
  fakes: FakeProviders,
  options: Partial<HttpKeyProbeOptions> = {},
): KeyProbe {
  const named = fakes.providers.map((provider) => `${provider}=${fakes.url(provider)}`);
  const { endpoints, problems } = parseProbeEndpoints(named, { insecureDev: true });
  if (problems.length > 0) throw new Error(problems.join("; "));
  return httpKeyProbe({ host: nodeHost(), endpoints, allowInsecureLoopback: true, ...options });
}

/** One probe of one key; ten seconds unless told otherwise. */
export function ask(
  probe: KeyProbe,
  provider: string,
  key: string | Uint8Array,
  {
    budgetMs = 10_000,
    signal = new AbortController().signal,
    location = null as string | null,
  } = {},
): Promise<ProbeReport> {
  const material = new Secret(Buffer.from(key));
  return probe.probe({ provider, material, location, budgetMs, signal });
}
