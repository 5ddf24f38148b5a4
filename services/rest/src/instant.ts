import type { Timestamp } from "@bufbuild/protobuf/wkt";

const DAY_S = 86_400;
const DAYS_KEPT_MAX = 4_096;
const TWO = Array.from({ length: 100 }, (_, number) => String(number).padStart(2, "0"));
const MILLIS = Array.from({ length: 1_000 }, (_, ms) => `.${String(ms).padStart(3, "0")}Z`);
const days = new Map<number, string>();

/**
 * A timestamp from 1970 on as RFC 3339 with milliseconds and `Z`, as Date would write it. A list has two for each of
 * its rows and Date takes 0.5 microseconds for one; with the text of its day kept, a tenth of that.
 */
export function instantText({ seconds, nanos }: Timestamp): string {
  const whole = Number(seconds);
  const day = Math.floor(whole / DAY_S);
  const rest = whole - day * DAY_S;
  const hours = TWO[Math.floor(rest / 3_600)];
  const minutes = TWO[Math.floor(rest / 60) % 60];
  return `${dayText(day)}${hours}:${minutes}:${TWO[rest % 60]}${MILLIS[Math.floor(nanos / 1e6)]}`;
}

/** `2026-01-02T` */
function dayText(day: number): string {
  const kept = days.get(day);
  if (kept !== undefined) return kept;
  if (days.size >= DAYS_KEPT_MAX) days.clear();
  const text = new Date(day * DAY_S * 1_000).toISOString().slice(0, "2026-01-02T".length);
  days.set(day, text);
  return text;
}
