import { describe, expect, it } from "vitest";
import {
  brokenRules,
  IMPORT_RULES,
  importsOf,
  looseVersions,
  type Manifest,
  readImports,
  readManifests,
  sourceFiles,
  undeclared,
  unneeded,
} from "../../scripts/import-rules.ts";

const root = new URL("../..", import.meta.url).pathname;
const imports = readImports(root);
const manifests = readManifests(root);

describe("the import graph", () => {
  it.for(IMPORT_RULES)("keeps the rule: $rule", (rule) => {
    expect(brokenRules(imports, [rule])).toStrictEqual([]);
  });

  it("covers every part of the workspace", () => {
    const files = sourceFiles(root);
    for (const home of [...manifests.keys()].filter((home) => home !== ".")) {
      expect(files.some((file) => file.startsWith(`${home}/`))).toBe(true);
    }
    expect(files.some((file) => file.includes("node_modules"))).toBe(false);
    for (const to of ["@keyledger/core", "node:crypto", "packages/core/src/domain/events.ts"]) {
      expect(imports.map((edge) => edge.to)).toContain(to);
    }
  });

  it("crosses packages by declared dependencies only", () => {
    expect(undeclared(imports, manifests)).toStrictEqual([]);
  });

  it("needs every dependency that is declared", () => {
    expect(unneeded(imports, manifests)).toStrictEqual([]);
  });
});

describe("the manifests", () => {
  it("pin every version", () => {
    expect(looseVersions(manifests)).toStrictEqual([]);
  });

  it("give the root no run-time dependency, since it would leak into every package", () => {
    expect(manifests.get(".")).not.toHaveProperty("dependencies");
  });

  it("give the core no dependency at all", () => {
    expect(manifests.get("packages/core")?.dependencies ?? {}).toStrictEqual({});
  });

  it("agree on the version of each package", () => {
    const versions = new Map<string, Set<string>>();
    for (const { dependencies, devDependencies } of manifests.values()) {
      for (const [name, version] of Object.entries({ ...dependencies, ...devDependencies })) {
        versions.set(name, (versions.get(name) ?? new Set()).add(version));
      }
    }
    expect([...versions].filter(([, seen]) => seen.size > 1)).toStrictEqual([]);
  });
});

describe("the import rules", () => {
  it.for([
    ["packages/core/src/domain/decider.ts", "node:crypto"],
    ["packages/core/src/application/mac.ts", "@keyledger/runtime"],
    ["packages/core/src/domain/decider.test.ts", "node:crypto"],
    ["packages/core/src/domain/decider.ts", "packages/core/src/ports/kek.ts"],
    ["packages/core/src/domain/decider.ts", "packages/core/src/application/mac.ts"],
    ["packages/core/src/ports/kek.ts", "packages/core/src/application/mac.ts"],
    ["packages/embedded/src/open.ts", "@keyledger/contracts"],
    ["packages/embedded/src/open.ts", "@keyledger/providers"],
    ["packages/cluster/src/open.ts", "@keyledger/embedded"],
    ["packages/providers/src/openai.ts", "@keyledger/runtime"],
    ["packages/runtime/src/log.ts", "@keyledger/contracts"],
    ["packages/runtime/src/log.ts", "@keyledger/keyring"],
    ["packages/contracts/src/index.ts", "@keyledger/core"],
    ["services/keyring/src/app.ts", "@keyledger/embedded"],
    ["services/keyring/src/app.test.ts", "@keyledger/embedded"],
    ["services/standalone/src/config.ts", "@keyledger/providers"],
    ["services/rest/src/app.ts", "@keyledger/core"],
    ["services/rest/src/app.ts", "@keyledger/keyring"],
    ["services/audit/src/app.ts", "@keyledger/contracts"],
    ["packages/embedded/src/open.ts", "kafkajs"],
    ["services/keyring/src/main.ts", "node-vault"],
    ["services/keyring/src/grpc.ts", "@grpc/proto-loader"],
    ["test/e2e/grpc.test.ts", "protobufjs/minimal"],
    ["packages/runtime/src/log.ts", "vitest"],
    ["packages/runtime/src/log.ts", "packages/runtime/src/log.test.ts"],
  ] as const)("do not let %s import %s", ([from, to]) => {
    expect(brokenRules([{ from, to }])).not.toStrictEqual([]);
  });

  it.for([
    ["services/keyring/src/main.ts", "@keyledger/embedded"],
    ["packages/core/src/domain/decider.test.ts", "fast-check"],
    ["packages/cluster/src/kafka-audit-sink.ts", "kafkajs"],
    ["test/contract/embedded.test.ts", "@keyledger/embedded"],
    ["packages/client/src/client.ts", "@keyledger/contracts"],
  ] as const)("let %s import %s", ([from, to]) => {
    expect(brokenRules([{ from, to }])).toStrictEqual([]);
  });

  it("see every form of import and nothing that only looks like one", () => {
    // Written so that the scan does not take this text for imports of this file.
    const source = [
      'im#port { a } from "a";',
      'im#port type {\n  B,\n} from "b";',
      'im#port "c";',
      'ex#port { d } from "./d.ts";',
      'ex#port * from "../e.ts";',
      'const f = await im#port("f");',
      '// im#port { no } from "comment";',
      '/**\n * im#port { no } from "comment";\n */',
      'const text = `taken from "a string"`;',
    ]
      .join("\n")
      .replaceAll("#", "");
    expect(importsOf("packages/x/src/y/z.ts", source).map(({ to }) => to)).toStrictEqual([
      "a",
      "b",
      "c",
      "packages/x/src/y/d.ts",
      "packages/x/src/e.ts",
      "f",
    ]);
  });

  const home = "packages/runtime";
  const declared: ReadonlyMap<string, Manifest> = new Map([
    [".", { devDependencies: { vitest: "1.0.0", typescript: "1.0.0" } }],
    [home, { dependencies: { pino: "1.0.0", zod: "1.0.0" } }],
  ]);
  const made = [
    { from: `${home}/src/log.ts`, to: "pino" },
    { from: `${home}/src/log.ts`, to: "vitest" },
    { from: `${home}/src/log.ts`, to: "packages/core/src/index.ts" },
    { from: `${home}/src/log.test.ts`, to: "vitest" },
    { from: `${home}/src/log.ts`, to: "node:fs" },
    { from: "test/e2e/log.test.ts", to: "packages/core/src/index.ts" },
  ];

  it("find an import that is not declared", () => {
    expect(undeclared(made, declared)).toStrictEqual([
      "packages/runtime/src/log.ts imports vitest, which packages/runtime/package.json does not declare",
      "packages/runtime/src/log.ts imports packages/core/src/index.ts, a file of another package",
    ]);
  });

  it("find a dependency that is not needed", () => {
    expect(unneeded(made, declared)).toStrictEqual([
      "packages/runtime/package.json declares zod, which nothing there imports",
    ]);
  });

  it.for(["^1.0.0", "~1.0.0", "1.0", "*", "latest", "link:../x", "file:x.tgz", "https://x/y.tgz"])(
    "take %s for no pinned version",
    (version) => {
      expect(looseVersions(new Map([["x", { dependencies: { y: version } }]]))).toHaveLength(1);
    },
  );
});
