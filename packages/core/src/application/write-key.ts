import type { KeyringCommand, NewMaterial } from "../domain/commands.ts";
import type { KeyMetadata, KeyringEvent } from "../domain/events.ts";
import { invalid, type Rejection, type Violation } from "../domain/rejection.ts";
import { MATERIAL_BYTES_MAX, Secret, trimMaterial } from "../domain/secret.ts";
import { emptyKeyringView, type KeyringView, type KeyView, primaryOf } from "../domain/views.ts";
import { type ExpectedEdit, ownerName, type Uuid } from "../domain/vocabulary.ts";
import type { Host } from "../ports/host.ts";
import type { KeyProbe, ProbeReport } from "../ports/key-probe.ts";
import type { ParsedCredential, ProviderCatalogue } from "../ports/provider-catalogue.ts";
import type { ReadModels } from "../ports/read-models.ts";
import type { SecretStore } from "../ports/secret-store.ts";
import { type Answer, rejected, requestMac, type WriteCall } from "./call.ts";
import { checkAllowList, checkText, checkUuid } from "./check.ts";
import type { Envelope } from "./envelope.ts";
import type { CommandHandler, Outcome } from "./handle-command.ts";
import type { Mac } from "./mac.ts";
import { askProvider, findingOf, type ProbePolicy, refusalOf, unprobed } from "./probe-policy.ts";
import { releasedBy, stageMaterial } from "./seal-material.ts";
import type { Shredder } from "./shred.ts";

/** Upsert, create and update of provider keys: check, ask the provider, decide, seal, append, destroy what was replaced. */
export interface KeyWriter {
  /** Creates or replaces the provider's primary. */
  upsertKey(call: WriteCall, wish: UpsertWish): Promise<Answer<WrittenKey>>;
  createKey(call: WriteCall, wish: CreateWish): Promise<Answer<WrittenKey>>;
  updateKey(call: WriteCall, wish: UpdateWish): Promise<Answer<WrittenKey>>;
  /** Asks the provider and stores nothing. */
  probeKey(
    call: Pick<WriteCall, "signal" | "remainingMs">,
    wish: { readonly provider: string; readonly secret: Secret; readonly location: string | null },
  ): Promise<{ readonly probe: ProbeReport } | { readonly rejected: Rejection }>;
}

export interface UpsertWish {
  readonly provider: string;
  /** The caller wipes it. */
  readonly secret: Secret;
  /** `undefined` keeps, `null` clears. */
  readonly name: string | null | undefined;
  readonly location: string | null | undefined;
}

export interface CreateWish extends Omit<KeyMetadata, "sortOrder"> {
  readonly provider: string;
  readonly secret: Secret;
  readonly workspaceId: Uuid | null;
}

export interface UpdateWish {
  readonly keyId: Uuid;
  readonly secret: Secret | null;
  /** Absent keeps. */
  readonly changes: Partial<KeyMetadata>;
}

export interface WrittenKey {
  readonly key: KeyView;
  readonly isPrimary: boolean;
  readonly probe: ProbeReport;
  readonly autoSwitched: boolean;
  readonly wipePending: boolean;
}

/** Bytes of the keyed fingerprint that are kept: enough to find duplicates, too few to be an oracle. */
const FINGERPRINT_BYTES = 12;

interface Parts {
  readonly handler: CommandHandler;
  readonly models: ReadModels;
  readonly catalogue: ProviderCatalogue;
  readonly probe: KeyProbe;
  readonly policy: ProbePolicy;
  readonly secrets: SecretStore;
  readonly envelope: Envelope;
  readonly mac: Mac;
  readonly host: Host;
  readonly shredder: Shredder;
}

/** One credential on its way in. */
interface Incoming {
  readonly call: WriteCall;
  readonly provider: string;
  readonly material: Secret;
  readonly requestMac: string;
  /** The key the command is about, where no event names one. */
  readonly subject: (keyring: KeyringView) => Uuid | undefined;
  /** As asked for: `undefined` keeps what the subject has, `null` is the provider's default. */
  readonly location: string | null | undefined;
  readonly command: (
    keyring: KeyringView,
    part: { material: NewMaterial; probe: ReturnType<typeof findingOf>; refusal: Rejection | null },
  ) => KeyringCommand | Rejection;
}

export function createKeyWriter(parts: Parts): KeyWriter {
  const { handler, models, catalogue, probe, policy, secrets, envelope, mac, host, shredder } =
    parts;

  const view = ({ owner }: WriteCall): KeyringView =>
    models.keyring(owner) ?? emptyKeyringView(owner);

  /** Trimmed material, or what is wrong with it. The bytes stay the caller's. */
  const accept = (provider: string, secret: Secret): Secret | Rejection =>
    catalogue.find(provider) ? trimmed(secret) : { reason: "unknown-provider" };

  function trimmed(secret: Secret): Secret | Rejection {
    const material = secret.use((bytes) => new Secret(trimMaterial(bytes)));
    if (material.byteLength === 0) return invalid("secret", "is empty");
    if (material.byteLength > MATERIAL_BYTES_MAX) {
      return invalid(
        "secret",
        `is ${material.byteLength} bytes, the most is ${MATERIAL_BYTES_MAX}`,
      );
    }
    return material;
  }

  /** The location a change keeps where it says nothing of one. */
  const keptLocation = ({ location, subject }: Incoming, keyring: KeyringView): string | null =>
    location === undefined ? (keyring.keys.get(subject(keyring) ?? "")?.location ?? null) : null;

  /** A credential that names its own place is not held to the one that was kept for its predecessor. */
  function describe(
    { provider, material, location }: Incoming,
    kept: string | null,
  ): ParsedCredential | readonly Violation[] {
    const parsed = catalogue.parse(provider, material, location ?? kept);
    const described =
      isViolations(parsed) && kept !== null ? catalogue.parse(provider, material, null) : parsed;
    if (isViolations(described)) return described;
    const isExpired = described.expiresAt !== null && described.expiresAt <= host.clock.now();
    return isExpired ? [{ field: "secret", description: "has expired already" }] : described;
  }

  async function write(incoming: Incoming): Promise<Answer<WrittenKey>> {
    const { call, provider, material } = incoming;
    const known = await handler.known({ ...call, requestMac: incoming.requestMac });
    if (known) return answer(incoming, known, undefined);

    const kept = keptLocation(incoming, view(call));
    const parsed = describe(incoming, kept);
    if (isViolations(parsed)) return rejected({ reason: "invalid", violations: parsed });
    const report = await askProvider(
      probe,
      policy,
      { provider, material, location: parsed.location, signal: call.signal },
      call.remainingMs,
    );
    const fingerprint = material.use((bytes) =>
      mac.value("fingerprint", ownerName(call.owner), bytes, FINGERPRINT_BYTES),
    );
    const secretVersion = host.random.uuid();

    const outcome = await handler.handle({
      ...call,
      requestMac: incoming.requestMac,
      onUnsettled: (events) => void shredder.shred(releasedBy(call.owner, events)),
      stage: stageMaterial({ secrets, envelope }, call.owner, provider, material),
      command: (keyring) => {
        const now = keptLocation(incoming, keyring);
        const described = now === kept ? parsed : describe(incoming, now);
        if (isViolations(described)) return { reason: "invalid", violations: described };
        // A location that changed while the provider was asked was not what it was asked about.
        const isCurrent = described.location === parsed.location;
        return incoming.command(keyring, {
          material: {
            secretVersion,
            fingerprint,
            label: described.label,
            location: described.location,
            expiresAt: described.expiresAt ?? (isCurrent ? (report.expiresAt ?? null) : null),
          },
          probe: isCurrent ? findingOf(report) : null,
          refusal: refusalOf(report, policy),
        });
      },
    });
    return answer(incoming, outcome, report);
  }

  async function answer(
    { call, subject }: Pick<Incoming, "call" | "subject">,
    outcome: Outcome,
    report: ProbeReport | undefined,
  ): Promise<Answer<WrittenKey>> {
    if ("rejected" in outcome) return outcome;
    if (outcome.refusal) return rejected(outcome.refusal);
    const key = outcome.keyring.keys.get(
      namedKey(outcome.events) ?? subject(outcome.keyring) ?? "",
    );
    const probed = report ?? reportOf(key);
    // The repeat of a request that only recorded a refusal is refused again.
    const refusal =
      outcome.isRepeat && onlyProbed(outcome.events) ? refusalOf(probed, policy) : null;
    if (refusal) return rejected(refusal);
    if (!key) return rejected({ reason: "key-not-found" });
    const released = releasedBy(call.owner, outcome.events);
    return {
      key,
      isPrimary: primaryOf(outcome.keyring, key.provider) === key,
      probe: probed,
      autoSwitched: outcome.events.some(isAutoSwitch),
      wipePending: await shredder.shred(released),
      revision: outcome.keyring.editRevision,
      position: outcome.position,
    };
  }

  return {
    async upsertKey(call, wish) {
      const material = accept(wish.provider, wish.secret);
      if (!(material instanceof Secret)) return rejected(material);
      const wrong = [
        ...(wish.name ? checkText("name", wish.name) : []),
        ...(wish.location ? checkText("location", wish.location) : []),
      ];
      if (wrong.length > 0) return rejected({ reason: "invalid", violations: wrong });
      const { provider, name, location } = wish;
      const newKeyId = host.random.uuid();
      return write({
        call,
        provider,
        material,
        requestMac: requestMac(
          { mac, crypto: host.crypto },
          ownerName(call.owner),
          "UpsertKey",
          {
            provider,
            name: name === undefined ? { keep: true } : name,
            location: location === undefined ? { keep: true } : location,
            expected: expectedText(call.expected),
          },
          material,
        ),
        subject: (keyring) => primaryOf(keyring, provider)?.keyId,
        location,
        command: (_keyring, part) => ({ type: "UpsertKey", provider, newKeyId, name, ...part }),
      });
    },

    async createKey(call, wish) {
      const material = accept(wish.provider, wish.secret);
      if (!(material instanceof Secret)) return rejected(material);
      const { provider, secret: _secret, workspaceId, location, ...metadata } = wish;
      const wrong = [
        ...checkMetadata({ ...metadata, location }),
        ...(workspaceId === null ? [] : checkUuid("workspace_id", workspaceId)),
      ];
      if (wrong.length > 0) return rejected({ reason: "invalid", violations: wrong });
      const newKeyId = host.random.uuid();
      return write({
        call,
        provider,
        material,
        requestMac: requestMac(
          { mac, crypto: host.crypto },
          ownerName(call.owner),
          "CreateKey",
          {
            provider,
            workspaceId,
            location,
            ...metadata,
            expected: expectedText(call.expected),
          },
          material,
        ),
        subject: () => newKeyId,
        location,
        command: (_keyring, part) => ({
          type: "CreateKey",
          provider,
          newKeyId,
          workspaceId,
          metadata,
          ...part,
        }),
      });
    },

    async updateKey(call, wish) {
      const { keyId, secret, changes } = wish;
      const subject = () => keyId;
      const key = view(call).keys.get(keyId);
      const wrong = checkMetadata(changes);
      if (wrong.length > 0) return rejected({ reason: "invalid", violations: wrong });
      const scope = ownerName(call.owner);
      const fields = { keyId, expected: expectedText(call.expected), changes: { ...changes } };
      const material = secret && trimmed(secret);
      if (material && !(material instanceof Secret)) return rejected(material);
      const own = requestMac(
        { mac, crypto: host.crypto },
        scope,
        "UpdateKey",
        fields,
        material ?? undefined,
      );
      if (!key) {
        // A repeat of a request whose key is gone meanwhile is still answered as it was first.
        const repeat = await handler.known({ ...call, requestMac: own });
        return repeat
          ? answer({ call, subject }, repeat, material ? undefined : unprobed)
          : rejected({ reason: "key-not-found" });
      }
      const { provider } = key;
      if (!material) {
        const outcome = await handler.handle({
          ...call,
          requestMac: own,
          command: () => {
            if (changes.location === undefined)
              return { type: "UpdateKey", keyId, changes, rotation: null };
            const checked = catalogue.checkLocation(provider, changes.location);
            if (isViolations(checked)) return { reason: "invalid", violations: checked };
            return {
              type: "UpdateKey",
              keyId,
              changes: { ...changes, ...checked },
              rotation: null,
            };
          },
        });
        return answer({ call, subject }, outcome, unprobed);
      }
      if (!catalogue.find(provider)) return rejected({ reason: "unknown-provider" });
      const { location, ...others } = changes;
      return write({
        call,
        provider,
        material,
        requestMac: own,
        subject,
        location,
        command: (_keyring, rotation) => ({ type: "UpdateKey", keyId, changes: others, rotation }),
      });
    },

    async probeKey({ signal, remainingMs }, { provider, secret, location }) {
      const material = accept(provider, secret);
      if (!(material instanceof Secret)) return rejected(material);
      const wrong = location ? checkText("location", location) : [];
      if (wrong.length > 0) return rejected({ reason: "invalid", violations: wrong });
      const parsed = catalogue.parse(provider, material, location);
      if (isViolations(parsed)) return rejected({ reason: "invalid", violations: parsed });
      const request = { provider, material, location: parsed.location, signal };
      return { probe: await askProvider(probe, policy, request, remainingMs) };
    },
  };
}

const expectedText = (expected: ExpectedEdit | undefined): string =>
  expected === undefined ? "any" : String(expected);

const isViolations = <T extends object>(
  result: T | readonly Violation[],
): result is readonly Violation[] => Array.isArray(result);

function checkMetadata(metadata: Partial<KeyMetadata>): readonly Violation[] {
  const { name, location, allowedModels, allowedUsers, allowedCallerKeys, sortOrder } = metadata;
  const isOutside =
    sortOrder !== undefined &&
    !(Number.isInteger(sortOrder) && sortOrder >= 0 && sortOrder <= SORT_ORDER_MAX);
  return [
    ...(name ? checkText("name", name) : []),
    ...(location ? checkText("location", location) : []),
    ...(allowedModels ? checkAllowList("allowed_models", allowedModels) : []),
    ...(allowedUsers ? checkAllowList("allowed_users", allowedUsers) : []),
    ...(allowedCallerKeys ? checkAllowList("allowed_caller_keys", allowedCallerKeys) : []),
    ...(isOutside
      ? [{ field: "sort_order", description: `is no whole number within 0 and ${SORT_ORDER_MAX}` }]
      : []),
  ];
}

const SORT_ORDER_MAX = 1_000_000;

const namedKey = (events: readonly KeyringEvent[]): Uuid | undefined =>
  events.find((event) => "keyId" in event)?.keyId;

const isAutoSwitch = (event: KeyringEvent): boolean =>
  event.type === "ModeSet" && event.because === "last-key-gone";

const onlyProbed = (events: readonly KeyringEvent[]): boolean =>
  events.every(({ type }) => type === "KeyProbed");

/** What a repeat can still say about the probe: the key keeps its verdict and code, not its sentence. */
function reportOf(key: KeyView | undefined): ProbeReport {
  if (!key?.lastProbe) return unprobed;
  const { outcome, code } = key.lastProbe;
  const answers = {
    valid: { outcome: "valid", message: "The provider accepted the key.", retryable: false },
    rejected: { outcome: "rejected", message: "The provider refused the key.", retryable: false },
    indeterminate: {
      outcome: "unavailable",
      message: "The provider gave no definite answer.",
      retryable: true,
    },
  } as const;
  return { ...answers[outcome], code };
}
