import { describe, expect, it } from "vitest";
import { isInForce, projectCallerKey } from "./caller-key.ts";
import type { ApiKeyIssued, ApiKeyRevoked } from "./events.ts";
import { newUuid, positionAt, team, timeAt } from "./given.test-support.ts";
import type { CallerKeyView } from "./views.ts";

const callerKeyId = newUuid();
const issued: ApiKeyIssued = {
  type: "ApiKeyIssued",
  callerKeyId,
  owner: team,
  role: "team-admin",
  mac: "root:abc",
  label: "ci",
  expiresAt: null,
};
const revoked: ApiKeyRevoked = { type: "ApiKeyRevoked", callerKeyId };

const after = (...events: readonly (ApiKeyIssued | ApiKeyRevoked)[]): CallerKeyView | undefined =>
  events.reduce<CallerKeyView | undefined>(
    (view, event, revision) =>
      projectCallerKey(view, event, {
        revision,
        position: positionAt(revision),
        time: timeAt(revision),
      }),
    undefined,
  );

describe("a caller key", () => {
  it("is shown as it was issued", () => {
    const { type: _type, ...fields } = issued;
    expect(after(issued)).toStrictEqual({
      ...fields,
      issuedAt: timeAt(0),
      revokedAt: null,
      revision: 0,
      position: positionAt(0),
    });
  });

  it("stays revoked since the first time", () => {
    expect(after(issued, revoked)).toMatchObject({ revokedAt: timeAt(1), revision: 1 });
    expect(after(issued, revoked, revoked)).toMatchObject({ revokedAt: timeAt(1), revision: 2 });
  });

  it("that was never issued cannot be revoked into being", () => {
    expect(after(revoked)).toBeUndefined();
  });

  it("is in force until it is revoked or its time is over", () => {
    const key = (view: CallerKeyView | undefined) => view && isInForce(view, () => timeAt(100));
    expect(key(after(issued))).toBe(true);
    expect(key(after(issued, revoked))).toBe(false);
    expect(key(after({ ...issued, expiresAt: timeAt(101) }))).toBe(true);
    expect(key(after({ ...issued, expiresAt: timeAt(100) }))).toBe(false);
  });
});
