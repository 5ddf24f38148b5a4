import { create, toBinary, toJsonString } from "@bufbuild/protobuf";
import {
  Feed,
  FollowRecordsRequestSchema,
  FollowRecordsResponseSchema,
  ListRecordsRequestSchema,
  ListRecordsResponseSchema,
} from "@keyledger/contracts";
import { type AuditRecord, Canceller, type Ledger } from "@keyledger/core";
import { describe, expect, it } from "vitest";
import { auditService } from "./audit-service.ts";
import type { Call } from "./handlers.ts";
import { ANSWER_BYTES_MAX } from "./limits.ts";

const HASH = "f".repeat(64);

const record = (index: number, data: string): AuditRecord => ({
  position: `position-${String(index).padStart(6, "0")}`,
  stream: `keyring-organization.${"o".repeat(128)}`,
  revision: index,
  eventId: "018f4b1e-0000-7000-8000-000000000000",
  type: "KeyAdded",
  schemaVersion: 1,
  time: "2026-01-01T00:00:00.000Z",
  actor: `user.${"u".repeat(128)}`,
  actorType: "organization-admin",
  owner: { kind: "organization", id: "o".repeat(128) },
  requestId: "r".repeat(64),
  correlationId: "c".repeat(64),
  causationId: "018f4b1e-0000-7000-8000-000000000000",
  traceparent: `00-${"0".repeat(32)}-${"0".repeat(16)}-00`,
  data,
  dataDigest: HASH,
  metadataDigest: HASH,
  prevHash: HASH,
  hash: HASH,
});

/** Three full allow-lists: 100 values of 255 characters each. */
const allowLists = (character: string): string =>
  JSON.stringify(
    Object.fromEntries(
      ["allowedModels", "allowedUsers", "allowedCallerKeys"].map((name) => [
        name,
        Array(100).fill(character.repeat(255)),
      ]),
    ),
  );

/** No data are larger: of three bytes each in one, of characters that JSON escapes in the other. */
const LARGEST = { "three bytes each": allowLists("界"), "quotes and backslashes": allowLists('"') };

const call: Call = {
  principal: { role: "auditor", owner: null, actor: "caller.1", isByokDenied: false },
  owner: null,
  correlationId: "c",
  traceparent: undefined,
  signal: new Canceller(),
  remainingMs: () => 1_000,
  stamp: () => {
    throw new Error("an audit query makes no events");
  },
  afterSend: () => {},
};

/** A feed of these records. */
const serviceOver = (records: readonly AuditRecord[]) => {
  const audit: Ledger["audit"] = {
    async list(_feed, { pageSize, pageToken }) {
      const from = records.findIndex(({ position }) => position > pageToken);
      const page = records.slice(from, from + pageSize);
      const last = page.at(-1)?.position ?? "";
      return { records: page, nextPageToken: last === records.at(-1)?.position ? "" : last };
    },
    checkStart: async () => undefined,
    async *follow() {
      yield { kind: "records", records };
    },
  };
  return auditService({ audit }, () => new Promise(() => {}));
};

async function pagesOf(records: readonly AuditRecord[], pageSize = 0) {
  const service = serviceOver(records);
  const pages = [];
  let pageToken = "";
  do {
    const request = create(ListRecordsRequestSchema, { feed: Feed.CHANGES, pageSize, pageToken });
    const answer = create(ListRecordsResponseSchema, await service.listRecords(request, call));
    pages.push(answer);
    pageToken = answer.nextPageToken;
  } while (pageToken !== "");
  return pages;
}

describe("audit records", () => {
  it.each(Object.entries(LARGEST))(
    "are listed to the last in answers that clients take, however large they are: %s",
    async (_name, data) => {
      const records = Array.from({ length: 120 }, (_, index) => record(index, data));
      const pages = await pagesOf(records);
      expect(pages.length).toBeGreaterThan(12);
      const listed = pages.flatMap((page) => page.records.map(({ position }) => position));
      expect(listed).toStrictEqual(records.map(({ position }) => position));
      for (const page of pages) {
        expect(toBinary(ListRecordsResponseSchema, page).length).toBeLessThan(ANSWER_BYTES_MAX);
        const json = Buffer.byteLength(toJsonString(ListRecordsResponseSchema, page));
        expect(json).toBeLessThan(2 * ANSWER_BYTES_MAX);
      }
    },
  );

  it("are listed in full pages where they are small", async () => {
    const records = Array.from({ length: 620 }, (_, index) => record(index, '{"mode":"byok"}'));
    const counts = (await pagesOf(records, 500)).map((page) => page.records.length);
    expect(counts).toStrictEqual([500, 120]);
  });

  it.each(Object.entries(LARGEST))(
    "are followed one in a message, which clients take too: %s",
    async (_name, data) => {
      const request = create(FollowRecordsRequestSchema, { feed: Feed.CHANGES });
      const stream = serviceOver([record(1, data)]).followRecords(request, call);
      let count = 0;
      for await (const item of stream) {
        count++;
        const message = create(FollowRecordsResponseSchema, item);
        expect(toBinary(FollowRecordsResponseSchema, message).length).toBeLessThan(
          ANSWER_BYTES_MAX,
        );
        const json = Buffer.byteLength(toJsonString(FollowRecordsResponseSchema, message));
        expect(json).toBeLessThan(2 * ANSWER_BYTES_MAX);
      }
      expect(count).toBe(1);
    },
  );
});
