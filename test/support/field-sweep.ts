import {
  create,
  type DescField,
  type DescMessage,
  type Message,
  type MessageInitShape,
  ScalarType,
} from "@bufbuild/protobuf";

/** A place in a request where somebody could put a text. */
type Path = readonly DescField[];

/** Every field of a request that takes text or bytes, those of nested messages too. */
export function textFields(schema: DescMessage, before: Path = []): readonly Path[] {
  return schema.fields.flatMap((field): readonly Path[] => {
    const path = [...before, field];
    const nested = nestedIn(field);
    if (nested) return nested.typeName.startsWith("google.") ? [] : textFields(nested, path);
    return isText(field) ? [path] : [];
  });
}

const nestedIn = (field: DescField): DescMessage | undefined =>
  field.fieldKind === "message" || (field.fieldKind === "list" && field.listKind === "message")
    ? field.message
    : undefined;

function isText(field: DescField): boolean {
  const scalar =
    field.fieldKind === "scalar" || (field.fieldKind === "list" && field.listKind === "scalar")
      ? field.scalar
      : undefined;
  return scalar === ScalarType.STRING || scalar === ScalarType.BYTES;
}

export const nameOf = (path: Path): string => path.map(({ name }) => name).join(".");

/** A request with a text in one of its places. */
export function withText<D extends DescMessage>(
  schema: D,
  init: MessageInitShape<D>,
  path: Path,
  text: string,
): Message {
  const message = create(schema, init);
  set(message, path, text);
  return message;
}

function set(message: Message, [field, ...rest]: Path, text: string): void {
  if (field === undefined) return;
  const holder = message as unknown as Record<string, unknown>;
  const nested = nestedIn(field);
  if (nested) {
    const known = holder[field.localName];
    const inner = (known && !Array.isArray(known) ? known : create(nested)) as Message;
    set(inner, rest, text);
    holder[field.localName] = field.fieldKind === "list" ? [inner] : inner;
    return;
  }
  const isBytes =
    (field.fieldKind === "scalar" || field.fieldKind === "list") &&
    "scalar" in field &&
    field.scalar === ScalarType.BYTES;
  const value = isBytes ? Buffer.from(text) : text;
  if (field.oneof && field.fieldKind === "scalar" && field.oneof.fields.length > 1)
    holder[field.oneof.localName] = { case: field.localName, value };
  else holder[field.localName] = field.fieldKind === "list" ? [value] : value;
}
