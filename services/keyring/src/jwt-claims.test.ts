import { describe, expect, it } from "vitest";
import { type ClaimNames, DEFAULT_CLAIM_NAMES, type Identity, identityFrom } from "./jwt-claims.ts";

/** Claims as a token brings them: parsed JSON. */
const read = (json: string, names: Partial<ClaimNames> = {}): Identity | undefined =>
  identityFrom(JSON.parse(json), { ...DEFAULT_CLAIM_NAMES, ...names });
const of = (claims: Readonly<Record<string, unknown>>, names?: Partial<ClaimNames>) =>
  read(JSON.stringify({ sub: "alice", ...claims }), names);
const alice: Identity = { subject: "alice", features: {} };

describe("The subject", () => {
  it("is somebody without a team or organization", () => {
    expect(read('{"sub":"auth0|6f1"}')).toStrictEqual({ subject: "auth0|6f1", features: {} });
  });

  it("may be a whole number", () => {
    expect(read('{"sub":42}')?.subject).toBe("42");
  });

  it.for([
    '{"name":"alice"}',
    '{"sub":""}',
    '{"sub":null}',
    '{"sub":["alice"]}',
    '{"sub":{"id":"alice"}}',
    '{"sub":true}',
    '{"sub":1.5}',
    '{"sub":9007199254740993}',
    '{"sub":"\\ud800"}',
    JSON.stringify({ sub: "x".repeat(256) }),
  ])("is no identity in %s", (json) => {
    expect(read(json)).toBeUndefined();
  });
});

describe("A team", () => {
  it.for(["admin", "member", "viewer"] as const)("has its %s", (role) => {
    expect(of({ team: "t1", team_role: role })).toStrictEqual({
      ...alice,
      team: { id: "t1", role },
    });
  });

  it.for(["owner", "Admin", "admin ", "", null, true, 1, ["admin"], { admin: true }, undefined])(
    "has no more than a viewer in the role %j",
    (role) => {
      expect(of({ team: "t1", team_role: role })?.team).toStrictEqual({
        id: "t1",
        role: "viewer",
      });
    },
  );

  it.for([null, "", undefined])("is none where its id is %j", (id) => {
    expect(of({ team: id, team_role: "admin" })).toStrictEqual(alice);
  });

  it.for([["t1"], { id: "t1" }, true, 0.5, "\ud800", "x".repeat(256)])(
    "with the id %j makes the whole identity unreadable, rather than that of a user without one",
    (id) => {
      expect(of({ team: id, team_role: "admin" })).toBeUndefined();
    },
  );

  it("is none for those who are only invited", () => {
    expect(of({ team: "t1", team_role: "admin", team_status: "pending" })).toStrictEqual(alice);
  });

  it.for(["active", null, undefined])("keeps those whose status is %j", (status) => {
    const claims = { team: "t1", team_role: "admin", team_status: status };
    expect(of(claims)?.team).toStrictEqual({ id: "t1", role: "admin" });
  });

  it.for(["suspended", "PENDING", "", false, ["active"]])(
    "gives the least role to those whose status is %j",
    (status) => {
      const claims = { team: "t1", team_role: "admin", team_status: status };
      expect(of(claims)?.team).toStrictEqual({ id: "t1", role: "viewer" });
    },
  );

  it("stands beside the organization, of which whoever reads both takes the team", () => {
    const claims = { team: "t1", team_role: "viewer", organization: "o1" };
    expect(of({ ...claims, organization_role: "admin" })).toStrictEqual({
      ...alice,
      team: { id: "t1", role: "viewer" },
      organization: { id: "o1", role: "admin" },
    });
  });
});

describe("An organization", () => {
  it("has its admin", () => {
    expect(of({ organization: 7, organization_role: "admin" })).toStrictEqual({
      ...alice,
      organization: { id: "7", role: "admin" },
    });
  });

  it.for(["member", "owner", "ADMIN", undefined, ["admin"]])(
    "is nothing to anybody in the role %j",
    (role) => {
      expect(of({ organization: "o1", organization_role: role })).toStrictEqual(alice);
    },
  );

  it.for(["pending", "suspended"])("is nothing to an admin whose status is %s", (status) => {
    const claims = { organization: "o1", organization_role: "admin" };
    expect(of({ ...claims, organization_status: status })).toStrictEqual(alice);
  });

  it("with an id that is no id makes the whole identity unreadable", () => {
    expect(of({ organization: ["o1"], organization_role: "admin" })).toBeUndefined();
  });
});

describe("A privileged role", () => {
  it("is off unless its claim is named", () => {
    expect(of({ role: "operator" })).toStrictEqual(alice);
  });

  it.for(["service", "auditor", "operator"] as const)("is %s", (role) => {
    expect(of({ role }, { role: "role" })?.privileged).toBe(role);
    expect(of({ role: ["offline_access", role] }, { role: "role" })?.privileged).toBe(role);
  });

  it.for([
    "admin",
    "Operator",
    "service auditor",
    [],
    ["service", "operator"],
    { service: true },
    1,
  ])("is not made of %j", (role) => {
    expect(of({ role }, { role: "role" })).toStrictEqual(alice);
  });
});

describe("The feature byok", () => {
  it.for([
    undefined,
    null,
    {},
    { neo_ai: true },
    { byok: true },
    { byok: 1 },
    { byok: 0.5 },
    ["byok"],
    ["neo_ai", "byok"],
  ])("is left as it is by features %j", (features) => {
    expect(of({ features })?.features).toStrictEqual({});
  });

  it.for([
    { byok: false },
    { byok: 0 },
    { byok: -1 },
    { byok: null },
    { byok: "true" },
    { byok: {} },
    [],
    ["neo_ai"],
    [["byok"]],
    "byok",
    true,
    0,
  ])("is taken away by features %j", (features) => {
    expect(of({ features })?.features).toStrictEqual({ byok: false });
  });
});

describe("The name of a claim", () => {
  const claims = {
    "https://x.example/claims": { team: "t1", "team.role": "admin", deep: { er: "t2" } },
    "a.b": "exact",
    a: { b: "nested" },
    c: { d: "nested" },
    text: "t3",
  };
  const team = (name: string) => of(claims, { team: name })?.team?.id;

  it.for([
    ["text", "t3"],
    ["a.b", "exact"],
    ["c.d", "nested"],
    ["https://x.example/claims.team", "t1"],
    ["https://x.example/claims.deep.er", "t2"],
    ["https://x.example/claims.missing", undefined],
    ["a.b.c", undefined],
    ["text.length", undefined],
    ["constructor", undefined],
    ["__proto__", undefined],
    ["c.constructor.name", undefined],
    [".", undefined],
    ["", undefined],
    ["c.", undefined],
  ] as const)("%s leads to %s", ([name, id]) => {
    expect(team(name)).toBe(id);
  });

  it("leads to role and status too", () => {
    const names = { team: "m.id", teamRole: "m.role", teamStatus: "m.status" };
    const member = (status: string) => of({ m: { id: "t1", role: "admin", status } }, names);
    expect(member("active")?.team).toStrictEqual({ id: "t1", role: "admin" });
    expect(member("pending")?.team).toBeUndefined();
  });

  it("finds a claim called __proto__ only where the token has one", () => {
    expect(read('{"sub":"alice","__proto__":"t1"}', { team: "__proto__" })?.team?.id).toBe("t1");
  });
});
