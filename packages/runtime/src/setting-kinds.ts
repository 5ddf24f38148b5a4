import { isIPv4, isIPv6 } from "node:net";

export type Parsed<T> = { readonly value: T } | { readonly problem: string };

/** How the text of one value is read. Problems complete the sentence "the setting ..." and never repeat the text. */
export interface Kind<T> {
  /** What a value looks like, for the table. */
  readonly form: string;
  /** What a settings file may hold for it besides a string. */
  readonly json: "string" | "number" | "boolean";
  parse(text: string): Parsed<T>;
}

/** Linux' longest path; nothing else that we take is longer. */
const TEXT_LENGTH_MAX = 4096;

const kind = <T>(form: string, parse: Kind<T>["parse"], json: Kind<T>["json"] = "string") => ({
  form,
  json,
  parse: (text: string): Parsed<T> =>
    text.length > TEXT_LENGTH_MAX
      ? { problem: `has over ${TEXT_LENGTH_MAX} characters` }
      : parse(text),
});

/** Printable text without blanks. */
export const word = (form: string): Kind<string> =>
  kind(form, (text) =>
    /^[\x21-\x7e]+$/.test(text)
      ? { value: text }
      : { problem: "must be printable ASCII characters without blanks" },
  );

/** A relative path counts from the working directory, wherever it was given. */
export const path: Kind<string> = kind("PATH", (text) => {
  if (text.trim() === "") return { problem: "is blank" };
  return /\p{Cc}/u.test(text) ? { problem: "holds control characters" } : { value: text };
});

/**
 * The path of a file that holds a secret: neither command line nor environment is a place for the secret itself, since
 * other users can read them.
 */
export const secretFile: Kind<string> = kind("PATH", (text) =>
  /-----BEGIN|\n|^(sk-|neo_sk_|hvs\.|eyJ)/.test(text)
    ? { problem: "must be the path of a file that holds the secret, not the secret" }
    : path.parse(text),
);

export const oneOf = <const Value extends string>(...values: readonly Value[]): Kind<Value> =>
  kind(values.join("|"), (text) => {
    const value = values.find((known) => known === text);
    return value === undefined ? { problem: `must be one of ${values.join(", ")}` } : { value };
  });

export const onOff: Kind<boolean> = kind(
  "on|off",
  (text) =>
    text === "on" || text === "off" ? { value: text === "on" } : { problem: "must be on or off" },
  "boolean",
);

export const integer = (bounds: { readonly min: number; readonly max: number }): Kind<number> =>
  kind(
    "NUMBER",
    (text) => {
      const value = /^-?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
      return value >= bounds.min && value <= bounds.max
        ? { value }
        : { problem: `must be a whole number from ${bounds.min} to ${bounds.max}` };
    },
    "number",
  );

const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const isUnit = (text: string): text is keyof typeof UNIT_MS => Object.hasOwn(UNIT_MS, text);

/** A whole number and a unit, as `90d`; the value is in milliseconds. Bounds are written the same way. */
export function duration(bounds: { readonly min: string; readonly max: string }): Kind<number> {
  const [minMs, maxMs] = [milliseconds(bounds.min), milliseconds(bounds.max)];
  return kind("DURATION", (text) => {
    const value = milliseconds(text);
    return value >= minMs && value <= maxMs
      ? { value }
      : {
          problem: `must be a duration from ${bounds.min} to ${bounds.max} (units: ms, s, m, h, d)`,
        };
  });
}

function milliseconds(text: string): number {
  const [, amount = "", unit = ""] = /^(\d{1,9})([a-z]{1,2})$/.exec(text) ?? [];
  return isUnit(unit) ? Number(amount) * UNIT_MS[unit] : Number.NaN;
}

export interface HostPort {
  /** A name or an address; an IPv6 address stands without brackets. */
  readonly host: string;
  /** 0 = any free port. */
  readonly port: number;
}

export const hostPort: Kind<HostPort> = kind("HOST:PORT", (text) => {
  const [, v6, name = v6 ?? "", digits = ""] =
    /^(?:\[([\da-f:.]+)\]|([\da-z.-]{1,253})):(\d{1,5})$/i.exec(text) ?? [];
  const port = Number(digits);
  const isHost = v6 === undefined ? isIPv4(name) || /[a-z]/i.test(name) : isIPv6(v6);
  if (isHost && digits !== "" && port <= 65_535) return { value: { host: name, port } };
  return {
    problem: "must be host:port with a port from 0 to 65535, as 127.0.0.1:8080 or [::1]:8080",
  };
});

export const showHostPort = ({ host, port }: HostPort): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;

/** Whether only this machine can reach what listens there. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || (isIPv4(host) && host.startsWith("127."));

/** `name=text`. @param names what may stand on the left, and what each stands for */
export const pair = <const Name extends string>(
  form: string,
  names: Readonly<Record<string, Name>>,
): Kind<{ readonly name: Name; readonly text: string }> =>
  kind(form, (given) => {
    const [, left = "", text = ""] = /^([a-z-]+)=([\x21-\x7e]+)$/.exec(given) ?? [];
    const name = Object.hasOwn(names, left) ? names[left] : undefined;
    return name === undefined
      ? { problem: `must be name=value with a name of ${Object.keys(names).join(", ")}` }
      : { value: { name, text } };
  });
