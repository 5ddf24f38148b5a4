import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { anyCallerKeyEvent, anyKeyringEvent } from "../domain/any-event.test-support.ts";
import { projectCallerKey } from "../domain/caller-key.ts";
import type { CallerKeyEvent, KeyringEvent } from "../domain/events.ts";
import { positionAt, timeAt } from "../domain/given.test-support.ts";
import { emptyKeyring, evolve, type Keyring } from "../domain/keyring.ts";
import {
  type CallerKeyView,
  emptyKeyringView,
  enabledCount,
  type KeyringView,
  project,
  shownMode,
} from "../domain/views.ts";
import { callerStream, keyringStream, type Owner, ownerName } from "../domain/vocabulary.ts";
import type { RecordedEvent } from "../ports/event-log.ts";
import { encodeData } from "./event-codec.ts";
import { happenedToKeyring } from "./happened.ts";
import { changesOf } from "./project.ts";

const owners: readonly Owner[] = [
  { kind: "team", id: "red" },
  { kind: "user", id: "ann" },
  { kind: "organization", id: "a.b-c" },
];

interface Told {
  readonly owner: Owner;
  readonly event: KeyringEvent | CallerKeyEvent;
}

const told: fc.Arbitrary<Told> = fc.record({
  owner: fc.constantFrom(...owners),
  event: fc.oneof(
    { weight: 9, arbitrary: anyKeyringEvent },
    { weight: 2, arbitrary: anyCallerKeyEvent },
  ),
});

const isAboutCallerKey = (event: Told["event"]): event is CallerKeyEvent =>
  event.type === "ApiKeyIssued" || event.type === "ApiKeyRevoked";

/** The log that the stories make, in which each stream counts for itself. */
function logOf(stories: readonly Told[]): readonly RecordedEvent[] {
  const revisions = new Map<string, number>();
  return stories.map(({ owner, event }, place) => {
    const stream = isAboutCallerKey(event) ? callerStream(event.callerKeyId) : keyringStream(owner);
    const revision = revisions.get(stream) ?? 0;
    revisions.set(stream, revision + 1);
    return {
      id: String(place),
      type: event.type,
      data: encodeData(event),
      metadata: {
        actor: "user.ann",
        requestId: String(place),
        requestMac: place % 3 ? "mac" : "",
        time: timeAt(place),
        hash: `hash ${place}`,
      },
      stream,
      revision,
      position: positionAt(place + 1),
    };
  });
}

class Views {
  readonly keyrings = new Map<string, KeyringView>();
  readonly callerKeys = new Map<string, CallerKeyView>();

  keyring = (owner: Owner) => this.keyrings.get(ownerName(owner));
  callerKey = (id: string) => this.callerKeys.get(id);

  apply(page: readonly RecordedEvent[]): void {
    const { keyrings, callerKeys } = changesOf(page, this);
    for (const view of keyrings) this.keyrings.set(ownerName(view.owner), view);
    for (const view of callerKeys) this.callerKeys.set(view.callerKeyId, view);
  }
}

function inPages(log: readonly RecordedEvent[], sizes: readonly number[]): Views {
  const views = new Views();
  let at = 0;
  for (let page = 0; at < log.length; page++) {
    const size = sizes[page % (sizes.length || 1)] ?? log.length;
    views.apply(log.slice(at, at + size));
    at += size;
  }
  return views;
}

const stories = fc.array(told, { maxLength: 60, size: "max" });
const sizes = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 });

describe("the views of a log", () => {
  it("are the same in whatever pages it is delivered", () => {
    fc.assert(
      fc.property(stories, sizes, (told, sizes) => {
        const log = logOf(told);
        const whole = inPages(log, [log.length || 1]);
        const paged = inPages(log, sizes);
        expect(paged.keyrings).toStrictEqual(whole.keyrings);
        expect(paged.callerKeys).toStrictEqual(whole.callerKeys);
      }),
      { numRuns: 500 },
    );
  });

  it("are what each stream tells by itself", () => {
    fc.assert(
      fc.property(stories, sizes, (told, sizes) => {
        const log = logOf(told);
        const views = inPages(log, sizes);
        for (const owner of owners) {
          const own = log.filter(({ stream }) => stream === keyringStream(owner));
          const keyring = own.map(happenedToKeyring).reduce<Keyring>(evolve, emptyKeyring(owner));
          expect(views.keyring(owner) ?? emptyKeyringView(owner)).toStrictEqual(keyring.view);
          expect(keyring.lastHash).toBe(own.at(-1)?.metadata.hash ?? "0".repeat(64));
        }
        for (const [id, view] of views.callerKeys) {
          const own = log.filter(({ stream }) => stream === callerStream(id));
          const folded = own.reduce<CallerKeyView | undefined>((before, recorded) => {
            const story = told[Number(recorded.id)];
            if (!story || !isAboutCallerKey(story.event)) throw new Error("not a caller key");
            const { revision, position, metadata } = recorded;
            return projectCallerKey(before, story.event, {
              revision,
              position,
              time: metadata.time ?? "",
            });
          }, undefined);
          expect(view).toStrictEqual(folded);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("never show byok without an enabled key, in no prefix, whatever wrote the log", () => {
    fc.assert(
      fc.property(fc.array(anyKeyringEvent, { maxLength: 60, size: "max" }), (events) => {
        let view = emptyKeyringView({ kind: "team", id: "red" });
        for (const [revision, event] of events.entries()) {
          const position = positionAt(revision);
          view = project(view, event, { revision, position, time: timeAt(revision) });
          if (shownMode(view) === "byok") expect(enabledCount(view)).toBeGreaterThan(0);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it("move their edit revision with people's events, and with no others", () => {
    const background = ["KeyProbed", "KeyHealthChanged", "SecretShredded"];
    fc.assert(
      fc.property(fc.array(anyKeyringEvent, { maxLength: 40, size: "max" }), (events) => {
        let view = emptyKeyringView({ kind: "team", id: "red" });
        for (const [revision, event] of events.entries()) {
          const before = view.editRevision;
          view = project(view, event, { revision, position: "", time: timeAt(revision) });
          const isBackground = background.includes(event.type);
          expect(view.editRevision).toBe(isBackground ? before : revision);
          expect(view.revision).toBe(revision);
        }
      }),
      { numRuns: 300 },
    );
  });
});
