// Brings node_modules up to the lockfile, or does nothing when it already is. Runs on any Node >= 18, before the
// workspace's own Node 24 is there, so it is plain JavaScript without dependencies.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, readFileSync } from "node:fs";

const major = Number(process.versions.node.split(".")[0]);
if (major < 18) {
  console.error(
    `Keyledger needs Node 18 or newer to set itself up, and this is Node ${process.versions.node}.`,
  );
  process.exit(1);
}

const lockfile = "pnpm-lock.yaml";
const stamp = "node_modules/.stamp";
const isCurrent =
  existsSync(stamp) && readFileSync(stamp, "utf8") === readFileSync(lockfile, "utf8");

if (!isCurrent) {
  console.error(
    "keyledger: first run, or the lockfile changed: installing packages (about half a minute) ...",
  );
  const install = spawnSync(
    "npx",
    // The exact version and --prefer-offline together let a warm machine start without the network.
    ["-y", "--prefer-offline", "pnpm@12.21.0", "install", "--frozen-lockfile", "--prefer-offline"],
    { stdio: ["ignore", 2, 2] },
  );
  if (install.status !== 0) {
    console.error("keyledger: the installation failed; the lines above say why.");
    process.exit(install.status ?? 1);
  }
  copyFileSync(lockfile, stamp);
}
