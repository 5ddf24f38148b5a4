import { Refusal } from "./answer.ts";
import type { Backend } from "./backend.ts";
import type { Storage } from "./storage.ts";

export type MountType = "transit" | "kv" | "approle" | "kubernetes";

/** What is enabled where: secrets engines at `<path>/`, login methods at `auth/<path>/`. */
export interface Mounts {
  /** @throws {Refusal} the path is taken, or lies inside another or around it. */
  enable(path: string, type: MountType): void;
  /** With everything in it. */
  disable(path: string): void;
  /** The mount a path lies in. */
  find(path: string): readonly [string, Backend] | undefined;
  list(): Readonly<Record<string, MountType>>;
}

/** @param kinds how each type is made for a mount; it keeps its things under `mount/<its path>`. */
export function createMounts(
  storage: Storage,
  kinds: Readonly<Record<MountType, (mount: string) => Backend>>,
): Mounts {
  const table = (): Readonly<Record<string, MountType>> => storage.get("mounts") ?? {};
  const backends = new Map(
    Object.entries(table()).map(([path, type]) => [path, kinds[type](path)]),
  );
  return {
    list: table,
    enable: (path, type) => {
      const taken = ["sys/", "auth/token/", ...backends.keys()].find(
        (other) => other.startsWith(path) || path.startsWith(other),
      );
      if (taken !== undefined) {
        const shown = taken.replace(/^auth\//, "");
        throw new Refusal(400, `path is already in use at ${shown}`);
      }
      storage.put("mounts", { ...table(), [path]: type });
      backends.set(path, kinds[type](path));
    },
    disable: (path) => {
      const { [path]: _gone, ...rest } = table();
      storage.put("mounts", rest);
      backends.delete(path);
      for (const name of storage.below(`mount/${path}`)) storage.delete(`mount/${path}${name}`);
    },
    find: (path) => [...backends].find(([mount]) => path.startsWith(mount)),
  };
}
