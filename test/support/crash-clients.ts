import { randomUUID } from "node:crypto";
import {
  type AuditRecord,
  AuditService,
  Feed,
  KeyringService,
  Mode,
  OwnerKind,
  ResolvePolicy,
  ResolveService,
  Source,
} from "@keyledger/contracts";
import type { Dice } from "./dice.ts";
import { type Failure, failureOf, type GrpcClient, grpcClient } from "./grpc-client.ts";
import type { LedgerOfAcks, Write, WriteKind } from "./ledger-of-acks.ts";

export const PROVIDERS = ["openai", "anthropic", "mistral"] as const;

/** Stands in every material: what the files of the process must never show. */
export const MARK = "crashcanary";

export interface CrashKeys {
  /** Writes for owners it names. */
  readonly operator: string;
  readonly service: string;
  readonly auditor: string;
}

/** The clients of one life of the process. */
export interface Clients extends Disposable {
  readonly keyring: GrpcClient<typeof KeyringService>;
  readonly resolver: GrpcClient<typeof ResolveService>;
  readonly audit: GrpcClient<typeof AuditService>;
}

export function clientsOf(grpc: string, keys: CrashKeys): Clients {
  const keyring = grpcClient(KeyringService, grpc, { key: keys.operator });
  const resolver = grpcClient(ResolveService, grpc, { key: keys.service });
  const audit = grpcClient(AuditService, grpc, { key: keys.auditor });
  const all = [keyring, resolver, audit];
  return {
    keyring,
    resolver,
    audit,
    [Symbol.dispose]: () => {
      for (const client of all) client[Symbol.dispose]();
    },
  };
}

/** Where the clients find the process, from one of its lives to the next. */
export class Door {
  #clients: Clients | undefined;
  #waiting: ((clients: Clients) => void)[] = [];

  open(clients: Clients): void {
    this.#clients = clients;
    for (const resolve of this.#waiting.splice(0)) resolve(clients);
  }

  close(): void {
    this.#clients = undefined;
  }

  through(): Promise<Clients> {
    if (this.#clients) return Promise.resolve(this.#clients);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

export interface LoadFigures {
  attempts: number;
  /** Attempts that nobody answered. */
  unanswered: number;
  readonly unexpected: string[];
}

/** Refusals by rule: final, and nothing was written. */
const REFUSALS: ReadonlySet<string> = new Set([
  "KEY_NOT_FOUND",
  "NO_PROVIDER_KEYS",
  "OTHER_KEYS_EXIST",
  "REVISION_MISMATCH",
]);

/** Answers that leave open what became of the write, besides no answer at all. */
const OPEN: ReadonlySet<string> = new Set([
  "OUTCOME_UNKNOWN",
  "STORE_UNAVAILABLE",
  "NOT_CAUGHT_UP",
  "CONTENTION",
  "DEADLINE_EXCEEDED",
  "CANCELLED",
  "SHUTTING_DOWN",
  "AUDIT_UNAVAILABLE",
]);

const moment = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 10));

/** What a load needs to know of its world. */
export interface Load {
  readonly door: Door;
  readonly ledger: LedgerOfAcks;
  readonly figures: LoadFigures;
  /** Whether no new work is to be begun. */
  readonly isOver: () => boolean;
}

interface Answer {
  readonly keyId: string;
  readonly secretVersion: string;
  readonly revision?: bigint | undefined;
  readonly position: string;
}

/** One request, as often as it takes until it is answered; always under the same request id. */
async function settle(
  { door, ledger, figures }: Load,
  write: Write,
  send: (clients: Clients) => Promise<Answer>,
): Promise<void> {
  for (;;) {
    const clients = await door.through();
    figures.attempts++;
    try {
      const { keyId, secretVersion, revision, position } = await send(clients);
      ledger.acknowledge(write, {
        atMs: performance.now(),
        keyId,
        secretVersion,
        revision: revision === undefined ? undefined : Number(revision),
        position,
      });
      return;
    } catch (error) {
      const failure = failureOf(error);
      if (REFUSALS.has(failure.reason)) {
        write.outcome = { kind: "refused", reason: failure.reason };
        return;
      }
      figures.unanswered++;
      if (failure.reason !== "" && !OPEN.has(failure.reason)) {
        figures.unexpected.push(`${write.kind}: ${describe(failure)}`);
        return;
      }
      await moment();
    }
  }
}

const describe = ({ code, reason, message }: Failure): string => `${code} ${reason} ${message}`;

export const ownerFrom = (name: string) => ({
  kind: OwnerKind.TEAM,
  id: name.slice("team.".length),
});

/** Of every slot size of the secret store. */
const LENGTHS = [24, 24, 24, 24, 24, 24, 700, 6_000] as const;

/** Writes for owners of its own and for owners it shares, one request after the other. */
export async function runWriter(load: Load, owners: readonly string[], chance: Dice) {
  const { ledger, isOver } = load;
  while (!isOver()) {
    const owner = chance.pickAny(owners) ?? "";
    const known = [...ledger.liveKeys(owner)];
    const keyId = chance.pickAny(known);
    const kind = kindOf(chance, known.length, keyId !== undefined);
    const requestId = randomUUID();
    const provider = chance.pick(PROVIDERS);
    const needsMaterial = kind === "upsert" || kind === "create" || kind === "rotate";
    const filler = "x".repeat(chance.pick(LENGTHS) - 24);
    const material = `sk-${MARK}-${requestId}-${filler}tail`;
    const mode = chance.chance(0.7) ? ("byok" as const) : ("neo" as const);
    const isAbout = keyId !== undefined && kind !== "upsert" && kind !== "create";
    const write = ledger.begin({
      requestId,
      kind,
      owner,
      ...(needsMaterial && { material }),
      ...(isAbout && kind !== "mode" && { keyId }),
      ...(kind === "mode" && { mode }),
    });
    const secret = Buffer.from(material);
    const common = { owner: ownerFrom(owner), requestId };
    const isDisabled = chance.chance(0.3);
    await settle(load, write, async ({ keyring }): Promise<Answer> => {
      switch (kind) {
        case "upsert":
          return ofKey(await keyring.upsertKey({ ...common, provider, secret }));
        case "create":
          return ofKey(await keyring.createKey({ ...common, provider, secret }));
        case "rotate":
          return ofKey(await keyring.updateKey({ ...common, keyId: keyId ?? "", secret }));
        case "update":
          return ofKey(
            await keyring.updateKey({
              ...common,
              keyId: keyId ?? "",
              // Another name each time: no update is a no-op.
              name: `n ${requestId.slice(0, 8)}`,
              disabled: isDisabled,
            }),
          );
        case "delete": {
          const target = { case: "keyId" as const, value: keyId ?? "" };
          return { secretVersion: "", ...(await keyring.deleteKey({ ...common, target })) };
        }
        case "mode": {
          const asked = mode === "byok" ? Mode.BYOK : Mode.NEO;
          const answer = await keyring.setMode({ ...common, mode: asked });
          return { keyId: "", secretVersion: "", ...answer };
        }
      }
    });
  }
}

const ofKey = (answer: {
  readonly key?: { readonly keyId: string; readonly secretVersion: string } | undefined;
  readonly revision?: bigint | undefined;
  readonly position: string;
}): Answer => ({
  keyId: answer.key?.keyId ?? "",
  secretVersion: answer.key?.secretVersion ?? "",
  revision: answer.revision,
  position: answer.position,
});

const KEYS_WANTED = 6;

/** More keys are made while there are few, and deleted while there are many. */
function kindOf(chance: Dice, count: number, hasKey: boolean): WriteKind {
  if (!hasKey) return chance.pick(["upsert", "create"]);
  if (count > KEYS_WANTED && chance.chance(0.5)) return "delete";
  return chance.pick(["upsert", "create", "rotate", "rotate", "update", "delete", "mode"]);
}

/** Resolves what comes, and keeps a note of all that was released. */
export async function runResolver(load: Load, owners: readonly string[], chance: Dice) {
  const { door, ledger, figures, isOver } = load;
  while (!isOver()) {
    const clients = await door.through();
    const owner = chance.pickAny(owners) ?? "";
    try {
      await resolveOnce(clients, ledger, owner, chance.pick(PROVIDERS), []);
    } catch (error) {
      const failure = failureOf(error);
      const isRefusal = failure.reason === "NO_KEY" || failure.reason === "ALL_DISABLED";
      if (isRefusal) continue;
      if (failure.reason === "" || OPEN.has(failure.reason)) await moment();
      else figures.unexpected.push(`resolve: ${describe(failure)}`);
    }
  }
}

/** @returns the key that was resolved; `undefined` where the platform serves. */
export async function resolveOnce(
  { resolver }: Clients,
  ledger: LedgerOfAcks,
  owner: string,
  provider: string,
  skipKeyIds: readonly string[],
): Promise<string | undefined> {
  const correlationId = randomUUID();
  const askedAtMs = performance.now();
  const { source, keyId, secretVersion, material } = await resolver.resolve(
    {
      owner: ownerFrom(owner),
      provider,
      policy: ResolvePolicy.OWN_KEYS_FIRST,
      skipKeyIds: [...skipKeyIds, "platform"],
    },
    { headers: { "x-request-id": correlationId } },
  );
  if (source !== Source.BYOK) return undefined;
  const text = Buffer.from(material).toString("utf8");
  ledger.releases.push({ correlationId, owner, keyId, secretVersion, material: text, askedAtMs });
  return keyId;
}

/** Looks again and again for a keyring that uses keys it does not have. */
export async function runObserver(load: Load, owners: readonly string[], chance: Dice) {
  const { door, figures, isOver } = load;
  while (!isOver()) {
    const { keyring } = await door.through();
    const owner = chance.pickAny(owners) ?? "";
    try {
      const { mode, enabledKeys } = await keyring.getMode({ owner: ownerFrom(owner) });
      if (mode === Mode.BYOK && enabledKeys === 0)
        figures.unexpected.push(`${owner} was shown as byok without an enabled key`);
    } catch (error) {
      const failure = failureOf(error);
      if (failure.reason === "" || OPEN.has(failure.reason)) await moment();
      else figures.unexpected.push(`mode: ${describe(failure)}`);
    }
  }
}

/** Follows the feed of changes through every crash, from where it got to. @returns the positions it was given. */
export async function runFollower({ door, isOver }: Load): Promise<readonly string[]> {
  const positions: string[] = [];
  while (!isOver()) {
    const { audit } = await door.through();
    const stream = audit.followRecords({ feed: Feed.CHANGES, after: positions.at(-1) ?? "" });
    const timer = setInterval(() => isOver() && stream.cancel(), 50);
    await new Promise<void>((resolve) => {
      stream.on("data", ({ item }: { item: { case?: string; value?: AuditRecord } }) => {
        if (item.case === "record" && item.value) positions.push(item.value.position);
      });
      stream.on("error", () => resolve());
      stream.on("end", resolve);
    });
    clearInterval(timer);
    await moment();
  }
  return positions;
}
