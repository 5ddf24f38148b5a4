import { describe, expect, it } from "vitest";
import type { Gap, Place } from "./audit-consumer.ts";
import { gapReader } from "./gap-reader.ts";

const record = (stream: string, revision: number, position: number): Place => ({
  stream,
  revision: BigInt(revision),
  position: String(position).padStart(4, "0"),
});

/** A feed of two streams by turns, answered in pages. */
const feed = Array.from({ length: 40 }, (_, nth) =>
  record(nth % 2 === 0 ? "keyring-team.a" : "access-n", Math.floor(nth / 2), nth + 1),
);

function newService(pageSize: number) {
  const asked: { pageToken: string; owner: string | undefined }[] = [];
  const list = async (request: { pageToken: string; owner: string | undefined }) => {
    asked.push(request);
    const from = request.pageToken === "" ? 0 : Number(request.pageToken);
    const scanned = feed.slice(from, from + pageSize);
    const owned = request.owner === undefined ? scanned : scanned.filter(isOf(request.owner));
    const isLast = from + pageSize >= feed.length;
    return {
      records: owned,
      nextPageToken: isLast ? "" : String(from + pageSize).padStart(4, "0"),
    };
  };
  return { list, asked };
}

const isOf = (owner: string) => (found: Place) => found.stream === `keyring-${owner}`;

async function read(gap: Gap, pageSize: number) {
  const { list, asked } = newService(pageSize);
  const revisions: bigint[] = [];
  for await (const { stream, revision } of gapReader(list)(gap)) {
    expect(stream).toBe(gap.stream);
    revisions.push(revision);
  }
  return { revisions, asked };
}

describe("A gap reader", () => {
  const gap = { stream: "keyring-team.a", from: 3n, to: 6n, after: "0005", before: "0015" };

  it.for([1, 2, 3, 7, 100])(
    "reads what is missing and no more, in pages of %d",
    async (pageSize) => {
      const { revisions, asked } = await read(gap, pageSize);
      expect(revisions).toStrictEqual([3n, 4n, 5n, 6n]);
      expect(asked[0]).toStrictEqual({ pageToken: "0005", owner: "team.a" });
      expect(asked.length).toBeLessThanOrEqual(Math.ceil(10 / pageSize));
    },
  );

  it("asks for all owners where the stream is nobody's keyring", async () => {
    const access = { stream: "access-n", from: 0n, to: 2n, after: "", before: "0008" };
    const { revisions, asked } = await read(access, 4);
    expect(revisions).toStrictEqual([0n, 1n, 2n]);
    expect(asked[0]).toStrictEqual({ pageToken: "", owner: undefined });
  });

  it("ends at the record in front of which the gap is, and at the end of the feed", async () => {
    expect((await read({ ...gap, to: 99n }, 5)).revisions).toStrictEqual([3n, 4n, 5n, 6n]);
    const last = { ...gap, from: 18n, to: 99n, after: "0036", before: "9999" };
    expect((await read(last, 5)).revisions).toStrictEqual([18n, 19n]);
  });
});
