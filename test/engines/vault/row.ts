import { isAbout, type Shape, text } from "./shape.ts";

/** One exchange with the engine. `{name}` in path, body and answer stands for what a row before kept under that name. */
export interface Row {
  /** A sentence about the engine. */
  readonly name: string;
  /** `root`, a name that was kept, any other text as it is, or none. */
  readonly token: string | null;
  readonly method: string;
  readonly path: string;
  readonly body?: object;
  /** Sent as it is, instead of `body`. */
  readonly rawBody?: string;
  /** Name to keep a text under, and its place in the answer. */
  readonly keep?: Readonly<Record<string, string>>;
  readonly status: number;
  /** `null` = no body. */
  readonly answer: Shape;
  readonly contentType?: string;
  /** What passes before it is asked. */
  readonly secondsBefore?: number;
  /** The engine takes its time to get there: asked again until the status is right. */
  readonly patient?: true;
}

export interface Expected {
  readonly status: number;
  readonly answer: Shape;
  readonly contentType?: string;
}

/** @param asked method and path. */
export const row = (
  name: string,
  token: string | null,
  asked: string,
  expected: Expected,
  rest: Partial<Pick<Row, "body" | "rawBody" | "keep" | "secondsBefore" | "patient">> = {},
): Row => {
  const [method = "", path = ""] = asked.split(" ");
  return { name, token, method, path: `/v1/${path}`, ...rest, ...expected };
};

/** The envelope around every success. */
const envelope = (rest: { readonly [field: string]: Shape }): Shape => ({
  request_id: text,
  lease_id: "",
  renewable: false,
  lease_duration: 0,
  wrap_info: null,
  ...rest,
});

export const ok = (data: Shape, status = 200): Expected => ({
  status,
  answer: envelope({ data, auth: null, warnings: null }),
});

export const okWithWarning = (data: Shape, words: RegExp): Expected => ({
  status: 200,
  answer: envelope({ data, auth: null, warnings: [isAbout(words)] }),
});

/** A batch in which items failed: the status says so, the body still holds them all. */
export const batch = (items: readonly Shape[], status = 200): Expected =>
  ok({ batch_results: items }, status);

export const loggedIn = (auth: { readonly [field: string]: Shape }): Expected => ({
  status: 200,
  answer: envelope({ data: null, auth, warnings: null }),
});

/** Without the envelope. */
export const plain = (answer: Shape, status = 200): Expected => ({ status, answer });

export const done: Expected = { status: 204, answer: null };

/** @param words what the one error speaks of. */
export const refused = (status: number, words: RegExp): Expected => ({
  status,
  answer: { errors: [isAbout(words)] },
});

export const notThere: Expected = { status: 404, answer: { errors: [] } };

export const base64 = (content: string): string => Buffer.from(content).toString("base64");
