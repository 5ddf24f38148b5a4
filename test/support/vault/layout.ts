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
/** Wraps the Mac root and nothing else; not derived, so no context goes with it. */
export const MAC_KEY_NAME = "keyledger-mac";
/** Entry `{ mac_root_id, wrapped }`: 8 hex digits, and 32 bytes wrapped by `keyledger-mac` that nobody has seen in clear. */
export const MAC_ROOT_PATH = "mac-root";
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
