import { describe, expect, it } from "vitest";
import type { KeyringEvent } from "./events.ts";
import {
  byok,
  keyAdded,
  neo,
  positionAt,
  probed,
  team,
  timeAt,
  valid,
} from "./given.test-support.ts";
import {
  emptyKeyring,
  evolve,
  findRequest,
  type Happened,
  type Keyring,
  REMEMBERED_REQUESTS,
} from "./keyring.ts";

interface Circumstances {
  readonly actor?: string;
  readonly requestId: string;
  readonly requestMac?: string;
}

/** A keyring to which things happen one after the other. */
function history() {
  let keyring: Keyring = emptyKeyring(team);
  let revision = 0;
  return {
    happens(
      { actor = "user.ann", requestId, requestMac = `mac of ${requestId}` }: Circumstances,
      ...events: readonly KeyringEvent[]
    ) {
      for (const event of events) {
        const happened: Happened<KeyringEvent> = {
          event,
          revision,
          position: positionAt(revision),
          time: timeAt(revision),
          actor,
          requestId,
          requestMac,
          hash: `hash ${revision}`,
        };
        keyring = evolve(keyring, happened);
        revision++;
      }
    },
    find: (actor: string, requestId: string) => findRequest(keyring, actor, requestId),
    get keyring() {
      return keyring;
    },
  };
}

describe("a keyring", () => {
  it("carries the hash of its last event", () => {
    const past = history();
    past.happens({ requestId: "r1" }, keyAdded(), byok);
    expect(past.keyring.lastHash).toBe("hash 1");
  });

  it("remembers which events a request appended", () => {
    const past = history();
    const key = keyAdded();
    past.happens({ requestId: "r1" }, key, probed(key, valid));
    past.happens({ requestId: "r2" }, byok);
    const [actor, requestMac] = ["user.ann", "mac of r1"];
    expect(past.find(actor, "r1")).toStrictEqual({
      actor,
      requestId: "r1",
      requestMac,
      first: 0,
      last: 1,
    });
    expect(past.find(actor, "r2")).toMatchObject({ first: 2, last: 2 });
    expect(past.find(actor, "r3")).toBeUndefined();
  });

  it("tells the requests of two actors apart", () => {
    const past = history();
    past.happens({ actor: "user.ann", requestId: "r" }, keyAdded());
    past.happens({ actor: "user.bob", requestId: "r" }, byok);
    expect(past.find("user.ann", "r")).toMatchObject({ first: 0, last: 0 });
    expect(past.find("user.bob", "r")).toMatchObject({ first: 1, last: 1 });
    expect(past.find("user.eve", "r")).toBeUndefined();
  });

  it("remembers no work of the system, and no request is torn apart by it", () => {
    const past = history();
    const key = keyAdded();
    past.happens({ requestId: "r1" }, key);
    past.happens({ actor: "system.prober", requestId: "s", requestMac: "" }, probed(key, valid));
    past.happens({ requestId: "r2" }, byok);
    expect(past.find("system.prober", "s")).toBeUndefined();
    expect(past.find("user.ann", "r1")).toMatchObject({ first: 0, last: 0 });
    expect(past.find("user.ann", "r2")).toMatchObject({ first: 2, last: 2 });
  });

  it(`forgets a request after ${REMEMBERED_REQUESTS} others`, () => {
    const past = history();
    past.happens({ requestId: "first" }, keyAdded(), byok);
    for (let other = 1; other < REMEMBERED_REQUESTS; other++) {
      past.happens({ requestId: `other-${other}` }, other % 2 ? neo : byok);
    }
    expect(past.find("user.ann", "first")).toBeDefined();
    expect(past.keyring.requests).toHaveLength(REMEMBERED_REQUESTS);
    past.happens({ requestId: "one-more" }, neo);
    expect(past.find("user.ann", "first")).toBeUndefined();
    expect(past.keyring.requests).toHaveLength(REMEMBERED_REQUESTS);
  });

  it("takes a request id that comes again after it was forgotten as a new request", () => {
    const past = history();
    past.happens({ requestId: "r" }, keyAdded());
    for (let other = 0; other < REMEMBERED_REQUESTS; other++) {
      past.happens({ requestId: `other-${other}` }, other % 2 ? neo : byok);
    }
    past.happens({ requestId: "r" }, byok);
    expect(past.find("user.ann", "r")).toMatchObject({ first: REMEMBERED_REQUESTS + 1 });
  });
});
