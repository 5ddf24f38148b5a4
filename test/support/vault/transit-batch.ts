import { type Answer, answered, Refusal } from "./answer.ts";
import { base64Bytes, firstIllegalByte } from "./base64.ts";
import { type Body, integerOf, recordOf, textOf } from "./body.ts";

/** One thing to encrypt, decrypt or rewrap. */
export interface Item {
  readonly text: string;
  readonly context: Uint8Array;
  /** Still base64: rewrap never looks at it. */
  readonly associatedData: string;
  readonly keyVersion: number;
}

type Outcome = Readonly<Record<string, unknown>>;

export interface Batch {
  /** Called once the request is known to have a shape. @returns what does an item. @throws {Refusal} no such key. */
  readonly begin: (withContext: boolean) => (item: Item) => Outcome;
  /** The field with what it is about: `plaintext` or `ciphertext`. */
  readonly field: "plaintext" | "ciphertext";
  /** What a failed item shows beside its error. */
  readonly failed: Readonly<Record<string, unknown>>;
  /** A batch in which items failed is 400, or what the caller wants instead. Rewrap answers 200 all the same. */
  readonly failsWhole: boolean;
  /** An item without the field at all ends the whole request. */
  readonly needsField: boolean;
  readonly failing: ReadonlySet<number>;
  readonly warnings: readonly string[];
}

/** A single item, or `batch_input` with the outcome of each item in its place. */
export function carryOutBatch(body: Body, batch: Batch): Answer {
  if (body.batch_input === undefined || body.batch_input === null) {
    if (!(batch.field in body)) throw missing(batch.field);
    refuseEmpty(body, batch);
    const each = batch.begin(hasContext(body));
    return answered({ data: each(itemOf(body, batch)), warnings: batch.warnings });
  }
  const inputs = inputsOf(body.batch_input, batch);
  const each = batch.begin(contextsAgree(inputs));
  const failures: Refusal[] = [];
  const results = inputs.map((input, at) => {
    const reference = textOf(input, "reference");
    try {
      if (batch.failing.has(at)) throw new Refusal(400, "cipher: message authentication failed");
      return { ...each(itemOf(input, batch)), reference };
    } catch (fault) {
      if (!(fault instanceof Refusal)) throw fault;
      failures.push(fault);
      return { ...batch.failed, error: fault.errors[0] ?? "", reference };
    }
  });
  return answered({
    data: { batch_results: results },
    warnings: batch.warnings,
    status: batch.failsWhole ? statusOf(body, failures, results.length) : 200,
  });
}

/** A caller's own faults outweigh those of the engine; what the caller asked for counts where something succeeded. */
function statusOf(body: Body, failures: readonly Refusal[], items: number): number {
  if (failures.length === 0) return 200;
  const status = failures.some((failure) => failure.status === 400) ? 400 : 500;
  const wanted = integerOf(body, "partial_failure_response_code");
  if (wanted === undefined || failures.length === items) return status;
  return wanted >= 1 && wanted <= 599 ? wanted : status;
}

function inputsOf(given: unknown, { field, needsField }: Batch): readonly Body[] {
  if (!Array.isArray(given)) throw unreadable("source data must be an array or slice");
  if (given.length === 0) throw new Refusal(400, "missing batch input to process");
  return given.map((input, at) => {
    const item = recordOf(input);
    if (item === undefined) throw unreadable(`[${at}] expected a map`);
    if (needsField && !(field in item))
      throw unreadable(`'[${at}].${field}' ${missingText(field)}`);
    return item;
  });
}

/** A batch that cannot be read at all is the server's own error, as odd as that is. */
const unreadable = (why: string): Refusal =>
  new Refusal(500, `1 error occurred:\n\t* failed to parse batch input: ${why}\n\n`);

const hasContext = (input: Body): boolean => textOf(input, "context") !== "";

/** @returns whether all of them have one. */
function contextsAgree(inputs: readonly Body[]): boolean {
  const withContext = inputs.filter(hasContext).length;
  if (withContext !== 0 && withContext !== inputs.length) {
    throw new Refusal(400, "context should be set either in all the request blocks or in none");
  }
  return withContext > 0;
}

function refuseEmpty(input: Body, { field }: Batch): void {
  if (field === "ciphertext" && textOf(input, field) === "") throw missing(field);
}

function itemOf(input: Body, batch: Batch): Item {
  refuseEmpty(input, batch);
  return {
    text: textOf(input, batch.field),
    context: decoded(textOf(input, "context")),
    associatedData: textOf(input, "associated_data"),
    keyVersion: integerOf(input, "key_version") ?? 0,
  };
}

/** @throws {Refusal} it is no base64. */
export function decoded(text: string): Buffer {
  const bytes = base64Bytes(text);
  if (bytes !== undefined) return bytes;
  throw new Refusal(400, `illegal base64 data at input byte ${firstIllegalByte(text)}`);
}

const missingText = (field: string): string =>
  `missing ${field} to ${field === "plaintext" ? "encrypt" : "decrypt"}`;
const missing = (field: string): Refusal => new Refusal(400, missingText(field));
