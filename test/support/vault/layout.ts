/** How `deploy/openbao/init.sh` lays things out. */
export interface VaultLayout {
  readonly transitMount: string;
  readonly kvMount: string;
  readonly appRoleMount: string;
  /** Before the name of each role and its policy: `<prefix>-resolver`. */
  readonly rolePrefix: string;
}

export const DEFAULT_LAYOUT: VaultLayout = {
  transitMount: "keyledger-transit",
  kvMount: "keyledger-kv",
  appRoleMount: "approle",
  rolePrefix: "keyledger",
};

/** Wraps data keys; derived, never exportable. */
export const KEK_NAME = "keyledger-kek";
/** Wraps the Mac root and nothing else. */
export const MAC_KEY_NAME = "keyledger-mac";
/** Entry `{ mac_root_id, wrapped }`: 32 bytes that no one has seen in clear, wrapped by `keyledger-mac` under {@link MAC_ROOT_CONTEXT}. */
export const MAC_ROOT_PATH = "mac-root";
/** Context of the Mac root, before base64. */
export const MAC_ROOT_CONTEXT = "keyledger-mac-root";
/** Entry `{ deployment_id }`. */
export const DEPLOYMENT_PATH = "deployment";
/** Folder of the envelope records: `records/<owner>/<key id>/<secret version>`. */
export const RECORDS_FOLDER = "records";

/** One token each, so that taking over one part of a process gives no more than its own rights. */
export const VAULT_ROLES = [
  "command",
  "resolver",
  "rotator",
  "reaper",
  "collector",
  "operator",
] as const;
export type VaultRole = (typeof VAULT_ROLES)[number];
