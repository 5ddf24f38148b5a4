import { describe, expect, it } from "vitest";
import * as verdicts from "./verdict.ts";

const { verdictOfSilence, verdictOfStatus, ...shared } = verdicts;
const all = [...Object.values(shared), ...Object.values(verdictOfSilence)];

describe("The shared verdicts", () => {
  it("have codes that events and metrics can carry, each once", () => {
    const codes = all.map(({ code }) => code);
    expect(codes.filter((code) => !/^[a-z][a-z0-9_]{0,63}$/.test(code))).toStrictEqual([]);
    expect(new Set(codes).size).toBe(codes.length);
  });

  it("say a sentence", () => {
    for (const { message } of all) expect(message).toMatch(/^[A-Z][^\n]*\.$/);
  });

  it("never take silence for a judgement of the key", () => {
    for (const { outcome } of Object.values(verdictOfSilence)) {
      expect(["unavailable", "unexpected"]).toContain(outcome);
    }
  });

  it("make of every status something, and of few that the key is wrong", () => {
    const rejecting = Array.from({ length: 600 }, (_, status) => status).filter(
      (status) => verdictOfStatus(status).outcome === "rejected",
    );
    expect(rejecting).toStrictEqual([401]);
  });
});
