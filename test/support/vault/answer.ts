import { randomUUID } from "node:crypto";

/** What goes back, before it is bytes. */
export interface Answer {
  readonly status: number;
  /** Absent: no body at all. */
  readonly body?: unknown;
  /** Another content type than JSON; the body is then a string. */
  readonly contentType?: string;
  readonly location?: string;
  readonly retryAfterSeconds?: number;
}

/** A request that ends here: its status and the texts of `errors`. */
export class Refusal extends Error {
  readonly status: number;
  readonly errors: readonly string[];

  constructor(status: number, ...errors: readonly string[]) {
    super(errors.join("; "));
    this.status = status;
    this.errors = errors;
  }
}

export interface Auth {
  readonly [field: string]: unknown;
  readonly client_token: string;
}

interface Content {
  readonly data?: Readonly<Record<string, unknown>> | null;
  readonly auth?: Auth;
  readonly warnings?: readonly string[];
  readonly status?: number;
}

/** The envelope around every success. */
export const answered = ({ data = null, auth, warnings = [], status = 200 }: Content): Answer => ({
  status,
  body: {
    request_id: randomUUID(),
    lease_id: "",
    renewable: false,
    lease_duration: 0,
    data,
    wrap_info: null,
    warnings: warnings.length > 0 ? warnings : null,
    auth: auth ?? null,
  },
});

export const nothing: Answer = { status: 204 };

export const refused = ({ status, errors }: Refusal): Answer => ({ status, body: { errors } });

/** How the engine words what several of its parts refused; a denial by policy is one of these. */
export const listed = (error: string): string => `1 error occurred:\n\t* ${error}\n\n`;

export const notFound = (): Refusal => new Refusal(404);
export const unsupportedPath = (): Refusal => new Refusal(404, listed("unsupported path"));
export const unsupportedOperation = (): Refusal =>
  new Refusal(405, listed("unsupported operation"));
/** No token, or one that is unknown, expired or revoked. */
export const noGoodToken = (): Refusal => new Refusal(403, "permission denied");
export const denied = (): Refusal => new Refusal(403, listed("permission denied"));
