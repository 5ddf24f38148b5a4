export { providerCatalogue } from "./catalogue.ts";
export { type HttpKeyProbeOptions, httpKeyProbe } from "./http-probe.ts";
export { type ProbeEndpoints, parseProbeEndpoints } from "./probe-endpoints.ts";
