import { describe, expect, it } from "vitest";
import { placeOf } from "./kafka-headers.ts";

const headers = { stream: "keyring-team.a", revision: "7", position: "01ab", ce_id: "x" };

describe("The place of a Kafka message", () => {
  it("is in its headers, as text or as bytes", () => {
    const place = { stream: "keyring-team.a", revision: 7n, position: "01ab" };
    expect(placeOf(headers)).toStrictEqual(place);
    const bytes = Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)]);
    expect(placeOf(Object.fromEntries(bytes))).toStrictEqual(place);
  });

  it.for([
    {},
    { ...headers, stream: undefined },
    { ...headers, stream: "" },
    { ...headers, position: undefined },
    { ...headers, revision: "-1" },
    { ...headers, revision: "1.5" },
    { ...headers, revision: "" },
    { ...headers, revision: ["1", "2"] },
  ])("is nowhere with %o", (message) => {
    expect(placeOf(message)).toBeUndefined();
  });
});
