import type { Instant } from "@keyledger/core";

const RFC_3339 = /^\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})$/;

/** An instant from what somebody else wrote, or `undefined` where it is no RFC 3339 time of the years 0000 to 9999. */
export function parseInstant(value: unknown): Instant | undefined {
  if (typeof value !== "string" || !RFC_3339.test(value)) return undefined;
  const milliseconds = Date.parse(value.toUpperCase());
  return Number.isNaN(milliseconds) ? undefined : instantOf(milliseconds);
}

/** @param milliseconds since 1970. */
export function instantOf(milliseconds: number): Instant | undefined {
  const text = new Date(milliseconds).toISOString();
  // Beyond the year 9999 the text is longer and no longer in bytewise order.
  return text.length === 24 ? text : undefined;
}
