/** Where a fault strikes. */
export type FaultPoint = "append" | "read" | "subscribe" | "delete" | "features" | "gossip";

/**
 * What happens there:
 * - `hang`: the call is accepted, nothing is done, and it is never answered
 * - `ack-lost`: it is done, and never answered
 * - `ack-cut`: it is done, then the call breaks
 * - `delay`: it is done after `delayMs`
 * - `not-leader` names the leader; `unavailable`, `cancelled`, `unknown`, `internal`, `timeout`: refused with that status
 */
export type FaultEffect =
  | "hang"
  | "ack-lost"
  | "ack-cut"
  | "delay"
  | "not-leader"
  | "unavailable"
  | "cancelled"
  | "unknown"
  | "internal"
  | "timeout";

export interface Fault {
  readonly on: FaultPoint;
  readonly effect: FaultEffect;
  /** How often it strikes; for ever unless given. */
  readonly times?: number;
  /** Lets so many pass before it strikes. */
  readonly after?: number;
  readonly delayMs?: number;
}

/** The faults that are set, and how often each call point was reached. */
export class Faults {
  #active: { fault: Fault; left: number; skip: number }[] = [];
  readonly #reached = new Map<FaultPoint, number>();

  add(fault: Fault): void {
    const { times = Number.POSITIVE_INFINITY, after = 0 } = fault;
    this.#active.push({ fault, left: times, skip: after });
  }

  clear(): void {
    this.#active = [];
  }

  /** Counts the call and answers what befalls it. */
  strike(on: FaultPoint): Fault | undefined {
    this.#reached.set(on, this.reached(on) + 1);
    const hit = this.#active.find(({ fault }) => fault.on === on);
    if (!hit) return undefined;
    if (hit.skip > 0) {
      hit.skip--;
      return undefined;
    }
    hit.left--;
    if (hit.left <= 0) this.#active = this.#active.filter((other) => other !== hit);
    return hit.fault;
  }

  reached(on: FaultPoint): number {
    return this.#reached.get(on) ?? 0;
  }
}
