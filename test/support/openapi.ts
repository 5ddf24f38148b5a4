import { restDocument } from "@keyledger/rest";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { expect } from "vitest";

/** What this build serves, as it describes itself. */
export const document = restDocument(new Set(["neo"]));

type Json = { readonly [name: string]: unknown };

const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Every object schema refuses what it does not describe: an undocumented field in an answer is a fault of the document. */
function strict(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(strict);
  if (!isJson(value)) return value;
  const copy = Object.fromEntries(
    Object.entries(value).map(([name, held]) => [name, strict(held)]),
  );
  const isOpenObject = value.type === "object" && !("additionalProperties" in value);
  return isOpenObject ? { ...copy, unevaluatedProperties: false } : copy;
}

const ajv = new Ajv2020({
  allErrors: true,
  strictSchema: false,
  strictTypes: false,
  validateFormats: true,
});
addFormats.default(ajv);
ajv.addSchema({ $id: "keyledger:openapi", ...(strict(document) as object) });

const validators = new Map<string, ValidateFunction>();

function validatorAt(pointer: string): ValidateFunction {
  const known = validators.get(pointer);
  if (known !== undefined) return known;
  const made = ajv.compile({ $ref: `keyledger:openapi#${pointer}` });
  validators.set(pointer, made);
  return made;
}

const segment = (text: string): string =>
  encodeURIComponent(text.replaceAll("~", "~0").replaceAll("/", "~1"));

const at = (pointer: string): unknown =>
  pointer
    .split("/")
    .slice(1)
    .reduce<unknown>((value, part) => {
      const name = decodeURIComponent(part).replaceAll("~1", "/").replaceAll("~0", "~");
      return isJson(value) ? value[name] : undefined;
    }, document);

const resolved = (pointer: string): string => {
  const value = at(pointer);
  return isJson(value) && typeof value.$ref === "string" ? value.$ref.slice(1) : pointer;
};

/** Path of the document that a request's path falls under. */
export function templateOf(path: string): string | undefined {
  const [bare = ""] = path.split("?");
  const matches = Object.keys(document.paths).filter((template) =>
    new RegExp(`^${template.replaceAll(/\{[^}]+\}/g, "[^/]+")}$`).test(bare),
  );
  return matches.toSorted((a, b) => Number(a.includes("{")) - Number(b.includes("{")))[0];
}

/** Where the document describes the response; a path or method that it does not have may only be answered 404 or 405. */
function pointerOf(method: string, path: string, status: number): string {
  const template = templateOf(path);
  const wanted = method === "HEAD" ? "get" : method.toLowerCase();
  const operation = template && document.paths[template]?.[wanted];
  if (template !== undefined && operation) {
    return resolved(`/paths/${segment(template)}/${wanted}/responses/${status}`);
  }
  if (status === 405 && template !== undefined) return "/components/responses/NeoMethodNotAllowed";
  if (status === 404 && template === undefined) return "/components/responses/NeoNoSuchPath";
  return "/nowhere";
}

const DESCRIBED_HEADERS = ["x-request-id", "etag", "retry-after", "www-authenticate"];

/** Fails unless the response is one that the document describes: its status, its body to the last field, its headers. */
export function validateResponse(
  method: string,
  path: string,
  status: number,
  body: unknown,
  headers?: Readonly<Record<string, unknown>>,
): void {
  const title = `${method} ${path} -> ${status}`;
  const pointer = pointerOf(method, path, status);
  expect(at(pointer), `${title} is not in the document`).toBeDefined();
  check(`${pointer}/content/${segment("application/json")}/schema`, body, title);
  if (headers === undefined) return;
  const described = at(`${pointer}/headers`);
  const names = new Map(
    Object.keys(isJson(described) ? described : {}).map((name) => [name.toLowerCase(), name]),
  );
  for (const header of DESCRIBED_HEADERS) {
    const value = headers[header];
    if (value === undefined) continue;
    const name = names.get(header);
    if (name === undefined)
      throw new Error(`${title}: the header ${header} is not in the document`);
    const schema = `${resolved(`${pointer}/headers/${segment(name)}`)}/schema`;
    const isInteger = (at(schema) as Json).type === "integer";
    check(schema, isInteger ? Number(value) : value, `${title}, header ${header}`);
  }
  expect(headers["content-type"], title).toBe("application/json; charset=utf-8");
  expect(headers["x-request-id"], title).toBeDefined();
}

/** Fails unless a value is what the schema at a place in the document allows. */
export function check(pointer: string, value: unknown, title: string): void {
  const validate = validatorAt(pointer);
  if (validate(value)) return;
  const faults = (validate.errors ?? []).map(
    ({ instancePath, message, params }) =>
      `${instancePath || "/"} ${message} ${JSON.stringify(params)}`,
  );
  throw new Error(`${title} is not what the document says: ${faults.join("; ")}`);
}
