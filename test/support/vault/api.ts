import type { VaultControl, VaultRequest } from "./control.ts";
import type { VaultLayout, VaultRole } from "./layout.ts";

export interface VaultStandInOptions {
  /** 0 = any free one. */
  readonly port?: number;
  /** HTTPS instead of HTTP; PEM. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Made up where absent. */
  readonly rootToken?: string;
  /** Where everything is kept, so that a process can be killed and started again; in memory where absent. */
  readonly stateFile?: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
}

/** Transit, KV v2, AppRole and Kubernetes login, tokens and policies behind one address on the loopback. */
export interface VaultStandIn extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, or `https:` with TLS. */
  readonly address: string;
  readonly rootToken: string;
  /** What `sys/unseal` wants. */
  readonly unsealKey: string;
  readonly control: VaultControl;
  /** In the order they came, at least the latest 100,000; grows while requests come. */
  readonly requests: readonly VaultRequest[];
}

export interface RoleCredentials {
  readonly roleId: string;
  readonly secretId: string;
}

/** An engine with everything Keyledger needs in it. */
export interface ProvisionedVault {
  readonly layout: VaultLayout;
  /** The operator's secret id is good for one login; the others for any number. */
  readonly roles: Readonly<Record<VaultRole, RoleCredentials>>;
  /** A fresh token of a role, with a secret id of its own. */
  login(role: VaultRole): Promise<string>;
}
