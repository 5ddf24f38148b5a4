import { addressClass } from "./address-guard.ts";
import { rulesOf } from "./catalogue.ts";
import { hostnameOf } from "./connection.ts";

/** `<provider>` or `<provider>/<role>` to the URL that stands in for the scheme and host a probe would ask. */
export type ProbeEndpoints = ReadonlyMap<string, string>;

/**
 * Reads the values of `--probe-endpoint <provider>[/<role>]=URL`.
 * @param insecureDev allows plain http, and endpoints of this machine; http nowhere else.
 * @returns every problem at once. They name the place of a value and never quote it: a URL may hold a password.
 */
export function parseProbeEndpoints(
  texts: readonly string[],
  { insecureDev }: { readonly insecureDev: boolean },
): { readonly endpoints: ProbeEndpoints; readonly problems: readonly string[] } {
  const endpoints = new Map<string, string>();
  const problems: string[] = [];
  for (const [index, text] of texts.entries()) {
    const separator = text.indexOf("=");
    const name = text.slice(0, separator);
    const url = parseUrl(text.slice(separator + 1));
    const problem =
      separator < 1
        ? "is not of the form <provider>[/<role>]=URL"
        : (nameProblem(name) ??
          (endpoints.has(name)
            ? "names an endpoint that was named before"
            : urlProblem(url, insecureDev)));
    if (problem !== undefined || url === undefined) {
      problems.push(`probe endpoint ${index + 1} ${problem}`);
    } else {
      endpoints.set(name, url.origin + url.pathname.replace(/\/+$/, ""));
    }
  }
  return { endpoints, problems };
}

function nameProblem(name: string): string | undefined {
  const [provider = "", role, ...rest] = name.split("/");
  const rules = rulesOf(provider);
  if (rules === undefined) return "names an unknown provider";
  if (rules.probe === undefined) return `names ${rules.name}, which has no probe`;
  const known = role === undefined || rules.probe.roles.includes(role);
  return known && rest.length === 0 ? undefined : `names an unknown role of ${rules.name}`;
}

function urlProblem(url: URL | undefined, insecureDev: boolean): string | undefined {
  if (url === undefined || (url.protocol !== "https:" && url.protocol !== "http:")) {
    return "has no valid https URL";
  }
  if (url.username !== "" || url.password !== "") return "must not hold a user name or password";
  if (url.search !== "" || url.hash !== "") return "must not hold a query or fragment";
  const local = isLoopbackName(hostnameOf(url));
  if (url.protocol === "http:" && !(insecureDev && local)) {
    return "may use plain http only with --insecure-dev and an address of this machine";
  }
  if (local && !insecureDev) return "may lead to this machine only with --insecure-dev";
  return undefined;
}

const isLoopbackName = (hostname: string): boolean =>
  hostname === "localhost" || addressClass(hostname) === "loopback";

function parseUrl(text: string): URL | undefined {
  return URL.canParse(text) ? new URL(text) : undefined;
}
