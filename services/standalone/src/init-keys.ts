import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  CALLER_KEY_RANDOM_BYTES,
  type CallerKeys,
  Fault,
  type Host,
  type Owner,
  parseCallerKey,
  type ReadModels,
  type Role,
  type Stamp,
} from "@keyledger/core";
import { readPrivateFile, removeDurably, writePrivateFile } from "@keyledger/runtime";

/** The caller keys of a first start, each under its name in the file. */
const FIRST_KEYS = {
  operator_key: { role: "operator", owner: null, label: "first operator" },
  service_key: { role: "service", owner: null, label: "first service" },
  team_key: {
    role: "team-admin",
    owner: { kind: "team", id: "default" },
    label: "first team admin",
  },
} as const satisfies Record<string, { role: Role; owner: Owner | null; label: string }>;

type FirstKey = keyof typeof FIRST_KEYS;
/** The text of each key that was made. */
export type FirstKeys = Readonly<Partial<Record<FirstKey, string>>>;

const NAMES = Object.keys(FIRST_KEYS) as readonly FirstKey[];

export const INIT_KEYS_FILE = "init-keys.json";

/** What a start did about the first keys. */
export type InitKeys =
  /** `file`: they still lie where a first start put them. */
  | { readonly kind: "there-already"; readonly file?: string }
  | { readonly kind: "made"; readonly file: string; readonly keys: FirstKeys };

/**
 * Makes the first caller keys, once. A file with them is durable before the first of them exists, and is taken up again
 * where a crash left it, so that no crash locks anybody out and no key is made twice.
 * @param file where they go; by default into the data directory.
 */
export async function ensureFirstKeys({
  callerKeys,
  models,
  deploymentId,
  dataDirectory,
  file = join(dataDirectory, INIT_KEYS_FILE),
  host,
}: {
  callerKeys: CallerKeys;
  models: Pick<ReadModels, "callerKey">;
  deploymentId: string;
  dataDirectory: string;
  file?: string | undefined;
  host: Host;
}): Promise<InitKeys> {
  const stampOf = (name: FirstKey): Stamp => ({
    actor: "system.init",
    actorType: "system",
    requestId: `${name.replace("_key", "")}-${deploymentId}`,
    correlationId: deploymentId,
    time: host.clock.now(),
  });
  const idOf = (name: FirstKey) => callerKeys.idFor(stampOf(name));
  const missing = NAMES.filter((name) => !models.callerKey(idOf(name)));
  if (missing.length === 0) return { kind: "there-already", ...(existsSync(file) && { file }) };

  const held = await readPrivateFile(file, FILE_BYTES_MAX);
  const texts = held ? parseFirstKeys(held, file) : makeKeys(missing);
  if (!held) await writePrivateFile(file, `${JSON.stringify(texts, null, 2)}\n`);
  for (const name of missing) {
    const parsed = parseCallerKey(host.crypto, texts[name] ?? "");
    if (parsed?.id !== idOf(name)) throw foreignFile(file);
    const issued = await callerKeys.issue(
      { stamp: stampOf(name), expected: undefined, signal: new AbortController().signal },
      { ...FIRST_KEYS[name], expiresAt: null, random: parsed.random },
    );
    if ("rejected" in issued) throw foreignFile(file);
  }
  return { kind: "made", file, keys: texts };

  function makeKeys(names: readonly FirstKey[]): FirstKeys {
    const made = names.map((name) => {
      using text = callerKeys.textFor(idOf(name), host.random.bytes(CALLER_KEY_RANDOM_BYTES));
      return [name, text.use((bytes) => host.crypto.utf8Decode(bytes))] as const;
    });
    return Object.fromEntries(made);
  }
}

/** Once people have seen the keys on their terminal the file is not needed any more. */
export const forgetFirstKeys = (file: string): Promise<void> => removeDurably(file);

const FILE_BYTES_MAX = 4_096;

function parseFirstKeys(content: Uint8Array, file: string): FirstKeys {
  try {
    const record = JSON.parse(Buffer.from(content).toString("utf8")) as Record<string, unknown>;
    return Object.fromEntries(NAMES.map((name) => [name, String(record[name] ?? "")]));
  } catch {
    throw foreignFile(file);
  }
}

const foreignFile = (file: string): Fault =>
  new Fault(
    `${file} does not hold the first keys of this data directory: move it away, or name another place with --init-keys-file`,
    { retryable: false },
  );
