import { configDefaults, defineConfig } from "vitest/config";

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
          exclude: [...configDefaults.exclude, "test/engines/kafka-*.test.ts"],
          pool: "forks",
          testTimeout: 30_000,
          hookTimeout: 30_000,
        },
      },
      {
        // Real engines: `npm run test:engines` starts and stops them.
        test: {
          name: "engines",
          include: ["test/engines/kafka-*.test.ts"],
          pool: "forks",
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
