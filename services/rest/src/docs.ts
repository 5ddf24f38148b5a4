import { readFileSync } from "node:fs";
import { PAGE_HEADERS } from "@keyledger/runtime";
import type { FastifyInstance } from "fastify";
import type {
  Media,
  OpenApiDocument,
  Operation,
  Parameter,
  Ref,
  Response,
  Schema,
} from "./openapi.ts";

/** Serves the document at `/openapi.json`, and at `/docs` as a page that needs nothing from elsewhere. */
export function serveDocs(app: FastifyInstance, document: OpenApiDocument): void {
  const serve = (path: string, type: string, content: string) =>
    app.get(path, (_request, reply) =>
      reply
        .headers(PAGE_HEADERS)
        .header("content-type", type)
        .header("cache-control", "no-cache")
        .send(content),
    );
  serve("/openapi.json", "application/json; charset=utf-8", JSON.stringify(document));
  serve("/docs", "text/html; charset=utf-8", docsPage(document));
  serve("/docs.css", "text/css; charset=utf-8", asset("docs.css"));
  serve("/docs.js", "text/javascript; charset=utf-8", asset("docs.js"));
}

const asset = (name: string): string =>
  readFileSync(new URL(`docs/${name}`, import.meta.url), "utf8");

/** Text that is HTML already. Everything else is escaped on its way into the page. */
class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Piece = Html | string | number | false | undefined | readonly Piece[];

const html = (strings: TemplateStringsArray, ...pieces: readonly Piece[]): Html =>
  new Html(strings.map((text, index) => text + textOf(pieces[index])).join(""));

function textOf(piece: Piece): string {
  if (piece === undefined || piece === false) return "";
  if (piece instanceof Html) return piece.text;
  if (typeof piece === "object") return piece.map(textOf).join("");
  return escaped(String(piece));
}

const escaped = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;");

/** Paragraphs, **bold** and `code`. */
const prose = (markdown = ""): Html =>
  new Html(
    markdown
      .split("\n\n")
      .map((paragraph) => `<p>${phrase(paragraph).text}</p>`)
      .join("\n"),
  );

const phrase = (markdown = ""): Html =>
  new Html(
    escaped(markdown)
      .replaceAll(/`([^`]+)`/g, "<code>$1</code>")
      .replaceAll(/\*\*([^*]+)\*\*/g, "<strong>$1</strong>"),
  );

interface Described {
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/** The page of a document. */
export function docsPage(document: OpenApiDocument): string {
  const { info } = document;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): Described => ({ method, path, operation })),
  );
  const tagged = document.tags.map((tag) => ({
    tag,
    operations: operations.filter(({ operation }) => operation.tags.includes(tag.name)),
  }));
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${info.title}</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/docs.css">
<script type="module" src="/docs.js"></script>
</head>
<body>
<a class="skip" href="#content">To the content</a>
<div class="layout">
<nav aria-label="Operations">
<div class="brand">${info.title} <span class="version">${info.version}</span></div>
<p><a href="/openapi.json">OpenAPI document</a></p>
${tagged.map(
  ({ tag, operations }) =>
    html`<section><h2>${tag.name}</h2><ul>${operations.map(
      ({ operation }) =>
        html`<li><a href="#${operation.operationId}">${operation.summary}</a></li>`,
    )}</ul></section>`,
)}
</nav>
<main id="content">
<h1>${info.title}</h1>
<p class="lead">${info.summary}</p>
<div class="intro">${prose(info.description)}</div>
${tagged.map(
  ({ tag, operations }) => html`<section class="tag"><h2>${tag.name}</h2>
<p class="faint">${phrase(tag.description)}</p>
${operations.map((described) => operationSection(document, described))}
</section>`,
)}
</main>
</div>
</body>
</html>
`.text;
}

function operationSection(document: OpenApiDocument, described: Described): Html {
  const { method, path, operation } = described;
  const parameters = parametersOf(document, operation);
  const body = operation.requestBody?.content["application/json"].schema;
  return html`<article class="operation" id="${operation.operationId}">
<div>
<h3>${operation.summary}</h3>
<p class="route"><span class="method ${method}">${method.toUpperCase()}</span><code>${path}</code></p>
${operation.description !== undefined && prose(operation.description)}
${parameters.length > 0 && html`<h4>Parameters</h4>${table(parameters.map((parameter) => parameterRow(document, parameter)))}`}
${body !== undefined && html`<h4>Body</h4>${table(fieldRows(document, body))}`}
</div>
<div class="samples">
<h4>Request</h4>
<div class="sample"><pre><code>${curl(document, described)}</code></pre></div>
<h4>Responses</h4>
${Object.entries(operation.responses).map(([status, response]) => responseDetails(document, status, response))}
</div>
</article>`;
}

const table = (rows: readonly Html[]): Html => html`<table><tbody>${rows}</tbody></table>`;

const row = (name: string, isRequired: boolean, kind: string, description: unknown): Html =>
  html`<tr><th scope="row"><code>${name}</code>${isRequired && html`<span class="required" title="required">*</span>`}<span class="kind">${kind}</span></th><td>${phrase(typeof description === "string" ? description : "")}</td></tr>`;

const parameterRow = (document: OpenApiDocument, parameter: Parameter): Html =>
  row(
    parameter.name,
    parameter.required === true,
    `${parameter.in}, ${kindOf(document, parameter.schema)}`,
    parameter.description,
  );

function fieldRows(document: OpenApiDocument, reference: Schema): readonly Html[] {
  const { properties = {}, required = [] } = resolve<{
    properties?: Readonly<Record<string, Schema>>;
    required?: readonly string[];
  }>(document, reference);
  return Object.entries(properties).map(([name, schema]) =>
    row(
      name,
      required.includes(name),
      kindOf(document, schema),
      resolve<Schema>(document, schema).description,
    ),
  );
}

function kindOf(document: OpenApiDocument, reference: Schema): string {
  const { type, enum: values, pattern } = resolve<Schema>(document, reference);
  if (Array.isArray(values)) return values.join(" | ");
  const name = Array.isArray(type) ? type.join(" or ") : String(type ?? "any");
  return pattern === undefined ? name : `${name} ${pattern}`;
}

function responseDetails(
  document: OpenApiDocument,
  status: string,
  reference: Response | Ref,
): Html {
  const response = resolve<Response>(document, reference);
  const examples = Object.values(response.content["application/json"].examples ?? {});
  const isSuccess = status.startsWith("2");
  return html`<details${isSuccess && new Html(" open")}><summary><span class="status${!isSuccess && " failure"}">${status}</span>${phrase(response.description)}</summary>
${Object.keys(response.headers ?? {}).length > 0 && html`<p class="faint">Headers: ${Object.keys(response.headers ?? {}).join(", ")}</p>`}
${examples.map(({ value }) => html`<pre><code>${JSON.stringify(value, null, 2)}</code></pre>`)}
</details>`;
}

function curl(document: OpenApiDocument, { method, path, operation }: Described): Html {
  const filled = parametersOf(document, operation)
    .filter((parameter) => parameter.in === "path")
    .reduce((text, { name, example }) => text.replace(`{${name}}`, example ?? name), path);
  const body = exampleOf(operation.requestBody?.content);
  const lines: readonly Html[] = [
    html`curl${method !== "get" && ` -X ${method.toUpperCase()}`} "<span data-base>http://127.0.0.1:8080</span>${filled}"`,
    ...(operation.security?.length ? [html`  -H "X-Api-Key: $KEYLEDGER_KEY"`] : []),
    ...(body === undefined
      ? []
      : [
          html`  -H "Content-Type: application/json"`,
          html`  -d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`,
        ]),
  ];
  return new Html(lines.map(({ text }) => text).join(" \\\n"));
}

const exampleOf = (content: Media | undefined): unknown =>
  Object.values(content?.["application/json"].examples ?? {})[0]?.value;

const parametersOf = (document: OpenApiDocument, operation: Operation): readonly Parameter[] =>
  (operation.parameters ?? []).map((parameter) => resolve<Parameter>(document, parameter));

/** What a reference into the same document names; anything else is itself. The caller knows what to find there. */
function resolve<T extends object>(document: OpenApiDocument, value: T | Ref): T {
  if (!("$ref" in value) || typeof value.$ref !== "string") return value as T;
  const [, ...segments] = value.$ref.split("/");
  const found = segments.reduce<unknown>(
    (at, segment) => (at instanceof Object ? Reflect.get(at, segment) : undefined),
    document,
  );
  if (!(found instanceof Object)) throw new Error(`${value.$ref} is not in the document`);
  return found as T;
}
