import { randomBytes } from "node:crypto";
import { setTimeout } from "node:timers/promises";
import { askVault, textAt, type VaultAnswer } from "../../support/vault/client.ts";
import type { VaultUnderTest } from "../../support/vault/engine.ts";
import type { Row } from "./row.ts";
import { Looks, mismatches, type Shape } from "./shape.ts";

/** What became of a row: nothing here if all was as it should be. */
export type Outcome = readonly string[];

const PATIENCE_MS = 15_000;
const PAUSE_MS = 250;

/** The outcomes by the names of the rows; disposing takes away what was made. */
export interface Played extends AsyncDisposable {
  readonly outcomes: ReadonlyMap<string, Outcome>;
}

/** Asks everything in its order, in mounts and under names of its own. */
export async function play(vault: VaultUnderTest, rows: readonly Row[]): Promise<Played> {
  const names = ownNames(vault);
  const outcomes = new Map<string, Outcome>();
  for (const row of rows) {
    if (row.secondsBefore !== undefined) await pass(vault, row.secondsBefore);
    const answer = await ask(vault, row, names);
    outcomes.set(row.name, outcome(row, answer, names));
    for (const [name, place] of Object.entries(row.keep ?? {})) {
      // What is not there is already told by the outcome of this row.
      if (answer.status === row.status) names.set(name, textAt(answer.body, place));
    }
  }
  return { outcomes, [Symbol.asyncDispose]: () => clearAway(vault, names) };
}

async function clearAway(vault: VaultUnderTest, names: ReadonlyMap<string, string>): Promise<void> {
  const made = [
    "sys/mounts/{transit}",
    "sys/mounts/{kv}",
    "sys/auth/{approle}",
    ...["writer", "reader", "mover"].map((role) => `sys/policies/acl/{p}-${role}`),
  ];
  for (const path of made.map((name) => `/v1/${filled(name, names)}`)) {
    await askVault(vault, { method: "DELETE", path, token: vault.rootToken });
  }
}

function ownNames({ rootToken, unsealKey }: VaultUnderTest): Map<string, string> {
  const suffix = randomBytes(4).toString("hex");
  return new Map([
    ["root", rootToken],
    ["unseal", unsealKey ?? ""],
    ["transit", `acceptance-transit-${suffix}`],
    ["kv", `acceptance-kv-${suffix}`],
    ["approle", `acceptance-approle-${suffix}`],
    ["nowhere", `acceptance-nowhere-${suffix}`],
    ["p", `keyledger-acceptance-${suffix}`],
  ]);
}

/** The stand-in's clock is moved; a real engine takes its time. */
async function pass({ standIn }: VaultUnderTest, seconds: number): Promise<void> {
  if (standIn === undefined) await setTimeout(seconds * 1000);
  else await standIn.control.advanceClock(seconds * 1000);
}

async function ask(
  vault: VaultUnderTest,
  row: Row,
  names: ReadonlyMap<string, string>,
): Promise<VaultAnswer> {
  const { method, token, body, rawBody } = row;
  const call = {
    method,
    path: filled(row.path, names),
    token: token === null ? null : (names.get(token) ?? token),
    body: JSON.parse(filled(JSON.stringify(body ?? null), names, JSON.stringify)) ?? undefined,
    ...(rawBody === undefined ? {} : { rawBody }),
  };
  const deadline = performance.now() + (row.patient === true ? PATIENCE_MS : 0);
  for (;;) {
    const answer = await askVault(vault, call);
    if (answer.status === row.status || performance.now() >= deadline) return answer;
    await setTimeout(PAUSE_MS);
  }
}

function outcome(row: Row, answer: VaultAnswer, names: ReadonlyMap<string, string>): Outcome {
  const { status, contentType = "application/json" } = row;
  const type = answer.body === null ? contentType : answer.headers["content-type"];
  return [
    ...(answer.status === status ? [] : [`the status is ${answer.status}, not ${status}`]),
    ...(type === contentType ? [] : [`the content type is ${type}, not ${contentType}`]),
    ...mismatches(filledShape(row.answer, names), answer.body),
  ];
}

/** Puts what was kept where its name stands in braces. */
const filled = (
  text: string,
  names: ReadonlyMap<string, string>,
  quote: (text: string) => string = (plain) => `"${plain}"`,
): string =>
  text.replace(/\{([a-z][a-z-]*)\}/g, (whole, name: string) => {
    const value = names.get(name);
    return value === undefined ? whole : quote(value).slice(1, -1);
  });

function filledShape(shape: Shape, names: ReadonlyMap<string, string>): Shape {
  if (typeof shape === "string") return filled(shape, names);
  if (typeof shape !== "object" || shape === null || shape instanceof Looks) return shape;
  if (Array.isArray(shape)) return shape.map((part: Shape) => filledShape(part, names));
  return Object.fromEntries(
    Object.entries(shape).map(([field, part]) => [filled(field, names), filledShape(part, names)]),
  );
}
