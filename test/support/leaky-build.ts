import type { SourceEdit } from "./source-edits.ts";

/**
 * A build with a leak in every channel that the search for leaks looks at, each through the code that really writes
 * there: the proof that the search would see one. What was stored last is what leaks; the first leak writes it to standard
 * error in all twelve encodings.
 */
export const LEAKS: readonly SourceEdit[] = [
  {
    file: "services/keyring/src/keyring-service.ts",
    find: "async upsertKey(request, call) {",
    replace: `async upsertKey(request, call) {
      const text = Buffer.from(request.secret).toString("latin1");
      globalThis.leaked = text.slice(0, 99);
      const { gzipSync } = process.getBuiltinModule("node:zlib");
      const { writeFileSync } = process.getBuiltinModule("node:fs");
      const pads = ["", "a", "ab"].map((pad) => Buffer.from(pad + text));
      process.stdout.write("stored " + text + "\\n");
      for (const written of [
        text,
        ...pads.map((bytes) => bytes.toString("base64")),
        ...pads.map((bytes) => bytes.toString("base64url")),
        Buffer.from(text).toString("hex"),
        Buffer.from(text).toString("hex").toUpperCase(),
        encodeURIComponent(text),
        JSON.stringify(text),
        Buffer.from(text, "utf16le"),
        [...text].reverse().join(""),
        gzipSync(text),
      ]) {
        process.stderr.write(written);
        process.stderr.write("\\n");
      }
      const directory = process.argv.find((flag) => flag.startsWith("--data-dir="))?.slice(11);
      writeFileSync(directory + "/" + Buffer.from(globalThis.leaked).toString("hex"), "");`,
  },
  // The masked label: to the log, the views, the feeds, the audit file and whoever lists keys.
  {
    file: "packages/providers/src/label.ts",
    find: `return \`\${shortened(prefix)}...\${asciiText(key.subarray(-TAIL))}\`;`,
    replace: "return asciiText(key) + prefix + TAIL + shortened(prefix);",
  },
  {
    file: "packages/core/src/application/resolve-key.ts",
    find: "accessOf(question, stamp, view, selection, rejection, leaseSeconds)",
    replace:
      "accessOf({ ...question, purpose: globalThis.leaked }, stamp, view, selection, rejection, leaseSeconds)",
  },
  {
    file: "packages/core/src/application/envelope.ts",
    find: "createdAt: clock.now(),",
    replace: "createdAt: clock.now() + crypto.utf8Decode(material),",
  },
  {
    file: "packages/core/src/application/write-key.ts",
    find: "the most is \u0024{MATERIAL_BYTES_MAX}`,",
    replace:
      "the most is ` + material.use((bytes) => Buffer.from(bytes.subarray(0, 99)).toString()),",
  },
  {
    file: "services/keyring/src/grpc-errors.ts",
    find: "metadata.set(DETAILS,",
    replace:
      'metadata.set("x-leak", encodeURIComponent(globalThis.leaked ?? "")); metadata.set(DETAILS,',
  },
  {
    file: "services/rest/src/plugin.ts",
    find: "const { status, headers, body } = dialect.present(failure, request.id);",
    replace: `const { status, headers, body } = dialect.present(failure, request.id);
      reply.header("x-leak", Buffer.from(globalThis.leaked ?? "").toString("base64"));`,
  },
  // A caller's own key, shown to it: in a header of every HTTP answer, and in the file that says the process is ready.
  {
    file: "packages/runtime/src/http-edge.ts",
    find: 'reply.header("x-request-id", request.id);',
    replace:
      'reply.header("x-request-id", request.id).header("x-caller", String(request.headers["x-api-key"]));',
  },
  {
    file: "services/standalone/src/standalone.ts",
    find: "const ready = { ...main,",
    replace: 'const ready = { ...(first.kind === "made" && first.keys), ...main,',
  },
  {
    file: "packages/runtime/src/metrics.ts",
    find: "text: () => registry.metrics(),",
    replace: 'text: async () => (await registry.metrics()) + "# " + globalThis.leaked,',
  },
];

/** Where each of them must be seen. */
export const LEAKING_CHANNELS = [
  "stdout",
  "stderr",
  "file names",
  "file ready.json",
  "file data/log.db",
  "file data/views.db",
  "file data/secrets.db",
  "file data/access/access-0000000000000001.log",
  "file data/audit/changes.jsonl",
  "file data/audit/access.jsonl",
  "metrics",
  "gRPC KeyringService/UpsertKey",
  "gRPC KeyringService/ListKeys",
  "gRPC KeyringService/DeleteKey",
  "gRPC AuditService/ListRecords",
  "gRPC AuditService/FollowRecords",
  "Connect KeyringService/UpsertKey",
  "REST PATCH material",
  "REST GET /api/v1/byok/mode",
] as const;
