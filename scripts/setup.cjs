// Brings node_modules up to the lockfile. It runs on whatever Node the machine has, before the workspace's own Node 24 is
// there, and an old one must get as far as being refused: so CommonJS, and no syntax younger than ES2015.
const { spawnSync } = require("child_process");
const { copyFileSync } = require("fs");

/** What the sources need: types stripped without a flag, and SQLite inside Node. */
const RUNS_SOURCES = [22, 22];

const fail = (sentence) => {
  console.error(`keyledger: ${sentence}`);
  process.exit(1);
};
const isAtLeast = (version, [major, minor]) => {
  const [ownMajor, ownMinor] = version.replace("v", "").split(".").map(Number);
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
};

const own = process.versions.node;
if (!isAtLeast(own, [18, 0])) {
  fail(`this is Node ${own}, and setting up needs Node 18 or newer.`);
}

console.error(
  "keyledger: first run or new dependencies: installing packages, about half a minute ...",
);
const install = spawnSync(
  "npx",
  [
    "-y",
    // The exact version and --prefer-offline together let a warm machine install without the network.
    "--prefer-offline",
    "pnpm@12.21.0",
    "install",
    "--frozen-lockfile",
    "--prefer-offline",
    // What fits is judged by the Node that will run here, not by the one that runs this: under Node 18 the native parts of
    // the test runner would be left out without a word.
    "--config.node-version=24.21.0",
  ],
  { stdio: ["ignore", 2, 2] },
);
if (install.status !== 0) fail("the installation failed; the lines above say why.");

// Node 24 is an optional package for each platform, and a package manager leaves out silently what does not fit.
const runtime = spawnSync("node_modules/.bin/node", ["--version"], { encoding: "utf8" });
const version = runtime.status === 0 ? runtime.stdout.trim() : own;
if (!isAtLeast(version, RUNS_SOURCES)) {
  fail(
    `there is no Node 24 package for ${process.platform}-${process.arch}, so Node ${RUNS_SOURCES.join(".")} or newer must be on the PATH, and this is Node ${own}.`,
  );
}

copyFileSync("pnpm-lock.yaml", "node_modules/.stamp");
