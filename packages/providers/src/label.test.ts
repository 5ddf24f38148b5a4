import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { maskedKey } from "./label.ts";

const masked = (key: string, prefixes?: readonly string[]) => maskedKey(Buffer.from(key), prefixes);

describe("A masked key", () => {
  it.for([
    ["sk-proj-0123456789abAbCd", ["sk-proj-", "sk-"], "sk-proj-...AbCd"],
    ["sk-svcacct-0123456789AbCd", ["sk-svcacct-", "sk-"], "sk-...AbCd"],
    ["sk-0123456789abcdefAbCd", ["sk-proj-", "sk-"], "sk-...AbCd"],
    ["sk-or-v1-0123456789abAbCd", ["sk-or-v1-"], "sk-or-...AbCd"],
    ["sk-ant-api03-0123456789AbCd", ["sk-ant-api03-"], "sk-ant-...AbCd"],
    ["xai-0123456789ab9f_2", ["xai-"], "xai-...9f_2"],
    ["vck_0123456789abk2Qz", ["vck_"], "vck_...k2Qz"],
    ["AIza0123456789abcdef", ["AIza"], "AIza...cdef"],
    ["bedrock-api-key-YmVk1234", ["bedrock-api-key-"], "bedrock-...1234"],
    ["0123456789abcdef", ["sk-"], "...cdef"],
    ["0123456789abcdef", undefined, "...cdef"],
    ["0123456789abcde", ["0123"], "****"],
    ["", undefined, "****"],
  ] as const)("of %s with %j is %s", ([key, prefixes, label]) => {
    expect(masked(key, prefixes)).toBe(label);
  });

  it("shows at most 12 characters of the key", () => {
    const prefixes = ["sk-proj-", "sk-or-v1-", "sk-ant-api03-", "verylongprefix", "AIza"];
    fc.assert(
      fc.property(
        fc.constantFrom("", ...prefixes),
        fc.string({ unit: fc.constantFrom(..."abcXYZ012-_"), maxLength: 80 }),
        (prefix, rest) => {
          const key = prefix + rest;
          const label = masked(key, prefixes);
          const shown = label.replace("...", "").replace("****", "");
          expect(shown.length).toBeLessThanOrEqual(12);
          if (key.length < 16) expect(label).toBe("****");
        },
      ),
    );
  });
});
