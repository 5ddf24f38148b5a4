import type { Answer } from "./answer.ts";
import type { Body } from "./body.ts";
import type { Token } from "./tokens.ts";

/** One request as the part it is for sees it. */
export interface Operation {
  readonly kind: "read" | "list" | "write" | "delete" | "patch";
  /** Behind the mount's name; that of a list ends in a slash. */
  readonly path: string;
  /** Without a body: the query. */
  readonly body: Body;
  /** Absent where none is needed. */
  readonly token: Token | undefined;
  /** Items of a batch that a test wants to fail. */
  readonly failing: ReadonlySet<number>;
}

/** A secrets engine, a login method or a part of the system, behind a mount. */
export interface Backend {
  handle(operation: Operation): Answer;
  /** For a write: does it make something new, so that it needs `create` instead of `update`? Absent: never. */
  creates?(path: string): boolean;
  /** Paths that want no token. */
  isOpen?(path: string): boolean;
}
