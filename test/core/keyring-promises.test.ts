import {
  decide,
  emptyKeyringView,
  enabledCount,
  type KeyringEvent,
  type KeyringView,
  primaryOf,
  project,
  shownMode,
  sortedKeys,
} from "@keyledger/core";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type AnyCommand, anyCommand } from "./any-command.ts";
import { ReferenceKeyring } from "./reference-keyring.ts";

/** Histories tried per promise; a nightly run asks for more. */
const numRuns = Number(process.env.KEYLEDGER_PROPERTY_RUNS ?? 2_000);
const COMMANDS_MAX = 50;

const commands = fc.array(anyCommand, { maxLength: COMMANDS_MAX, size: "max" });
const owner = { kind: "team", id: "red" } as const;

const timeAt = (step: number): string =>
  new Date(Date.UTC(2026, 0, 1) + step * 1_000).toISOString();

const happen = (view: KeyringView, event: KeyringEvent, step: number): KeyringView => {
  const revision = (view.revision ?? -1) + 1;
  return project(view, event, { revision, position: String(revision), time: timeAt(step) });
};

/** Decides and folds; answers the keyring after each event, append by append. */
function play(steps: readonly AnyCommand[]) {
  let view = emptyKeyringView(owner);
  return steps.map((anyCommand, step) => {
    const before = view;
    const command = anyCommand(before, step);
    const decision = decide(command, before);
    const events = "accepted" in decision ? decision.accepted : [];
    const prefixes = events.map((event) => {
      view = happen(view, event, step);
      return view;
    });
    return { step, command, before, decision, events, prefixes, after: view };
  });
}

/** Freezes what decide and project are given, so that a change in place would throw. */
function frozen<T>(value: T): T {
  if (typeof value !== "object" || value === null || Object.isFrozen(value)) return value;
  if (value instanceof Map) {
    const refuse = () => {
      throw new Error("a map that was handed out is changed");
    };
    Object.assign(value, { set: refuse, delete: refuse, clear: refuse });
  }
  Object.freeze(value);
  for (const member of value instanceof Map ? value.values() : Object.values(value)) frozen(member);
  return value;
}

describe("whatever is asked of a keyring, in whatever order", () => {
  it("byok never stands without an enabled key, in no prefix of its history", () => {
    fc.assert(
      fc.property(commands, (steps) => {
        for (const { prefixes, after } of play(steps)) {
          for (const prefix of prefixes) {
            if (shownMode(prefix) === "byok") expect(enabledCount(prefix)).toBeGreaterThan(0);
          }
          // At the end of an append not even the stored mode needs the view to correct it.
          if (after.mode === "byok") expect(enabledCount(after)).toBeGreaterThan(0);
        }
      }),
      { numRuns },
    );
  });

  it("decisions and views agree with a plain list of keys", () => {
    fc.assert(
      fc.property(commands, (steps) => {
        const reference = new ReferenceKeyring();
        for (const { step, command, decision, after } of play(steps)) {
          const refusal = "accepted" in decision ? decision.refusal : decision.rejected;
          expect(refusal?.reason ?? null).toBe(reference.run(command, timeAt(step)));
          const { pendingShreds, mode, entitlement, revision, editRevision } = after;
          expect({ mode, entitlement, editRevision, events: (revision ?? -1) + 1 }).toStrictEqual({
            mode: reference.mode,
            entitlement: reference.entitlement,
            editRevision: reference.lastEdit,
            events: reference.events,
          });
          expect(pendingShreds.map(({ secretVersion }) => secretVersion)).toStrictEqual(
            reference.toWipe,
          );
          const shown = sortedKeys(after).map(({ health: _health, ...key }) => key);
          expect(shown).toStrictEqual(reference.listed());
          for (const provider of ["anthropic", "openai"]) {
            expect(primaryOf(after, provider)?.keyId).toBe(reference.primary(provider)?.keyId);
          }
        }
      }),
      { numRuns },
    );
  });

  it("the same command on the same keyring decides the same, and changes neither", () => {
    fc.assert(
      fc.property(commands, (steps) => {
        for (const { command, before, decision } of play(steps)) {
          expect(decide(frozen(command), frozen(before))).toStrictEqual(decision);
        }
      }),
      { numRuns: numRuns / 4 },
    );
  });

  it("asking again right away appends nothing, unless it makes or deletes a key", () => {
    fc.assert(
      fc.property(commands, (steps) => {
        for (const { command, after, decision } of play(steps)) {
          if ("rejected" in decision) {
            expect(decide(command, after)).toStrictEqual(decision);
          } else if (command.type !== "CreateKey" && command.type !== "DeleteKey") {
            expect(decide(command, after)).toMatchObject({ accepted: [] });
          }
        }
      }),
      { numRuns: numRuns / 4 },
    );
  });

  it("one append tells of one key, and has one revision per event", () => {
    fc.assert(
      fc.property(commands, (steps) => {
        for (const { events, before, after } of play(steps)) {
          const ids = events.flatMap((event) => ("keyId" in event ? [event.keyId] : []));
          expect(new Set(ids).size).toBeLessThanOrEqual(1);
          expect(events.length).toBeLessThanOrEqual(4);
          expect((after.revision ?? -1) - (before.revision ?? -1)).toBe(events.length);
        }
      }),
      { numRuns: numRuns / 4 },
    );
  });

  it("no secret version is both in use and to be wiped, or in use twice", () => {
    fc.assert(
      fc.property(commands, (steps) => {
        for (const { after } of play(steps)) {
          const used = [...after.keys.values()].map(({ secretVersion }) => secretVersion);
          const gone = after.pendingShreds.map(({ secretVersion }) => secretVersion);
          const all = [...used, ...gone];
          expect(new Set(all).size).toBe(all.length);
        }
      }),
      { numRuns: numRuns / 4 },
    );
  });
});
