import { Refusal } from "./answer.ts";

/** What a request carries, or the query of one without a body. */
export type Body = Readonly<Record<string, unknown>>;

const misfit = (field: string): Refusal =>
  new Refusal(400, `error converting input for field "${field}"`);

export function textOf(body: Body, field: string, otherwise = ""): string {
  const value = body[field];
  if (value === undefined || value === null) return otherwise;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  if (typeof value !== "string") throw misfit(field);
  return value;
}

/** @returns `undefined` where the field is absent; digits in a string count too. */
export function integerOf(body: Body, field: string): number | undefined {
  const value = body[field];
  if (value === undefined || value === null || value === "") return undefined;
  const number = typeof value === "string" ? Number(value) : value;
  if (typeof number !== "number" || !Number.isSafeInteger(number)) throw misfit(field);
  return number;
}

export function flagOf(body: Body, field: string): boolean | undefined {
  const value = body[field];
  if (value === undefined || value === null) return undefined;
  if (value === true || value === "true" || value === "1" || value === 1) return true;
  if (value === false || value === "false" || value === "0" || value === 0) return false;
  throw misfit(field);
}

/** A list, or a string with commas. */
export function namesOf(body: Body, field: string): readonly string[] {
  const value = body[field];
  if (value === undefined || value === null) return [];
  if (typeof value === "string") return value.split(",").filter((name) => name !== "");
  if (!Array.isArray(value)) throw misfit(field);
  return value.map(String);
}

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Seconds: a number, or as in `90s`, `15m`, `1h30m`. */
export function secondsOf(body: Body, field: string): number | undefined {
  const value = body[field];
  if (typeof value !== "string" || /^-?\d*$/.test(value)) return integerOf(body, field);
  const parts = [...value.matchAll(/(\d+)([smhd])/g)];
  if (parts.map(([part]) => part).join("") !== value) throw misfit(field);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
}

export function recordOf(value: unknown): Body | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Body)
    : undefined;
}

/** The warning for fields an endpoint does not know; it carries on without them. */
export function ignoredFields(body: Body, known: readonly string[]): readonly string[] {
  const ignored = Object.keys(body).filter((field) => !known.includes(field));
  if (ignored.length === 0) return [];
  return [`Endpoint ignored these unrecognized parameters: [${ignored.sort().join(" ")}]`];
}
