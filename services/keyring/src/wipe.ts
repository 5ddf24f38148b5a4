import { type DescField, type DescMessage, ScalarType } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";

/** Whether the contract marks a field as a secret, with `debug_redact`. */
export const isSecretField = (field: DescField): boolean =>
  field.proto.options?.debugRedact === true;

/** A secret as the contract has it: bytes, one of them, in a request or answer itself. */
export const isSecretBytes = (field: DescField): boolean =>
  isSecretField(field) && field.fieldKind === "scalar" && field.scalar === ScalarType.BYTES;

/** Whether messages of this kind hold a secret. */
export const holdsSecret = (schema: DescMessage): boolean => schema.fields.some(isSecretBytes);

/** Made once per kind of message: a function that zeroes the secrets of one, wherever else its bytes are looked at. */
export function wiperOf(schema: DescMessage): (message: object) => void {
  const names = schema.fields.filter(isSecretBytes).map(({ localName }) => localName);
  return (message) => {
    for (const name of names) {
      const value: unknown = Reflect.get(message, name);
      if (value instanceof Uint8Array) value.fill(0);
    }
  };
}

/**
 * Whether a call that failed like this may still be at work behind its caller's back, with what its request holds: then
 * that is its own to wipe, and zeroes in its hands would be stored as a secret.
 */
export const isStillRunning = (error: unknown): boolean =>
  error instanceof ConnectError && error.code === Code.DeadlineExceeded;
