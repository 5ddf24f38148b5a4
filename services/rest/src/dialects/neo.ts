import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  type DeleteKeyRequestSchema,
  type DeleteKeyResponse,
  GetModeRequestSchema,
  type GetModeResponse,
  ListKeysRequestSchema,
  type ListKeysResponse,
  Mode,
  type Owner,
  OwnerKind,
  type ProbeKeyRequestSchema,
  type ProbeKeyResponse,
  type ProviderKey,
  type SetModeRequestSchema,
  type SetModeResponse,
  type UpsertKeyRequestSchema,
  type UpsertKeyResponse,
} from "@keyledger/contracts";
import { everyPage } from "../every-page.ts";
import { Failure, invalid } from "../failure.ts";
import { instantText } from "../instant.ts";
import type { Body, Shape } from "../json-body.ts";
import type { KeyringClient } from "../keyring-client.ts";
import type { Dialect } from "../plugin.ts";
import { type Answer, type Input, type RawRequest, route } from "../route.ts";
import { presentNeoError } from "./neo-errors.ts";
import { NEO_PROVIDERS } from "./neo-providers.ts";
import { validationTo } from "./neo-validation.ts";

type Provider = (typeof NEO_PROVIDERS)[number];

/** The BYOK API of ProjectDiscovery's Neo, with `GET .../mode`, the headers of `Conditions` and `detail` added by us. */
export const neo = (keyring: KeyringClient): Dialect => ({
  claims: ["/api/v1/byok/*"],
  present: presentNeoError,
  routes: [
    route({
      method: "GET",
      path: "/api/v1/byok/providers",
      where: nowhere,
      decode: () => LIST_PRIMARIES,
      call: everyPage(keyring.listKeys),
      encode: listTo,
    }),
    route({
      method: "PATCH",
      path: "/api/v1/byok/providers/:provider",
      writes: true,
      mayProbe: true,
      where: providerFrom,
      body: UPSERT,
      decode: upsertFrom,
      call: keyring.upsertKey,
      encode: upsertTo,
    }),
    route({
      method: "POST",
      path: "/api/v1/byok/providers/:provider/validate",
      mayProbe: true,
      where: providerFrom,
      body: VALIDATE,
      decode: probeFrom,
      call: keyring.probeKey,
      encode: probeTo,
    }),
    route({
      method: "DELETE",
      path: "/api/v1/byok/providers/:provider",
      writes: true,
      where: providerFrom,
      decode: deleteFrom,
      call: keyring.deleteKey,
      encode: deleteTo,
    }),
    route({
      method: "PATCH",
      path: "/api/v1/byok/mode",
      writes: true,
      where: nowhere,
      body: SET_MODE,
      decode: modeFrom,
      call: keyring.setMode,
      encode: modeTo,
    }),
    route({
      method: "GET",
      path: "/api/v1/byok/mode",
      where: nowhere,
      decode: () => GET_MODE,
      call: keyring.getMode,
      encode: currentModeTo,
    }),
  ],
});

const UPSERT = {
  api_key: "secret",
  display_name: "nullable text",
  location: "nullable text",
  base_url: "nullable text",
} as const satisfies Shape;
const VALIDATE = {
  api_key: "secret",
  location: "nullable text",
  base_url: "nullable text",
} as const satisfies Shape;
const SET_MODE = { mode: "text" } as const satisfies Shape;

// Made once: these two say the same for everybody, and the list is the route that is asked most.
const LIST_PRIMARIES = create(ListKeysRequestSchema, {
  providers: [...NEO_PROVIDERS],
  primaryOnly: true,
  limit: 500,
});
const GET_MODE = create(GetModeRequestSchema);

const nowhere = (): undefined => undefined;

function providerFrom({ provider }: RawRequest["params"]): Provider | Failure {
  return NEO_PROVIDERS.find((known) => known === provider) ?? new Failure("UNKNOWN_PROVIDER");
}

function upsertFrom({
  at,
  body,
  ...conditions
}: Input<Provider, typeof UPSERT>): MessageInitShape<typeof UpsertKeyRequestSchema> | Failure {
  const credential = credentialFrom(at, body);
  if (credential instanceof Failure) return credential;
  const name = body.display_name;
  return { ...credential, ...(name !== undefined && { name: name ?? CLEARED }), ...conditions };
}

function probeFrom({
  at,
  body,
}: Input<Provider, typeof VALIDATE>): MessageInitShape<typeof ProbeKeyRequestSchema> | Failure {
  return credentialFrom(at, body);
}

/** Left out keeps what is there, null clears it. */
const CLEARED = "";

function credentialFrom(
  provider: Provider,
  body: Body<typeof VALIDATE>,
): { provider: Provider; secret: Uint8Array; location?: string } | Failure {
  if (body.api_key === undefined) return invalid("api_key", "is required");
  const location = locationFrom(provider, body);
  if (location instanceof Failure) return location;
  return {
    provider,
    secret: body.api_key,
    ...(location !== undefined && { location: location ?? CLEARED }),
  };
}

/** `base_url` names azure-foundry's location another way. Elsewhere it would send the key to a host the caller chose. */
function locationFrom(
  provider: Provider,
  { location, base_url }: Body<typeof VALIDATE>,
): string | null | undefined | Failure {
  if (base_url === undefined || base_url === null) return location;
  if (provider !== "azure-foundry") return invalid("base_url", "is taken for azure-foundry only");
  if (location !== undefined && location !== base_url)
    return invalid("base_url", "is not the same as location");
  return base_url;
}

const deleteFrom = ({
  at,
  requestId,
  expectedRevision,
}: Input<Provider, Shape>): MessageInitShape<typeof DeleteKeyRequestSchema> => ({
  target: { case: "soleKeyOfProvider", value: at },
  requestId,
  ...(expectedRevision && { expectedRevision }),
});

function modeFrom({
  body: { mode },
  requestId,
  expectedRevision,
}: Input<undefined, typeof SET_MODE>): MessageInitShape<typeof SetModeRequestSchema> | Failure {
  if (mode === undefined) return invalid("mode", "is required");
  if (mode !== "neo" && mode !== "byok") return invalid("mode", "must be neo or byok");
  return {
    mode: mode === "byok" ? Mode.BYOK : Mode.NEO,
    requestId,
    ...(expectedRevision && { expectedRevision }),
  };
}

const ok = (body: object, revision?: bigint): Answer => ({
  status: 200,
  body: JSON.stringify(body),
  revision,
});

const listTo = (response: ListKeysResponse): Answer =>
  ok(
    {
      provider_keys: response.keys.map(providerKeyTo).toSorted(byProvider),
      count: response.keys.length,
      configured_keys: response.configuredKeys,
      mode: modeText(response.mode),
      ...resourceTo(response.owner),
    },
    response.revision,
  );

const upsertTo = ({ key, probe, revision }: UpsertKeyResponse): Answer => {
  if (key === undefined) throw new Error("an upsert answered no key");
  return ok({ provider_key: providerKeyTo(key), validation: validationTo(probe) }, revision);
};

const probeTo = ({ probe }: ProbeKeyResponse): Answer => ok(validationTo(probe));

const deleteTo = ({ autoSwitched, provider, remainingKeys, revision }: DeleteKeyResponse): Answer =>
  ok(
    { auto_switched: autoSwitched, deleted: true, provider, remaining_keys: remainingKeys },
    revision,
  );

const modeTo = ({ mode, owner, revision }: SetModeResponse): Answer =>
  ok({ mode: modeText(mode), ...resourceTo(owner) }, revision);

const currentModeTo = (response: GetModeResponse): Answer =>
  ok(
    {
      mode: modeText(response.mode),
      ...resourceTo(response.owner),
      configured_keys: response.configuredKeys,
      effective_mode: modeText(response.effectiveMode),
    },
    response.revision,
  );

const providerKeyTo = (key: ProviderKey) => ({
  id: key.keyId,
  provider: key.provider,
  display_name: key.name ?? null,
  location: key.location ?? null,
  is_validated: key.isValidated,
  created_at: instantTo(key.createdAt),
  updated_at: instantTo(key.updatedAt),
});

const RANK: ReadonlyMap<string, number> = new Map(NEO_PROVIDERS.map((name, rank) => [name, rank]));
const byProvider = (a: { provider: string }, b: { provider: string }): number =>
  (RANK.get(a.provider) ?? 0) - (RANK.get(b.provider) ?? 0);

function instantTo(instant: Timestamp | undefined): string {
  if (instant === undefined) throw new Error("a key has no time");
  return instantText(instant);
}

const modeText = (mode: Mode): "neo" | "byok" => (mode === Mode.BYOK ? "byok" : "neo");

/** Neo knows users and teams; an organization is shown as a team. */
function resourceTo(owner: Owner | undefined) {
  if (owner === undefined) throw new Error("an answer names no owner");
  return {
    resource_type: owner.kind === OwnerKind.USER ? "user" : "team",
    resource_id: owner.id,
  };
}
