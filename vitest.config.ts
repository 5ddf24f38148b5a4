import { configDefaults, defineConfig } from "vitest/config";

/** The distributed family over stand-ins for its engines: `npm run test:cluster`. */
const CLUSTER = [
  "test/cluster/**/*.test.ts",
  "test/contract/cluster-*.test.ts",
  "test/engines/*.test.ts",
  "test/support/{kurrent,vault}/**/*.test.ts",
];

/** Real engines, which `npm run test:engines` starts and stops. */
const ENGINES = ["test/engines/kafka-*.test.ts"];

export default defineConfig({
  test: {
    // In another order each time: no test may lean on the one before it. A run prints its seed, and
    // `npm test -- --sequence.seed=<seed>` repeats it.
    sequence: { shuffle: true },
    projects: [
      {
        test: {
          name: "unit",
          include: ["{packages,services}/*/src/**/*.test.ts"],
        },
      },
      {
        test: {
          name: "system",
          include: ["test/**/*.test.ts"],
          exclude: [...configDefaults.exclude, ...CLUSTER, ...ENGINES],
          pool: "forks",
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: "cluster",
          include: CLUSTER,
          exclude: [...configDefaults.exclude, ...ENGINES],
          pool: "forks",
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        test: {
          name: "engines",
          include: ENGINES,
          pool: "forks",
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
