import { connect as connectHttp2 } from "node:http2";
import { create, type DescMethod, type Message, toJsonString } from "@bufbuild/protobuf";
import {
  AdminService,
  KeyringService,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
  Role,
} from "@keyledger/contracts";
import type { Shape } from "./canary.ts";
import { nameOf, textFields, withText } from "./field-sweep.ts";
import type { TestIssuer } from "./jwt.ts";
import {
  callConnect,
  callGrpc,
  callHttp,
  type Drive,
  inParallel,
  METHODS,
  methodName,
  pathOf,
} from "./leak-drive.ts";
import {
  brokenBodies,
  brokenMessages,
  callerOf,
  headersWith,
  httpHeadersWith,
  PASTED_KEY,
  PASTED_KEYS,
  requestOf,
  TYPES,
} from "./leak-requests.ts";
import { providerFixtures } from "./provider-fixtures.ts";
import { type HttpRequest, requestBytes } from "./raw-http.ts";

/** Each method as it is meant to be called, over each way. */
export async function drivePlain(drive: Drive): Promise<void> {
  for (const method of METHODS) {
    const key = callerOf(drive, method);
    const message = () => create(method.input, requestOf(drive, method));
    await callGrpc(drive, method, message(), { key });
    if (method.parent !== ResolveService)
      await callConnect(drive, method, jsonOf(method, message()), { key });
  }
}

/** A canary in each text field of each method, from somebody who may call it and from somebody nobody knows. */
export async function driveFields(drive: Drive): Promise<number> {
  const sweeps = METHODS.flatMap((method) =>
    textFields(method.input).flatMap((path) =>
      PASTED_KEYS.map((shape) => ({ method, path, shape, field: nameOf(path) })),
    ),
  );
  await inParallel(sweeps, async ({ method, path, shape, field }) => {
    const request = (over: string) => {
      const canary = drive.canaries.make(`${over} ${methodName(method)} ${field}`, shape);
      return withText(method.input, requestOf(drive, method), path, canary);
    };
    const key = callerOf(drive, method);
    await callGrpc(drive, method, request("gRPC"), { key });
    await callGrpc(drive, method, request("gRPC, nobody,"));
    if (method.parent === ResolveService) return;
    await callConnect(drive, method, jsonOf(method, request("Connect")), { key });
    await callConnect(drive, method, jsonOf(method, request("Connect, nobody,")));
  });
  return sweeps.length;
}

const jsonOf = (method: DescMethod, message: Message): string =>
  toJsonString(method.input, message);

/** Each method with a canary in each header. */
export async function driveHeaders(drive: Drive): Promise<void> {
  await inParallel(METHODS, async (method) => {
    const key = callerOf(drive, method);
    const canary = () => drive.canaries.make(`a header of ${methodName(method)}`, PASTED_KEY);
    for (const index of headersWith("").keys()) {
      const headers = headersWith(canary())[index] ?? {};
      const message = create(method.input, requestOf(drive, method));
      const isCredential = "authorization" in headers || "x-api-key" in headers;
      await callGrpc(drive, method, message, { headers, ...(!isCredential && { key }) });
    }
    if (method.parent === ResolveService) return;
    for (const index of httpHeadersWith("").keys()) {
      const headers = httpHeadersWith(canary())[index] ?? {};
      const json = jsonOf(method, create(method.input, requestOf(drive, method)));
      const isCredential = "authorization" in headers || "x-api-key" in headers;
      await callConnect(drive, method, json, { headers, ...(!isCredential && { key }) });
    }
  });
}

/** Requests that are none: over Connect to each method, and over gRPC as bytes. */
export async function driveBrokenRequests(drive: Drive): Promise<void> {
  await inParallel(METHODS, async (method) => {
    const key = callerOf(drive, method);
    const canary = () =>
      drive.canaries.make(`a broken request of ${methodName(method)}`, { shape: "spiky" });
    for (const index of brokenBodies("").keys()) {
      if (method.parent === ResolveService) break;
      const body = brokenBodies(canary())[index] ?? "";
      const type = TYPES[index % 8 === 7 ? 1 : 0];
      await callConnect(drive, method, Buffer.from(body), {
        key,
        headers: method.methodKind === "unary" ? { "content-type": type } : {},
      });
    }
    for (const request of brokenMessages(canary())) await callGrpc(drive, method, request, { key });
  });
}

/** A route of the REST API, as its OpenAPI document names it. */
export interface RestRoute {
  readonly method: string;
  readonly path: string;
}

export async function restRoutes(drive: Drive): Promise<readonly RestRoute[]> {
  const { body } = await callHttp(drive, "HTTP /openapi.json", {
    method: "GET",
    path: "/openapi.json",
  });
  const { paths } = JSON.parse(body.toString("utf8")) as { paths: Record<string, object> };
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.keys(operations)
      .filter((method) => ["get", "put", "post", "patch", "delete"].includes(method))
      .map((method) => ({ method: method.toUpperCase(), path })),
  );
}

/** Each route with everything that somebody may get wrong in its path, query, headers and body. */
export async function driveRest(drive: Drive): Promise<number> {
  const { keyledger, canaries, called } = drive;
  const routes = await restRoutes(drive);
  await inParallel(routes, async ({ method, path: template }) => {
    const channel = `REST ${method} ${template}`;
    called.add(channel);
    const place = `${method} ${template}`;
    const known = template.replace("{provider}", "openai");
    const caller = { "x-api-key": keyledger.keys.team_key, "content-type": "application/json" };
    const ask = (request: Partial<HttpRequest>, options?: { isCut?: boolean }) =>
      callHttp(drive, channel, { method, path: known, headers: caller, ...request }, options);

    const first = canaries.make(`${place}, a good body`);
    const good = JSON.stringify(
      template.endsWith("/mode") ? { mode: "byok" } : { api_key: first, display_name: "a name" },
    );
    const hasBody = method === "PATCH" || method === "POST" || method === "PUT";
    await ask({ ...(hasBody && { body: good }) });
    await ask({ headers: {}, body: good });
    await ask({ headers: { ...caller, "x-api-key": keyledger.keys.service_key }, body: good });
    for (const index of brokenBodies("").keys()) {
      const canary = canaries.make(`${place}, a broken body`, { shape: "spiky" });
      const body = brokenBodies(canary)[index] ?? "";
      await ask({ body });
      if (index % 5 === 0) {
        await ask({ body, headers: { ...caller, "content-type": TYPES[1 + (index % 2)] ?? "" } });
        await ask({ body, headers: { ...caller, "content-encoding": "gzip" } });
        await ask({ body, headers: { "content-type": "application/json" } });
      }
    }
    const cut = canaries.make(`${place}, a cut body`);
    await ask(
      { headers: { ...caller, "content-length": "900" }, body: undefined },
      { isCut: true },
    );
    await callHttp(
      drive,
      channel,
      `${requestBytes({ method, path: known, headers: { ...caller, "content-length": "900" } })}{"api_key":"${cut}`,
      { isCut: true },
    );
    for (const index of httpHeadersWith("").keys()) {
      const headers = httpHeadersWith(canaries.make(`${place}, a header`, PASTED_KEY))[index] ?? {};
      const isCredential = "authorization" in headers;
      const { "x-api-key": _key, ...anonymous } = caller;
      await ask({ headers: { ...(isCredential ? anonymous : caller), ...headers }, body: good });
    }
    for (const shape of [...PASTED_KEYS, { prefix: "sk-", shape: "spiky" as const }]) {
      const canary = encodeURIComponent(canaries.make(`${place}, its path`, shape));
      await ask({ path: template.replace("{provider}", canary) });
      await ask({ path: `${known}/${canary}`, body: good });
      await ask({ path: `${known}?api_key=${canary}&key=${canary}`, body: good });
      await ask({ method: "PUT", path: `${known}/%ZZ${canary}` });
    }
  });
  return routes.length;
}

/** Requests to no route, to the other listeners, and such as are no HTTP at all. */
export async function driveStrangers(drive: Drive): Promise<void> {
  const { keyledger, canaries } = drive;
  const { http, metrics } = keyledger;
  const canary = () => canaries.make("a stranger's request", PASTED_KEY);
  for (const path of ["/healthz", "/readyz", "/docs", "/docs.css", "/docs.js", "/openapi.json"])
    await callHttp(drive, `HTTP ${path}`, { method: "GET", path });
  for (const address of [http, metrics]) {
    const ask = (request: HttpRequest | string) =>
      callHttp(drive, address === http ? "HTTP" : "metrics", request, { address });
    const long = `${canary()}`.repeat(600);
    await ask({ method: "GET", path: `/${canary()}` });
    await ask({ method: "GET", path: `/metrics?key=${canary()}` });
    await ask({ method: "POST", path: "/metrics", body: canary() });
    await ask({ method: "OPTIONS", path: `/${canary()}` });
    await ask({ method: canary(), path: "/" });
    await ask({ method: "GET", path: "/", headers: { "x-long": long } });
    await ask({ method: "GET", path: `/${long}` });
    await ask(`GET /${canary()} HTTP/9.9\r\n\r\n`);
    await ask(`GET / HTTP/1.1\r\n${canary()}\r\n\r\n`);
    await ask(`GET / HTTP/1.1\r\nhost: ${canary()}\r\n x: ${canary()}\r\n\r\n`);
    await ask(`${canary()}\r\n\r\n`);
  }
  const service = `/${KeyringService.typeName}`;
  await callHttp(drive, "HTTP", { method: "POST", path: `${service}/${canary()}`, body: "{}" });
  await callHttp(drive, "HTTP", { method: "GET", path: `${service}/GetMode?message=${canary()}` });
  for (const type of ["application/proto", "application/grpc-web+proto", "application/grpc"]) {
    const headers = { "content-type": type, "x-api-key": keyledger.keys.team_key };
    const path = pathOf(KeyringService.method.upsertKey);
    await callHttp(drive, "HTTP", { method: "POST", path, headers, body: canary() });
  }
  await callHttp(drive, "metrics", { method: "GET", path: "/metrics" }, { address: metrics });
}

/** An answer of gRPC's reflection holds the question: so its protocol wants it. */
export const REFLECTION = "gRPC reflection";

/** What no client of ours would send to the gRPC port, health and reflection among it. */
export async function driveWire(drive: Drive): Promise<void> {
  const { keyledger, canaries, witness, grpc } = drive;
  const canary = () => canaries.make("the gRPC port", PASTED_KEY);
  const naming = (text: string) =>
    Buffer.concat([Buffer.from([0x0a, text.length]), Buffer.from(text)]);
  const health = "/grpc.health.v1.Health";
  const reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
  const told: readonly (readonly [channel: string, path: string, service: string])[] = [
    ["gRPC health", `${health}/Check`, canary()],
    ["gRPC health", `${health}/List`, canary()],
    ["gRPC health", `${health}/Watch`, canary()],
    [REFLECTION, reflection, canaries.make(REFLECTION, PASTED_KEY)],
  ];
  for (const [channel, path, service] of told) {
    const asked = { timeoutMs: 500 };
    const { around, messages } = await grpc.stream(path, naming(service), asked, () => true);
    witness.saw(channel, Buffer.concat([around, ...messages]));
  }
  const request = naming(canary());
  for (const path of [`/${KeyringService.typeName}/${canary()}`, `/${canary()}/X`]) {
    const { around } = await grpc.unary(path, request);
    witness.saw("gRPC, no method", around);
  }
  const fine = {
    ":method": "POST",
    ":path": pathOf(KeyringService.method.getMode),
    "content-type": "application/grpc",
    te: "trailers",
  };
  const strange: readonly Readonly<Record<string, string>>[] = [
    { ...fine, "grpc-timeout": canary() },
    { ...fine, "grpc-encoding": canary() },
    { ...fine, ":method": "GET", ":path": `/${canary()}` },
    { ...fine, "content-type": `application/grpc+${canary()}` },
    { ...fine, "content-type": canary() },
    { ...fine, "x-canary-bin": canary() },
    { ...fine, "grpc-timeout": "1n", "x-request-id": canary() },
    { ...fine, "user-agent": canary(), cookie: canary() },
  ];
  await inParallel(strange, (headers) =>
    callHttp2(keyledger.grpc, headers, canary(), (seen) => witness.saw("HTTP/2", seen)),
  );
}

/** One request that announces a message and sends something else. */
function callHttp2(
  address: string,
  headers: Readonly<Record<string, string>>,
  body: string,
  saw: (seen: string | Buffer) => void,
): Promise<void> {
  return new Promise((resolve) => {
    const session = connectHttp2(`http://${address}`);
    const timer = setTimeout(() => session.destroy(), 2_000);
    session.on("error", () => {});
    session.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    const request = session.request(headers);
    const note = (received: object) => saw(JSON.stringify(received));
    request.on("response", note);
    request.on("trailers", note);
    request.on("data", saw);
    request.on("error", () => {});
    request.on("close", () => session.close());
    request.end(Buffer.concat([Buffer.from([0, 0, 0, 0, body.length]), Buffer.from(body)]));
  });
}

/** Tokens of an issuer: good ones, and all that may be wrong with one. */
export async function driveTokens(drive: Drive, issuer: TestIssuer): Promise<number> {
  const { canaries, keyledger } = drive;
  const canary = (what: string) => canaries.make(`a token, ${what}`, PASTED_KEY);
  const base64 = (text: string) => Buffer.from(text).toString("base64url");
  const good = issuer.token({
    sub: `${canary("its subject")}@example.com`,
    name: canary("a claim"),
  });
  const [header = "", payload = "", signature = ""] = good.split(".");
  const wrong = [
    issuer.token({ exp: 1, sub: canary("expired") }),
    issuer.token({ aud: canary("its audience") }),
    issuer.token({ iss: canary("its issuer") }),
    issuer.token({ sub: { [canary("no subject")]: 1 } }),
    issuer.token({}, { header: { kid: canary("its key id") } }),
    issuer.token({}, { header: { alg: canary("its algorithm") } }),
    `${header}.${payload}.${base64(canary("its signature"))}`,
    `${header}.${base64(canary("its payload"))}.${signature}`,
    `${base64(canary("its header"))}.${payload}.${signature}`,
    `${canary("a part")}.${canary("a part")}.${canary("a part")}`,
    `${header}.${base64(`{"sub":"${canary("too long").repeat(300)}"}`)}.${signature}`,
  ];
  const { getMode, upsertKey } = KeyringService.method;
  const read = create(getMode.input);
  const write = create(upsertKey.input, {
    provider: "openai",
    secret: Buffer.from(canaries.make("stored by a token's bearer")),
  });
  // Whoever has a token can use it: none of its parts may be seen again either.
  canaries.note("the signature of a token", signature);
  // What a token says of where its key may be had is nobody's business.
  const unread = issuer.token({}, { header: { jku: `http://127.0.0.1:1/${canary("its jku")}` } });
  const tokens = [good, unread, ...wrong];
  const codes: number[] = [];
  for (const token of tokens) {
    codes.push((await callGrpc(drive, getMode, read, { key: token })).code);
    await callGrpc(drive, upsertKey, write, { key: token });
    await callGrpc(drive, getMode, read, { headers: { "x-api-key": token } });
    await callConnect(drive, getMode, "{}", { key: token });
    await callHttp(drive, "REST GET with a token", {
      method: "GET",
      path: "/api/v1/byok/mode",
      headers: { authorization: `Bearer ${token}`, "x-api-key": keyledger.keys.service_key },
    });
  }
  const expected = tokens.map((token) => (token === good || token === unread ? 0 : 16));
  if (String(codes) !== String(expected)) throw new Error(`tokens were answered with ${codes}`);
  return tokens.length;
}

/** A team of its own, so that what happens to its keys disturbs nobody. */
async function newTeam(drive: Drive, id: string): Promise<string> {
  const { issueApiKey } = AdminService.method;
  const owner = { kind: OwnerKind.TEAM, id };
  const wish = create(issueApiKey.input, { role: Role.TEAM_ADMIN, owner, label: id });
  let text = "";
  await callGrpc(drive, issueApiKey, wish, {
    key: drive.keyledger.keys.operator_key,
    handedOut: (key) => {
      text = key;
    },
  });
  return text;
}

/** Every answer that a provider may give to a key, asked for over each way in. */
export async function driveProbes(drive: Drive): Promise<number> {
  const { canaries } = drive;
  const key = await newTeam(drive, "probed");
  const cases = [...providerFixtures].flatMap(([provider, { cases }]) =>
    Object.keys(cases("")).map((name) => ({ provider, name })),
  );
  const { probeKey, upsertKey } = KeyringService.method;
  const probeOne = async ({ provider, name }: (typeof cases)[number]) => {
    // These use up whatever time they are given.
    const isPatient = name === "timeout" || name.startsWith("429");
    const secret = (over: string, shape: Shape) =>
      canaries.make(`${over} ${provider} ${name}`, { prefix: `sk-fake-${name}.`, shape });
    const settings = { key, timeoutMs: isPatient ? 3_400 : 20_000 };
    for (const [method, shape] of [
      [probeKey, "spiky"],
      [upsertKey, "plain"],
    ] as const) {
      const asked = { provider, secret: Buffer.from(secret(method.name, shape)) };
      await callGrpc(drive, method, create(method.input, asked), settings);
    }
    if (isPatient) return;
    for (const [method, suffix] of [
      ["POST", "/validate"],
      ["PATCH", ""],
    ] as const) {
      await callHttp(drive, `REST ${method} a probe`, {
        method,
        path: `/api/v1/byok/providers/${provider}${suffix}`,
        headers: { "x-api-key": key, "content-type": "application/json" },
        body: JSON.stringify({ api_key: secret(`REST ${method}`, "spiky") }),
      });
    }
  };
  await inParallel(cases, probeOne, 24);
  return cases.length;
}

const UNAVAILABLE = 14;

/** A way in for a secret. */
const WAYS: Readonly<
  Record<string, (drive: Drive, key: string, provider: string, secret: string) => Promise<unknown>>
> = {
  gRPC: (drive, key, provider, secret) => {
    const { upsertKey } = KeyringService.method;
    const request = create(upsertKey.input, { provider, secret: Buffer.from(secret) });
    return callGrpc(drive, upsertKey, request, { key });
  },
  Connect: (drive, key, provider, secret) => {
    const json = JSON.stringify({ provider, secret: Buffer.from(secret).toString("base64") });
    return callConnect(drive, KeyringService.method.upsertKey, json, { key });
  },
  REST: (drive, key, provider, secret) =>
    callHttp(drive, "REST PATCH material", {
      method: "PATCH",
      path: `/api/v1/byok/providers/${provider}`,
      headers: { "x-api-key": key, "content-type": "application/json" },
      body: JSON.stringify({ api_key: secret }),
    }),
};

/**
 * Keys that are stored over each way in and then resolved.
 * @returns those whose material was not what came.
 */
export async function driveMaterial(drive: Drive, team: string): Promise<readonly string[]> {
  const { canaries, keyledger } = drive;
  const key = await newTeam(drive, team);
  const { resolve } = ResolveService.method;
  const wrong: string[] = [];
  for (const [way, store] of Object.entries(WAYS)) {
    for (const shape of ["plain", "spiky", "lower"] as const) {
      for (const provider of ["openai", "anthropic", "openrouter"]) {
        const secret = canaries.make(`stored over ${way}`, { shape });
        await store(drive, key, provider, secret);
        const owner = { kind: OwnerKind.TEAM, id: team };
        const policy = ResolvePolicy.OWN_KEYS_FIRST;
        let material = "";
        const request = create(resolve.input, { owner, provider, policy });
        const ask = () =>
          callGrpc(drive, resolve, request, {
            key: keyledger.keys.service_key,
            handedOut: (text) => {
              material = text;
            },
          });
        // On a busy machine the access record may take too long for the material to be released.
        for (let left = 20; left > 0 && (await ask()).code === UNAVAILABLE; left--);
        if (material !== secret) wrong.push(`${way} ${provider} ${shape}`);
      }
    }
  }
  return wrong;
}
