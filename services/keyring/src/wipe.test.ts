import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  AdminService,
  AuditService,
  CreateKeyRequestSchema,
  KeyringService,
  ListKeysRequestSchema,
  ResolveResponseSchema,
  ResolveService,
} from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { holdsSecret, isSecretBytes, isSecretField, wiperOf } from "./wipe.ts";

/** A message and all that it can hold. */
function withNested(schema: DescMessage, seen = new Set<DescMessage>()): ReadonlySet<DescMessage> {
  if (seen.has(schema)) return seen;
  seen.add(schema);
  for (const field of schema.fields) if (field.message) withNested(field.message, seen);
  return seen;
}

describe("wiping a message", () => {
  it("zeroes its secrets, in the bytes it was read from too, and nothing else", () => {
    const secret = Buffer.from("sk-proj-0123456789abcdef");
    const message = create(CreateKeyRequestSchema, { provider: "openai", secret });
    const bytes = toBinary(CreateKeyRequestSchema, message);
    const read = fromBinary(CreateKeyRequestSchema, bytes);
    wiperOf(CreateKeyRequestSchema)(read);
    expect(read.provider).toBe("openai");
    expect([...read.secret]).toStrictEqual(Array(secret.length).fill(0));
    expect(Buffer.from(bytes).includes("0123456789abcdef")).toBe(false);
  });

  it("knows which messages hold any", () => {
    expect(holdsSecret(ResolveResponseSchema)).toBe(true);
    expect(holdsSecret(ListKeysRequestSchema)).toBe(false);
  });

  it("misses none of the contract: every field marked as a secret is bytes of a request or an answer", () => {
    const methods = [KeyringService, ResolveService, AuditService, AdminService].flatMap(
      ({ methods }) => methods,
    );
    const outermost = methods.flatMap(({ input, output }) => [input, output]);
    const all = new Set(outermost.flatMap((schema) => [...withNested(schema)]));
    const marked = [...all].flatMap((schema) => schema.fields.filter(isSecretField));
    expect(marked.map(({ parent, name }) => `${parent.name}.${name}`).toSorted()).toStrictEqual([
      "CreateKeyRequest.secret",
      "IssueApiKeyResponse.text",
      "ProbeKeyRequest.secret",
      "ResolveResponse.material",
      "UpdateKeyRequest.secret",
      "UpsertKeyRequest.secret",
    ]);
    expect(marked.every(isSecretBytes)).toBe(true);
    expect(marked.every(({ parent }) => outermost.includes(parent))).toBe(true);
  });
});
