import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeHost } from "@keyledger/runtime";
import { openFileKek } from "../../packages/embedded/src/file-kek.ts";
import { createKeyFile, newKeySet } from "../../packages/embedded/src/key-file.ts";
import { openReadModels } from "../../packages/embedded/src/sqlite-read-models.ts";
import { openSqliteSecretStore } from "../../packages/embedded/src/sqlite-secret-store.ts";
import { kekContract } from "./kek.contract.ts";
import { readModelsContract } from "./read-models.contract.ts";
import { secretStoreContract } from "./secret-store.contract.ts";

const host = nodeHost();

function newDirectory() {
  const directory = mkdtempSync(join(tmpdir(), "keyledger-custody-"));
  const remove = () => rmSync(directory, { recursive: true });
  return {
    directory,
    [Symbol.dispose]: remove,
    [Symbol.asyncDispose]: async () => remove(),
  };
}

secretStoreContract("The SQLite secret store", async () => {
  const home = newDirectory();
  const options = { file: join(home.directory, "secrets.db"), deploymentId: host.random.uuid() };
  return { ...home, open: async () => openSqliteSecretStore(options) };
});

kekContract("The key file", async () => {
  const home = newDirectory();
  const file = join(home.directory, "keys");
  using keys = newKeySet(host.random.uuid(), host.random);
  createKeyFile(file, keys);
  const kek = openFileKek(file, keys, host);
  return Object.assign(kek, { [Symbol.asyncDispose]: home[Symbol.asyncDispose] });
});

readModelsContract("The SQLite read models", () => {
  const home = newDirectory();
  const deploymentId = host.random.uuid();
  const file = join(home.directory, "views.db");
  const onReset = (reason: string) => {
    throw new Error(`the views were reset: ${reason}`);
  };
  return { ...home, open: () => openReadModels({ file, deploymentId, onReset }) };
});
