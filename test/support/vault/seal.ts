import { Refusal } from "./answer.ts";

/** Sealed, the engine has no keys and answers nothing but where it stands. One key share opens it. */
export interface Seal {
  readonly sealed: boolean;
  readonly standby: boolean;
  close(): void;
  open(): void;
  /** @throws {Refusal} another key. */
  openWith(key: string): void;
  setStandby(standby: boolean): void;
  /** Paths that answer while sealed. */
  isOpen(path: string): boolean;
}

const OPEN: ReadonlySet<string> = new Set(["sys/health", "sys/seal-status", "sys/unseal"]);

export function createSeal(unsealKey: string): Seal {
  let sealed = false;
  let standby = false;
  const open = (): void => {
    sealed = false;
  };
  return {
    get sealed() {
      return sealed;
    },
    get standby() {
      return standby || sealed;
    },
    close: () => {
      sealed = true;
    },
    open,
    openWith: (key) => {
      if (key !== unsealKey) throw new Refusal(400, "invalid key");
      open();
    },
    setStandby: (wanted) => {
      standby = wanted;
    },
    isOpen: (path) => OPEN.has(path),
  };
}
