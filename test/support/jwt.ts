import {
  constants,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign as signBytes,
} from "node:crypto";
import { createServer, type RequestListener, type Server } from "node:http";
import type { CancelSignal, Host } from "@keyledger/core";
import type { JWK } from "jose";
import { vi } from "vitest";

/** Tokens are put together by hand and signed by Node, so that verifier and tests share no code. */
export interface SigningKey {
  readonly alg: string;
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  /** As an issuer publishes it. */
  readonly jwk: JWK;
}

export type Json = Readonly<Record<string, unknown>>;

const GENERATE: Readonly<Record<string, () => { privateKey: KeyObject; publicKey: KeyObject }>> = {
  RS256: () => generateKeyPairSync("rsa", { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync("ec", { namedCurve: "P-256" }),
  EdDSA: () => generateKeyPairSync("ed25519"),
};

/** @param pair where it is to be another than the usual one of its algorithm. */
export function newSigningKey(
  alg: "RS256" | "PS256" | "ES256" | "EdDSA" = "ES256",
  kid: string = randomUUID(),
  pair = (GENERATE[alg === "PS256" ? "RS256" : alg] ?? (() => never()))(),
): SigningKey {
  const jwk: JWK = { ...jwkOf(pair.publicKey), kid, alg, use: "sig" };
  return { alg, kid, ...pair, jwk };
}

const never = (): never => {
  throw new TypeError("no such algorithm");
};

const jwkOf = (key: KeyObject): JWK => key.export({ format: "jwk" });

/** The bytes of a signature as a compact token carries them. */
export function signatureOf(alg: string, key: KeyObject, input: string): Buffer {
  const bytes = Buffer.from(input, "utf8");
  const hash = `sha${/\d*$/.exec(alg)?.[0]}`;
  switch (alg.slice(0, 2)) {
    case "RS":
      return signBytes(hash, bytes, key);
    case "PS":
      return signBytes(hash, bytes, {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
    case "ES":
      return signBytes(hash, bytes, { key, dsaEncoding: "ieee-p1363" });
    default:
      return signBytes(null, bytes, key);
  }
}

export const base64url = (content: string | Uint8Array): string =>
  Buffer.from(content).toString("base64url");

/** A compact token of parts given as JSON or, to break rules, as text or bytes. */
export function compact(
  header: Json | string,
  payload: Json | string | Uint8Array,
  signature: (input: string) => Uint8Array,
): string {
  const text = (part: Json | string | Uint8Array) =>
    base64url(typeof part === "string" || part instanceof Uint8Array ? part : JSON.stringify(part));
  const input = `${text(header)}.${text(payload)}`;
  return `${input}.${base64url(signature(input))}`;
}

export interface TestIssuer extends AsyncDisposable {
  readonly issuer: string;
  readonly audience: string;
  readonly jwksUrl: URL;
  /** Of the issuer's key set. */
  readonly requests: () => number;
  readonly keySet: () => { readonly keys: readonly JWK[] };
  publish(...keys: readonly JWK[]): void;
  withdraw(kid: string): void;
  /** Answers in place of the key set, until it is taken away: an outage, a redirect, a body too large ... */
  answer: RequestListener | undefined;
  /** The claims every good token has, with these put over them; `undefined` leaves one out. Times by the wall clock. */
  claims(over?: Json): Json;
  /** A token signed by the first published key, or by another. */
  token(over?: Json, options?: { readonly key?: SigningKey; readonly header?: Json }): string;
}

/** An issuer on this machine with one published key, unless told otherwise. @param now seconds since 1970 */
export async function openTestIssuer({
  keys = [newSigningKey()],
  now = () => Math.floor(Date.now() / 1_000),
}: {
  readonly keys?: readonly SigningKey[];
  readonly now?: () => number;
} = {}): Promise<TestIssuer> {
  let published = keys.map(({ jwk }) => jwk);
  let requests = 0;
  const server = createServer((request, response) => {
    requests++;
    if (issuer.answer) issuer.answer(request, response);
    else
      response
        .setHeader("content-type", "application/jwk-set+json")
        .end(JSON.stringify(issuer.keySet()));
  });
  const origin = await listen(server);

  const issuer: TestIssuer = {
    issuer: `${origin}/`,
    audience: "keyledger",
    jwksUrl: new URL("/jwks.json", origin),
    requests: () => requests,
    keySet: () => ({ keys: published }),
    publish(...more) {
      published = [...published, ...more];
    },
    withdraw(kid) {
      published = published.filter((jwk) => jwk.kid !== kid);
    },
    answer: undefined,
    claims: (over = {}) => ({
      iss: issuer.issuer,
      aud: issuer.audience,
      sub: "alice",
      iat: now(),
      exp: now() + 300,
      ...over,
    }),
    token(over, { key = keys[0] ?? never(), header } = {}) {
      const { alg, kid, privateKey } = key;
      return compact({ alg, kid, ...header }, issuer.claims(over), (input) =>
        signatureOf(alg, privateKey, input),
      );
    },
    [Symbol.asyncDispose]: () => close(server),
  };
  return issuer;
}

/** A server that should never be asked, and counts who asks. */
export async function openTrap(): Promise<
  { readonly origin: string; readonly visits: () => number } & AsyncDisposable
> {
  let visits = 0;
  const server = createServer((_request, response) => response.end());
  server.on("connection", () => visits++);
  const origin = await listen(server);
  return { origin, visits: () => visits, [Symbol.asyncDispose]: () => close(server) };
}

/** Time that passes only when a test says so. */
export interface SimulatedTime {
  readonly host: Pick<Host, "clock" | "pause">;
  /** Seconds since 1970 by the wall clock. */
  readonly now: () => number;
  /** The pauses that are being waited out, in milliseconds as asked for. */
  readonly pauses: () => readonly number[];
  /** Lets time pass, from the end of one pause to that of the next. @param settled what each of these waits for */
  readonly advance: (ms: number, settled: () => boolean) => Promise<void>;
  /** Time passes at once, and whoever waits is late. */
  readonly skip: (ms: number) => void;
  /** The wall clock alone is set, forwards or backwards. */
  readonly setWallClock: (byMs: number) => void;
}

export function simulatedTime(): SimulatedTime {
  let monotonicMs = 1_000;
  let wallMs = Date.UTC(2026, 0, 1);
  const held = new Set<{ readonly ms: number; readonly endsAtMs: number; end(): void }>();

  const pause = (ms: number, signal?: CancelSignal) =>
    new Promise<void>((resolve) => {
      if (signal?.aborted) return resolve();
      const one = {
        ms,
        endsAtMs: monotonicMs + ms,
        end: () => {
          held.delete(one);
          resolve();
        },
      };
      held.add(one);
      signal?.addEventListener("abort", one.end, { once: true });
    });

  const skip = (ms: number) => {
    monotonicMs += ms;
    wallMs += ms;
    for (const one of [...held]) if (one.endsAtMs <= monotonicMs) one.end();
  };

  return {
    host: {
      clock: { now: () => new Date(wallMs).toISOString(), monotonicMs: () => monotonicMs },
      pause,
    },
    now: () => Math.floor(wallMs / 1_000),
    pauses: () => [...held].map(({ ms }) => ms),
    async advance(ms, settled) {
      const untilMs = monotonicMs + ms;
      await vi.waitUntil(settled, { interval: 1 });
      while (monotonicMs < untilMs) {
        const nextMs = Math.min(untilMs, ...[...held].map(({ endsAtMs }) => endsAtMs));
        skip(nextMs - monotonicMs);
        await vi.waitUntil(settled, { interval: 1 });
      }
    },
    skip,
    setWallClock: (byMs) => {
      wallMs += byMs;
    },
  };
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new TypeError("no TCP server");
  return `http://127.0.0.1:${address.port}`;
}

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
