import {
  create,
  type DescMessage,
  type DescMethod,
  type MessageInitShape,
  toBinary,
} from "@bufbuild/protobuf";

export const pathOf = (method: DescMethod): string => `/${method.parent.typeName}/${method.name}`;

/** A message as gRPC puts it on the wire: not compressed, its length in four bytes, its bytes. */
export function frameOf<M extends DescMessage>(
  schema: M,
  message: MessageInitShape<M>,
): Uint8Array {
  const bytes = toBinary(schema, create(schema, message));
  const frame = Buffer.alloc(5 + bytes.length);
  frame.writeUInt32BE(bytes.length, 1);
  frame.set(bytes, 5);
  return frame;
}
