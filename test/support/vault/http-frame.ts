import type { IncomingHttpHeaders } from "node:http";
import { type Answer, Refusal } from "./answer.ts";
import { type Body, recordOf } from "./body.ts";
import type { Asked } from "./vault.ts";

/** What came over the wire. */
export interface WireRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** 32 MiB, as the engine's own. */
export const BODY_BYTES_MAX = 32 * 1024 * 1024;

/** Path behind `/v1/`, as it was sent. */
export const pathOf = (url: string): string => (url.split("?")[0] ?? "").replace(/^\/v1\//, "");

/** @returns where a path with `..`, `.` or an empty segment leads instead; nobody should follow. */
export function redirectOf(url: string): Answer | undefined {
  const [path = "", query] = url.split("?");
  const decoded = decodeURIComponent(path);
  const cleaned = cleanPath(decoded);
  if (cleaned === decoded) return undefined;
  const location = query === undefined ? cleaned : `${cleaned}?${query}`;
  return {
    status: 307,
    contentType: "text/html; charset=utf-8",
    location,
    body: `<a href="${location}">Temporary Redirect</a>.\n\n`,
  };
}

function cleanPath(path: string): string {
  const kept: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") kept.pop();
    else if (part !== "" && part !== ".") kept.push(part);
  }
  return `/${kept.join("/")}${path.endsWith("/") && kept.length > 0 ? "/" : ""}`;
}

/** @throws {Refusal} it cannot be read. */
export function askedOf(request: WireRequest): Omit<Asked, "failing"> {
  const { method, url, headers } = request;
  const { pathname, searchParams } = new URL(url, "http://vault");
  if (!pathname.startsWith("/v1/")) throw new Refusal(404);
  const path = decodeURIComponent(pathname).slice("/v1/".length);
  const query = Object.fromEntries([...searchParams].filter(([name]) => name !== "list"));
  const isList = method === "LIST" || (method === "GET" && searchParams.get("list") === "true");
  const token = tokenOf(headers);
  if (isList) return { kind: "list", path: path.replace(/\/?$/, "/"), body: query, token };
  switch (method) {
    case "GET":
    case "HEAD":
      return { kind: "read", path, body: query, token };
    case "DELETE":
      return { kind: "delete", path, body: query, token };
    case "POST":
    case "PUT":
      return { kind: "write", path, body: jsonOf(request), token };
    case "PATCH":
      checkMergePatch(headers);
      return { kind: "patch", path, body: jsonOf(request), token };
    default:
      throw new Refusal(405);
  }
}

function tokenOf(headers: IncomingHttpHeaders): string | undefined {
  const own = headers["x-vault-token"];
  if (typeof own === "string" && own !== "") return own;
  return /^Bearer (.+)$/.exec(headers.authorization ?? "")?.[1];
}

const MERGE_PATCH = "application/merge-patch+json";

function checkMergePatch(headers: IncomingHttpHeaders): void {
  const sent = (headers["content-type"] ?? "").split(";")[0];
  if (sent === MERGE_PATCH) return;
  throw new Refusal(415, `PATCH requires Content-Type of ${MERGE_PATCH}, provided ${sent}`);
}

function jsonOf({ body }: WireRequest): Body {
  if (body.length === 0) return {};
  const fields = recordOf(parsed(body));
  if (fields !== undefined) return fields;
  throw new Refusal(400, "failed to decode JSON input: not an object");
}

function parsed(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    // Never the parser's own words: they quote the body.
    throw new Refusal(400, "failed to decode JSON input: malformed");
  }
}

/** The head fields and the bytes of an answer. */
export function wireAnswer(answer: Answer): {
  readonly headers: Readonly<Record<string, string>>;
  readonly bytes: Buffer;
} {
  const { body, contentType, location, retryAfterSeconds } = answer;
  const text = typeof body === "string" ? body : `${JSON.stringify(body)}\n`;
  return {
    bytes: body === undefined ? Buffer.alloc(0) : Buffer.from(text),
    headers: {
      "cache-control": "no-store",
      "content-type": contentType ?? "application/json",
      ...(location === undefined ? {} : { location }),
      ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    },
  };
}
