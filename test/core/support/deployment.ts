import {
  type AccessLog,
  type Crypto,
  createLedger,
  type EventLog,
  type Host,
  type Kek,
  type KeyringView,
  keyringStream,
  type Ledger,
  type LedgerPorts,
  type LedgerSettings,
  type MacRoot,
  type Owner,
  ownerName,
  type ProbeReport,
  type ProviderCatalogue,
  type ReadCall,
  type RecordedEvent,
  Secret,
  type SecretRef,
  type SecretStore,
  type Stamp,
  type WriteCall,
} from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import { MemoryAccessLog, MemoryEventLog } from "./memory-feeds.ts";
import { MemoryKek, MemoryModels, MemorySecrets } from "./memory-stores.ts";
import { type Scripted, scripted } from "./scripted.ts";
import { type SimulatedTime, simulatedTime } from "./simulated-time.ts";

const { crypto, random } = nodeHost();

/** What outlives a process. */
export interface Storage {
  readonly log: MemoryEventLog;
  readonly accessLog: MemoryAccessLog;
  readonly secrets: MemorySecrets;
  readonly kek: Kek;
  readonly macRoot: MacRoot;
  readonly time: SimulatedTime;
}

export const newStorage = (): Storage => ({
  log: new MemoryEventLog(),
  accessLog: new MemoryAccessLog(crypto),
  secrets: new MemorySecrets(),
  kek: new MemoryKek(crypto, crypto.importKey(random.bytes(32))),
  macRoot: { id: "root", key: crypto.importKey(random.bytes(32)) },
  time: simulatedTime(),
});

export const valid: ProbeReport = {
  outcome: "valid",
  code: "ok",
  message: "The provider accepted the key.",
  retryable: false,
};

export const rejectedByProvider: ProbeReport = {
  outcome: "rejected",
  code: "invalid_api_key",
  message: "The provider refused the key.",
  retryable: false,
};

export const unclear: ProbeReport = {
  outcome: "unavailable",
  code: "timeout",
  message: "The provider did not answer.",
  retryable: true,
};

interface ProbeRequest {
  readonly provider: string;
  readonly location: string | null;
  readonly budgetMs: number;
  readonly text: string;
}

/** One process over a storage: every port can be told to fail, time is simulated, the provider says what it is told to. */
export interface Process extends AsyncDisposable {
  readonly ledger: Ledger;
  /** What the ledger was made of, to make another one. */
  readonly ports: LedgerPorts;
  readonly storage: Storage;
  readonly time: SimulatedTime;
  readonly host: Host;
  readonly models: MemoryModels;
  readonly log: Scripted<EventLog>;
  readonly accessLog: Scripted<AccessLog>;
  readonly secrets: Scripted<SecretStore>;
  readonly kek: Scripted<Kek>;
  /** Every buffer that a sealed record was opened into. */
  readonly opened: Uint8Array[];
  /** Names of all methods called on log, secrets and key-encryption key, in order. */
  readonly journal: string[];
  readonly probe: {
    answer: ProbeReport;
    before: () => Promise<void>;
    readonly requests: ProbeRequest[];
  };
}

export interface ProcessOptions {
  readonly storage?: Storage;
  readonly settings?: Partial<LedgerSettings>;
  /** The views follow the log. */
  readonly isFollowing?: boolean;
}

export async function startProcess({
  storage = newStorage(),
  settings = {},
  isFollowing = true,
}: ProcessOptions = {}): Promise<Process> {
  const { time } = storage;
  const opened: Uint8Array[] = [];
  const spying: Crypto = {
    ...crypto,
    open: (key, sealed, associatedData) => {
      const material = crypto.open(key, sealed, associatedData);
      if (material) opened.push(material);
      return material;
    },
  };
  const host: Host = { clock: time.clock, pause: time.pause, random, crypto: spying };
  const journal: string[] = [];
  const log = scripted<EventLog>(storage.log, journal);
  const accessLog = scripted<AccessLog>(storage.accessLog, journal);
  const secrets = scripted<SecretStore>(storage.secrets, journal);
  const kek = scripted<Kek>(storage.kek, journal);
  const models = new MemoryModels();
  const probe: Process["probe"] = { answer: valid, before: async () => {}, requests: [] };
  const ports: LedgerPorts = {
    log: log.port,
    accessLog: accessLog.port,
    secrets: secrets.port,
    kek: kek.port,
    models,
    catalogue,
    probe: {
      probe: async ({ provider, material, location, budgetMs }) => {
        if (!catalogue.find(provider)?.hasProbe) return unprobed;
        probe.requests.push({ provider, location, budgetMs, text: textOf(material) });
        await probe.before();
        return probe.answer;
      },
    },
    macRoot: storage.macRoot,
    host,
  };
  const ledger = createLedger(ports, {
    probePolicy: { isOn: true, onRejected: "reject", onIndeterminate: "store" },
    byokDefault: "on",
    ...settings,
  });
  const stop = new AbortController();
  const running = isFollowing ? ledger.projector.run(stop.signal) : Promise.resolve();
  running.catch(() => {});
  if (isFollowing) await ledger.projector.reached(await storage.log.head(), stop.signal, 10_000);
  return {
    ledger,
    ports,
    storage,
    time,
    host,
    models,
    log,
    accessLog,
    secrets,
    kek,
    opened,
    journal,
    probe,
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running.catch(() => {});
    },
  };
}

const unprobed: ProbeReport = {
  outcome: "unprobed",
  code: "unprobed",
  message: "The provider was not asked.",
  retryable: false,
};

const providers = [
  { name: "openai", hasProbe: true },
  { name: "anthropic", hasProbe: true },
  { name: "amazon-bedrock", hasProbe: true },
  { name: "mistral", hasProbe: false },
];

/** Bedrock has a location and credentials that end; the others have neither. */
export const catalogue: ProviderCatalogue = {
  find: (name) => providers.find((provider) => provider.name === name),
  all: () => providers,
  parse(provider, material, location) {
    const checked = catalogue.checkLocation(provider, location);
    if (!("location" in checked)) return checked;
    const text = textOf(material);
    if (text.includes(" ")) return [{ field: "secret", description: "has a blank inside" }];
    const [, expiresAt = null] = /^until=([^/]+)\//.exec(text) ?? [];
    return { label: `...${text.slice(-4)}`, location: checked.location, expiresAt };
  },
  checkLocation(provider, location) {
    if (provider !== "amazon-bedrock") return { location: null };
    if (location === null) return { location: "us-east-1" };
    return /^[a-z]{2}-[a-z]+-\d$/.test(location)
      ? { location }
      : [{ field: "location", description: "is no region" }];
  },
};

export const team: Owner = { kind: "team", id: "red" };

export const textOf = (secret: Secret | null): string =>
  secret ? secret.use((bytes) => Buffer.from(bytes).toString("utf8")) : "";

export const secretOf = (text: string): Secret => new Secret(Buffer.from(text));

/** Never aborts. */
export const patience = new AbortController().signal;

/** Aborts once so much simulated time has passed. */
export function deadline({ time }: Pick<Process, "time">, ms: number): AbortSignal {
  const abort = new AbortController();
  void time.after(ms).then(() => abort.abort());
  return abort.signal;
}

export const stampOf = ({ time }: Pick<Served, "time">, changes: Partial<Stamp> = {}): Stamp => ({
  actor: "user.ann",
  actorType: "team-admin",
  requestId: random.uuid(),
  correlationId: random.uuid(),
  time: time.clock.now(),
  ...changes,
});

export const callOf = (
  process: Pick<Served, "time">,
  {
    stamp,
    ...changes
  }: Partial<Omit<WriteCall, "stamp">> & { readonly stamp?: Partial<Stamp> } = {},
): WriteCall => ({
  owner: team,
  expected: undefined,
  signal: patience,
  remainingMs: 20_000,
  ...changes,
  stamp: stampOf(process, stamp),
});

export const anyTime: ReadCall = { minPosition: "", signal: patience };

/** The answer, where there must be one. */
export function accepted<T extends object>(answer: T): Exclude<T, { readonly rejected: unknown }> {
  if ("rejected" in answer) throw new Error(`refused: ${JSON.stringify(answer.rejected)}`);
  return answer as Exclude<T, { readonly rejected: unknown }>;
}

/** Why it was refused, where it must be. */
export function refusal(answer: object): unknown {
  if (!("rejected" in answer)) throw new Error("it was not refused");
  return answer.rejected;
}

/** What a request needs of a process. */
type Served = Pick<Process, "ledger"> & { readonly time: Pick<SimulatedTime, "clock"> };

export const upsert = (
  process: Served,
  text: string,
  {
    provider = "openai",
    name = undefined,
    location = undefined,
    ...call
  }: Parameters<typeof callOf>[1] & {
    readonly provider?: string;
    readonly name?: string | null | undefined;
    readonly location?: string | null | undefined;
  } = {},
) =>
  process.ledger.keys.upsertKey(callOf(process, call), {
    provider,
    secret: secretOf(text),
    name,
    location,
  });

type CreateWish = Parameters<Ledger["keys"]["createKey"]>[1];

export const create = (
  process: Served,
  text: string,
  wish: Partial<Omit<CreateWish, "secret">> = {},
  call: Parameters<typeof callOf>[1] = {},
) =>
  process.ledger.keys.createKey(callOf(process, call), {
    provider: "openai",
    secret: secretOf(text),
    workspaceId: null,
    name: null,
    location: null,
    fallback: false,
    disabled: false,
    allowedModels: null,
    allowedUsers: null,
    allowedCallerKeys: null,
    requiredForItsModels: false,
    byokOnly: false,
    declaredZdr: null,
    expiresAt: null,
    ...wish,
  });

export const resolve = (
  process: Served,
  question: Partial<Parameters<Ledger["resolveKey"]>[0]> = {},
  signal: AbortSignal = patience,
) =>
  process.ledger.resolveKey(
    {
      owner: team,
      provider: "openai",
      policy: "own-keys-first",
      model: null,
      userId: null,
      callerKey: null,
      workspaceId: null,
      skip: new Set(),
      purpose: "chat",
      ...question,
    },
    stampOf(process, { actor: "caller.gateway", actorType: "service" }),
    signal,
  );

/** Types of the events of an owner, in order. */
export const typesOf = ({ log }: Storage, owner: Owner = team): readonly string[] =>
  log.of(keyringStream(owner)).map(({ type }) => type);

export const eventsOf = ({ log }: Storage, owner: Owner = team): readonly RecordedEvent[] =>
  log.of(keyringStream(owner));

/** Every secret version that a keyring names as current must have its record. */
export const refsOf = (view: KeyringView | undefined): readonly SecretRef[] =>
  [...(view?.keys.values() ?? [])].map(({ keyId, secretVersion }) => ({
    owner: ownerName(view?.owner ?? team),
    keyId,
    secretVersion,
  }));
