/**
 * All that an adapter may throw, besides the refusals its port names. `retryable`: the same call may succeed later.
 * The message is our own and safe to show to operators; `cause` is for the log only and never holds a secret.
 */
export class Fault extends Error {
  readonly retryable: boolean;

  constructor(message: string, options: { retryable: boolean; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.retryable = options.retryable;
  }
}

/** Nothing was written, or a read failed: the store is down, full or refused us. */
export class StoreUnavailable extends Fault {}

/** A write may or may not have happened. Repeat it with the same ids and the same expected revision. */
export class OutcomeUnknown extends Fault {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { retryable: true, ...options });
  }
}

/** Stored bytes are not what was written. Nobody can go on from here without an operator. */
export class Corrupted extends Fault {
  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, { retryable: false, ...options });
  }
}

/** The call's deadline passed, or its caller went away. */
export class Cancelled extends Fault {
  constructor(message = "the call was cancelled or its deadline passed") {
    super(message, { retryable: true });
  }
}

/** The local views did not reach the position asked for in time. */
export class NotCaughtUp extends Fault {
  /** How far behind, in words for operators. */
  readonly lag: string;

  constructor(lag: string) {
    super("the views of this process have not reached the position yet", { retryable: true });
    this.lag = lag;
  }
}

/** No durable access record could be had, so nothing was released. */
export class AuditUnavailable extends Fault {
  constructor(options: { cause?: unknown } = {}) {
    super("the access record could not be made durable in time", { retryable: true, ...options });
  }
}
