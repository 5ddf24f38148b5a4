import { canonicalJson, type Json } from "@keyledger/core";
import { ANY } from "@kurrent/kurrentdb-client";
import { APPEND_DEADLINE_MS, appendOnce } from "./kurrent-append.ts";
import type { KurrentConnection } from "./kurrent-client.ts";
import { encodeEvent, type Resolved } from "./kurrent-event.ts";
import { readStreamEnd, readStreamPart } from "./kurrent-read.ts";

/** Seconds after which the engine drops an event, and the first revision it still shows. */
const MAX_AGE = "$maxAge";
const TRUNCATE_BEFORE = "$tb";

const PAGE = 500;

/**
 * The engine drops what is older by itself; what is `undefined` it keeps for ever.
 * @param name of the stream, as the engine knows it
 * @throws {StoreUnavailable} {OutcomeUnknown}
 */
export async function setMaxAge(
  connection: KurrentConnection,
  name: string,
  ageMs: number | undefined,
): Promise<void> {
  const metadata = await readMetadata(connection, name);
  const seconds = ageMs === undefined ? undefined : Math.max(1, Math.ceil(ageMs / 1_000));
  if (metadata[MAX_AGE] === seconds) return;
  const { [MAX_AGE]: _, ...rest } = metadata;
  await writeMetadata(
    connection,
    name,
    seconds === undefined ? rest : { ...rest, [MAX_AGE]: seconds },
  );
}

/**
 * Cuts off the beginning of a stream, up to the first event that is not old. The last one stays: the chain goes on
 * from it.
 * @throws {StoreUnavailable} {OutcomeUnknown}
 */
export async function retireBefore(
  connection: KurrentConnection,
  name: string,
  isOld: (resolved: Resolved) => boolean,
): Promise<void> {
  const metadata = await readMetadata(connection, name);
  const before = Number(metadata[TRUNCATE_BEFORE] ?? 0);
  let keep = before;
  for (;;) {
    const page = await readStreamPart(connection, name, { from: keep, limit: PAGE });
    const first = page.find((resolved) => !isOld(resolved)) ?? page.at(-1);
    const revision = Number(first?.event?.revision ?? keep);
    if (revision === keep || first !== page.at(-1)) {
      keep = revision;
      break;
    }
    // All were old, but perhaps the last: it is looked at again, with what comes behind it.
    keep = revision;
  }
  if (keep > before)
    await writeMetadata(connection, name, { ...metadata, [TRUNCATE_BEFORE]: keep });
}

type Metadata = { readonly [name: string]: Json };

const metaStreamOf = (name: string): string => `$$${name}`;

async function readMetadata(connection: KurrentConnection, name: string): Promise<Metadata> {
  const last = await readStreamEnd(connection, metaStreamOf(name));
  const data = typeof last === "string" ? undefined : last.event?.data;
  return isObject(data) ? data : {};
}

async function writeMetadata(
  connection: KurrentConnection,
  name: string,
  metadata: Metadata,
): Promise<void> {
  const id = connection.host.random.uuid();
  const data = canonicalJson(metadata);
  await appendOnce(connection, {
    name: metaStreamOf(name),
    expected: ANY,
    events: [encodeEvent({ id, type: "$metadata", data, metadata: {} })],
    deadlineMs: APPEND_DEADLINE_MS,
  });
}

const isObject = (data: unknown): data is Metadata =>
  typeof data === "object" && data !== null && !Array.isArray(data);
