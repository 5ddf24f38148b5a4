import { invalidArgument } from "./failures.ts";
import { streams } from "./generated.ts";
import type { Direction, StoredEvent } from "./store.ts";

export type Filter = (event: StoredEvent) => boolean;

/** What a `Read` asks for. */
export interface ReadQuery {
  readonly direction: Direction;
  /** Events to answer; `subscription` = all there will ever be. */
  readonly limit: number | "subscription";
  /** `null` = all streams. */
  readonly stream: string | null;
  /** Inclusive in reads, exclusive in subscriptions. */
  readonly from: bigint | "start" | "end";
  readonly filter: Filter | undefined;
  /** Events considered between two checkpoints. */
  readonly checkpointInterval: number;
  readonly structuredIds: boolean;
  /** Clients of this level and beyond are told where a stream begins and ends. */
  readonly compatibility: number;
}

/** Where a client leaves the window to the server. */
const SEARCH_WINDOW = 32;

/** @throws {Failure} a combination that the server does not know. */
export function parseReadQuery(request: streams.ReadReq): ReadQuery {
  const options = request.getOptions();
  if (!options?.hasUuidOption()) throw invalidArgument("Required argument uuidOption is missing");
  const stream = options.getStream();
  const all = options.getAll();
  if (!stream && !all) throw invalidArgument("Required argument streamOption is missing");
  const isSubscription = options.hasSubscription();
  const direction =
    options.getReadDirection() === streams.ReadReq.Options.ReadDirection.BACKWARDS
      ? "backwards"
      : "forwards";
  const filter = options.getFilter();
  if ((filter && stream) || (isSubscription && direction === "backwards")) {
    throw invalidArgument("The combination of stream, direction, count and filter is invalid");
  }
  const window = filter?.hasMax() ? filter.getMax() : SEARCH_WINDOW;
  const multiplier = filter?.getCheckpointintervalmultiplier() ?? 1;
  if (filter && isSubscription && multiplier === 0) {
    throw invalidArgument("checkpointIntervalMultiplier must be greater than 0");
  }
  return {
    direction,
    limit: isSubscription ? "subscription" : Number(options.getCount()),
    stream: stream ? textOf(stream.getStreamIdentifier()?.getStreamName_asU8()) : null,
    from: stream ? startOfStream(stream) : startOfAll(all),
    filter: filter && parseFilter(filter),
    checkpointInterval: window * multiplier,
    structuredIds: options.getUuidOption()?.hasStructured() ?? false,
    compatibility: options.getControlOption()?.getCompatibility() ?? 0,
  };
}

export const textOf = (bytes: Uint8Array | undefined): string =>
  Buffer.from(bytes ?? []).toString("utf8");

function startOfStream(stream: streams.ReadReq.Options.StreamOptions): ReadQuery["from"] {
  if (stream.hasStart()) return "start";
  return stream.hasEnd() ? "end" : BigInt(stream.getRevision());
}

function startOfAll(all: streams.ReadReq.Options.AllOptions | undefined): ReadQuery["from"] {
  const position = all?.getPosition();
  if (position) return BigInt(position.getCommitPosition());
  return all?.hasEnd() ? "end" : "start";
}

function parseFilter(filter: streams.ReadReq.Options.FilterOptions): Filter {
  const byName = filter.getStreamIdentifier();
  const expression = byName ?? filter.getEventType();
  const regex = expression?.getRegex() ?? "";
  const prefixes = expression?.getPrefixList() ?? [];
  const pattern = regex === "" ? undefined : new RegExp(regex);
  return ({ stream, type }) => {
    const text = byName ? stream : type;
    return pattern ? pattern.test(text) : prefixes.some((prefix) => text.startsWith(prefix));
  };
}
