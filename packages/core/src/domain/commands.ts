import type { KeyMetadata, ProbeVerdict } from "./events.ts";
import type { Rejection } from "./rejection.ts";
import type { Entitlement, Instant, Mode, Uuid } from "./vocabulary.ts";

/** A credential that was checked and described; its bytes are elsewhere. */
export interface NewMaterial {
  readonly secretVersion: Uuid;
  readonly fingerprint: string;
  readonly label: string;
  /** Normalised; the provider's default where nothing was given. */
  readonly location: string | null;
  /** What the credential or the provider said; `null` = nothing. */
  readonly expiresAt: Instant | null;
}

/** What a probe proved before the command was decided. */
export interface ProbeFinding {
  readonly outcome: ProbeVerdict;
  readonly code: string;
}

interface WithMaterial {
  readonly material: NewMaterial;
  /** `null` = nobody asked. */
  readonly probe: ProbeFinding | null;
  /** The probe policy refuses this credential: nothing new may be saved. */
  readonly refusal: Rejection | null;
}

export interface UpsertKey extends WithMaterial {
  readonly type: "UpsertKey";
  readonly provider: string;
  /** For the key that is made where the provider has no primary. */
  readonly newKeyId: Uuid;
  /** `undefined` keeps, `null` clears. */
  readonly name: string | null | undefined;
}

export interface CreateKey extends WithMaterial {
  readonly type: "CreateKey";
  readonly provider: string;
  readonly newKeyId: Uuid;
  readonly workspaceId: Uuid | null;
  readonly metadata: Omit<KeyMetadata, "sortOrder" | "location">;
}

export interface UpdateKey {
  readonly type: "UpdateKey";
  readonly keyId: Uuid;
  /** What the caller set; absent = keep. With new material its location stands there. */
  readonly changes: Partial<KeyMetadata>;
  readonly rotation: WithMaterial | null;
}

export interface DeleteKey {
  readonly type: "DeleteKey";
  readonly target: { readonly keyId: Uuid } | { readonly soleKeyOf: string };
}

export interface SetMode {
  readonly type: "SetMode";
  readonly mode: Mode;
}

export interface SetEntitlement {
  readonly type: "SetEntitlement";
  readonly byok: Entitlement;
}

/** The reaper's evidence that the material of a secret version is destroyed. */
export interface RecordShred {
  readonly type: "RecordShred";
  readonly secretVersion: Uuid;
  readonly store: string;
  readonly method: string;
}

export type KeyringCommand =
  | UpsertKey
  | CreateKey
  | UpdateKey
  | DeleteKey
  | SetMode
  | SetEntitlement
  | RecordShred;
