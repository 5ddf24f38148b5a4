import { readdirSync, realpathSync } from "node:fs";
import { isAbsolute, join, relative, sep } from "node:path";
import {
  type AccessLog,
  type EventLog,
  type Host,
  type Kek,
  type MacRoot,
  type SecretStore,
  StoreUnavailable,
  type Uuid,
} from "@keyledger/core";
import { readDeploymentId } from "./deployment.ts";
import { lockDirectory } from "./directory-lock.ts";
import { openFileKek } from "./file-kek.ts";
import { codeOf, fileFault, syncDirectory } from "./files.ts";
import { createKeyFile, type KeySet, newKeySet, readKeyFile } from "./key-file.ts";
import { readNodeId, writeNodeId } from "./node-id.ts";
import { openSegmentAccessLog } from "./segment-access-log.ts";
import { openSqliteEventLog } from "./sqlite-event-log.ts";
import { openSqliteSecretStore } from "./sqlite-secret-store.ts";

export interface EmbeddedOptions {
  /** Holds everything but, perhaps, the key file. Made with mode 0700 where it is missing. */
  readonly directory: string;
  /** Where the keys lie: `keys` in the directory unless given. */
  readonly keyFile?: string | undefined;
  readonly host: Host;
}

/** The ports of the embedded family. Disposing them closes everything, in reverse order. */
export interface Embedded extends AsyncDisposable {
  readonly deploymentId: Uuid;
  /** Of this data directory: its access log is the stream `access-<node id>`. */
  readonly nodeId: Uuid;
  readonly log: EventLog;
  readonly accessLog: AccessLog;
  readonly secrets: SecretStore;
  readonly kek: Kek;
  readonly macRoot: MacRoot;
  /** Whoever backs the directory up then has keys and data in one archive. */
  readonly keyFileInsideDirectory: boolean;
}

/**
 * Opens a data directory, and makes it at the first start:
 *
 *     lock.db      held by the one process that may use the directory
 *     log.db       what changed: the event log
 *     secrets.db   sealed material and its wrapped data keys
 *     access/      who used what: the access log
 *     node-id      names the access log's stream
 *     keys         the KEK and the Mac root, unless they lie elsewhere; belongs in no backup that holds the others
 *
 * Log, secrets and key file carry the same deployment id. Files of different deployments are refused, and so is a file
 * that is missing beside others: nothing that was lost is silently made anew, no stray log makes the collector wipe a
 * store that it knows nothing of, and an empty disk mounted in the wrong place is not taken for a new vault.
 *
 * At the first start the key file comes last, when everything else is on the disk. So whatever a crash leaves, a
 * missing key file means that nothing was stored yet and the next start goes on; a present one means that all the others
 * must be there.
 *
 * The views are opened apart, with `openReadModels`: they are rebuilt rather than refused.
 *
 * @throws {StoreUnavailable} another process uses the directory, a file is missing, belongs to another deployment or may
 * not be opened; the message names the files. @throws {Corrupted} a file is not what it should be.
 */
export async function openEmbedded({
  directory,
  keyFile = join(directory, "keys"),
  host,
}: EmbeddedOptions): Promise<Embedded> {
  await using opened = new AsyncDisposableStack();
  opened.use(lockDirectory(directory));
  const paths: Paths = {
    keys: keyFile,
    log: join(directory, "log.db"),
    secrets: join(directory, "secrets.db"),
    access: join(directory, "access"),
    nodeId: join(directory, "node-id"),
  };
  using found = readKeyFile(keyFile);
  const deploymentId = found
    ? deploymentOf(found, paths)
    : ((await unfinishedDeployment(paths, host)) ?? host.random.uuid());

  const log = opened.use(openSqliteEventLog({ file: paths.log, deploymentId, host }));
  const secrets = opened.use(openSqliteSecretStore({ file: paths.secrets, deploymentId }));
  const nodeId = nodeIdOf(paths, host);
  const accessLog = opened.use(
    await openSegmentAccessLog({ directory: paths.access, deploymentId, nodeId, host }),
  );
  using keys = found ?? finishFirstStart(directory, paths, newKeySet(deploymentId, host.random));

  const kek = openFileKek(keyFile, keys, host);
  const macKey = keys.macRoot.use((bytes) => host.crypto.importKey(bytes));
  const keyFileInsideDirectory = isInside(directory, keyFile);
  const open = opened.move();
  return {
    deploymentId,
    nodeId,
    log,
    accessLog,
    secrets,
    kek,
    macRoot: { id: keys.macRootId, key: macKey },
    keyFileInsideDirectory,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

interface Paths {
  readonly keys: string;
  readonly log: string;
  readonly secrets: string;
  readonly access: string;
  readonly nodeId: string;
}

/** Where there are keys, there were log and secrets. */
function deploymentOf({ deploymentId }: KeySet, paths: Paths): Uuid {
  const stores = [paths.log, paths.secrets].map((file) => ({ file, id: readDeploymentId(file) }));
  const missing = stores.filter(({ id }) => id === undefined).map(({ file }) => file);
  if (missing.length > 0) {
    throw refused(
      `the key file ${paths.keys} belongs to deployment ${deploymentId}, but ${missing.join(" and ")} ` +
        "of that deployment cannot be found: restore it from a backup, or name another key file and an empty directory to begin anew",
    );
  }
  assertSame([{ file: paths.keys, id: deploymentId }, ...stores]);
  return deploymentId;
}

/** Without keys nothing can have been stored: what is there is a first start that did not finish. */
async function unfinishedDeployment(paths: Paths, host: Host): Promise<Uuid | undefined> {
  const [logId, secretsId] = [readDeploymentId(paths.log), readDeploymentId(paths.secrets)];
  const holding: string[] = [];
  if (logId !== undefined && (await holdsEvents(paths.log, logId, host))) holding.push(paths.log);
  if (secretsId !== undefined && (await holdsSecrets(paths.secrets, secretsId))) {
    holding.push(paths.secrets);
  }
  if (holding.length > 0) {
    throw refused(
      `the key file ${paths.keys} is missing, but ${holding.join(" and ")} cannot be used without it: ` +
        "restore it from its backup, or name the place where it lies",
    );
  }
  assertSame([
    { file: paths.log, id: logId },
    { file: paths.secrets, id: secretsId },
  ]);
  return logId ?? secretsId;
}

async function holdsEvents(file: string, deploymentId: Uuid, host: Host): Promise<boolean> {
  await using log = openSqliteEventLog({ file, deploymentId, host });
  return (await log.head()) !== log.zero;
}

async function holdsSecrets(file: string, deploymentId: Uuid): Promise<boolean> {
  await using secrets = openSqliteSecretStore({ file, deploymentId });
  return !secrets.isEmpty();
}

function assertSame(files: readonly { file: string; id: Uuid | undefined }[]): void {
  const known = files.filter(({ id }) => id !== undefined);
  if (new Set(known.map(({ id }) => id)).size <= 1) return;
  const list = known.map(({ file, id }) => `${file} to ${id}`).join(", ");
  throw refused(`these files belong to different deployments: ${list}`);
}

function nodeIdOf({ nodeId: file, access }: Paths, host: Host): Uuid {
  const known = readNodeId(file);
  if (known !== undefined) return known;
  if (hasEntries(access)) {
    throw refused(`${file} is missing, but ${access} holds the log of the node it names`);
  }
  const nodeId = host.random.uuid();
  writeNodeId(file, nodeId);
  return nodeId;
}

function hasEntries(directory: string): boolean {
  try {
    return readdirSync(directory).length > 0;
  } catch (error) {
    if (codeOf(error) === "ENOENT") return false;
    throw fileFault(directory, error);
  }
}

/** From here on the directory counts as used. */
function finishFirstStart(directory: string, { keys: file }: Paths, keys: KeySet): KeySet {
  syncDirectory(directory);
  createKeyFile(file, keys);
  return keys;
}

function isInside(directory: string, file: string): boolean {
  const path = relative(realpathSync(directory), realpathSync(file));
  return path !== ".." && !path.startsWith(`..${sep}`) && !isAbsolute(path);
}

const refused = (message: string): StoreUnavailable =>
  new StoreUnavailable(message, { retryable: false });
