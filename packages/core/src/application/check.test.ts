import { describe, expect, it } from "vitest";
import { checkAllowList, checkText, checkUuid, looksLikeSecret } from "./check.ts";

const LOWER = "abcdefghijklmnopqrstuvwxyz";
const DIGITS = "0123456789";
const UPPER = LOWER.toUpperCase();
const ALPHANUMERIC = LOWER + UPPER + DIGITS;
const HEX = `${DIGITS}abcdef`;
const BASE64 = `${ALPHANUMERIC}+/`;

/** Numbers that are the same in every run, so that no run fails by bad luck. */
function dice(seed: number) {
  let state = seed;
  const below = (end: number): number => {
    // Parameters of Numerical Recipes; the upper bits are random enough for made-up keys.
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * end);
  };
  const text = (alphabet: string, length: number): string =>
    Array.from({ length }, () => alphabet.charAt(below(alphabet.length))).join("");
  const one = <T>(list: readonly T[]): T => {
    const item = list[below(list.length)];
    if (item === undefined) throw new Error("nothing to choose from");
    return item;
  };
  return { below, text, one };
}

type Dice = ReturnType<typeof dice>;

const awsId = ({ text }: Dice, kind: string) => kind + text(`${UPPER}234567`, 16);
const pem = ({ text }: Dice) =>
  `-----BEGIN PRIVATE KEY-----\\n${text(BASE64, 64)}\\n${text(BASE64, 64)}\\n-----END PRIVATE KEY-----\\n`;

/** Invented credentials in the shapes that the providers give them out in. */
const formats: Readonly<Record<string, (dice: Dice) => string>> = {
  openrouter: ({ text }) => `sk-or-v1-${text(HEX, 64)}`,
  anthropic: ({ text }) => `sk-ant-api03-${text(`${ALPHANUMERIC}_-`, 93)}AA`,
  "anthropic admin": ({ text }) => `sk-ant-admin01-${text(`${ALPHANUMERIC}_-`, 93)}AA`,
  "anthropic oauth": ({ text }) => `sk-ant-oat01-${text(`${ALPHANUMERIC}_-`, 86)}AA`,
  "openai project": ({ text }) =>
    `sk-proj-${text(`${ALPHANUMERIC}_-`, 74)}T3BlbkFJ${text(`${ALPHANUMERIC}_-`, 74)}`,
  "openai service account": ({ text }) =>
    `sk-svcacct-${text(`${ALPHANUMERIC}_-`, 60)}T3BlbkFJ${text(`${ALPHANUMERIC}_-`, 58)}`,
  "openai service": ({ text }) =>
    `sk-service-${text(ALPHANUMERIC, 20)}T3BlbkFJ${text(ALPHANUMERIC, 20)}`,
  "openai admin": ({ text }) =>
    `sk-admin-${text(`${ALPHANUMERIC}_-`, 58)}T3BlbkFJ${text(`${ALPHANUMERIC}_-`, 58)}`,
  "openai legacy": ({ text }) => `sk-${text(ALPHANUMERIC, 20)}T3BlbkFJ${text(ALPHANUMERIC, 20)}`,
  google: ({ text }) => `AIza${text(`${ALPHANUMERIC}_-`, 35)}`,
  "google auth": ({ text }) => `AQ.Ab8R${text(`${ALPHANUMERIC}_-`, 48)}`,
  xai: ({ text }) => `xai-${text(`${ALPHANUMERIC}_`, 80)}`,
  vercel: ({ text }) => `vck_${text(ALPHANUMERIC, 56)}`,
  jwt: ({ text }) =>
    `eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJ${text(ALPHANUMERIC, 80)}.${text(`${ALPHANUMERIC}_-`, 86)}`,
  mistral: ({ text }) => text(ALPHANUMERIC, 32),
  deepseek: ({ text }) => `sk-${text(LOWER + DIGITS, 32)}`,
  "z-ai": ({ text }) => `${text(HEX, 32)}.${text(ALPHANUMERIC, 16)}`,
  "azure classic": ({ text }) => text(HEX, 32),
  "azure newer": ({ text }) => text(ALPHANUMERIC, 84),
  "bedrock long-term": ({ text }) => `ABSK${text(BASE64, 128)}==`,
  "bedrock short-term": ({ text }) =>
    `bedrock-api-key-YmVkcm9jay5hbWF6b25hd3MuY29t${text(BASE64, 300)}`,
  "aws access key": (dice) => awsId(dice, "AKIA"),
  "aws temporary access key": (dice) => awsId(dice, "ASIA"),
  "aws bearer access key": (dice) => awsId(dice, "ABIA"),
  "aws context access key": (dice) => awsId(dice, "ACCA"),
  "aws secret": ({ text }) => text(BASE64, 40),
  "aws session token": ({ text }) => `IQoJb3JpZ2luX2Vj${text(BASE64, 200)}==`,
  "aws keys as JSON": (dice) =>
    `{"accessKeyId":"${awsId(dice, "AKIA")}","secretAccessKey":"${dice.text(BASE64, 40)}"}`,
  "aws secret as JSON": ({ text }) => `{"secret_access_key": "${text(BASE64, 40)}"}`,
  "aws keys per region": (dice) =>
    `{"us-east-1":{"access_key_id":"${awsId(dice, "AKIA")}","secret_access_key":"${dice.text(BASE64, 40)}"}}`,
  "azure as JSON": ({ text }) =>
    `{"endpoint":"https://x.openai.azure.com","api_key":"${text(HEX, 32)}"}`,
  "service account": (dice) =>
    `{"type":"service_account","project_id":"p","private_key":"${pem(dice)}","client_email":"x@p.iam.gserviceaccount.com"}`,
  "service account within a string": (dice) =>
    `"{\\"type\\":\\"service_account\\",\\"private_key\\":\\"${dice.text(ALPHANUMERIC, 9)}`,
  pem: (dice) => pem(dice),
  "our own": ({ text }) => `neo_sk_${text(ALPHANUMERIC, 70)}`,
};

/** Ways in which a key ends up in a field that is not for it. */
const around: Readonly<Record<string, (key: string) => string>> = {
  "": (key) => key,
  " in quotes": (key) => ` "${key}" `,
  " behind a name": (key) => `prod key: ${key}`,
  " as an assignment": (key) => `API_KEY=${key}`,
  " as a header": (key) => `Authorization: Bearer ${key}`,
  " in a query": (key) => `https://x.test/?key=${key}&a=1`,
  " in brackets, behind words": (key) => `Team 42 (${key})`,
};

const cases = Object.entries(formats).flatMap(([format, make]) =>
  Object.entries(around).map(([way, wrap]) => ({ title: format + way, make, wrap })),
);

describe("a credential in the wrong field", () => {
  it.for(cases)("is seen: $title", ({ make, wrap }) => {
    const { below } = dice(7);
    for (let nth = 0; nth < 20; nth++) {
      expect(looksLikeSecret(wrap(make(dice(below(2 ** 32)))))).toBe(true);
    }
  });

  it("of random characters alone is seen 999 times of 1,000, whatever its kind", () => {
    const { below } = dice(11);
    const unmarked = ["mistral", "azure classic", "azure newer", "aws secret", "z-ai"] as const;
    for (const format of unmarked) {
      let missed = 0;
      for (let nth = 0; nth < 10_000; nth++) {
        if (!looksLikeSecret(formats[format]?.(dice(below(2 ** 32))) ?? "")) missed++;
      }
      expect(missed).toBeLessThanOrEqual(10);
    }
  });
});

const WORDS =
  `production staging development test team platform research billing europe america asia customer
  support internal external gateway agent batch realtime primary secondary fallback shared personal
  openai anthropic mistral google vertex bedrock azure foundry gemini claude sonnet opus haiku gpt
  key credential account project service workspace region central east west north south data
  science marketing sales engineering security compliance finance legal operations migration
  temporary backup risk desk task disk Slovakia Nokia FAQ xai neo sk eu us ap api prod dev
  internationalization Softwareentwicklungsabteilung Rechtsschutzversicherungsgesellschaften
  Kraftfahrzeughaftpflichtversicherung Donaudampfschifffahrtsgesellschaft Betriebswirtschaftslehre`.split(
    /\s+/,
  );

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** Names as people and their tools make them. */
function plausibleName({ below, one, text }: Dice): string {
  const words = Array.from({ length: 1 + below(6) }, () => {
    const word = one(WORDS);
    return below(5) === 0 ? `${word}${below(10 ** (1 + below(8)))}` : word;
  });
  const name = [
    () => words.join(" "),
    () => words.map(capital).join(" "),
    () => words.join("-"),
    () => words.join("_").toUpperCase(),
    () => words.map(capital).join(""),
    () => words.map((word, nth) => (nth ? capital(word) : word)).join(""),
    () => words.join("/"),
    () => words.join("."),
    () => words.join(""),
  ];
  const tail = [
    () => "",
    () => ` (${2020 + below(10)})`,
    () => ` #${below(10_000)}`,
    () => `-${one(["eu", "us", "ap"])}-${one(["west", "east"])}-${1 + below(3)}`,
    () => ` ${2020 + below(9)}-${10 + below(3)}-${10 + below(18)}`,
    () => `-${text(HEX, 8)}-${text(HEX, 4)}-4${text(HEX, 3)}-a${text(HEX, 3)}-${text(HEX, 12)}`,
    () => `-${text(HEX, 7)}`,
    () => `@${one(WORDS).toLowerCase()}.example.com`,
  ];
  return one(name)() + one(tail)();
}

const placeOf = ({ below, one, text }: Dice): string =>
  one([
    () => `https://${one(WORDS)}-${one(WORDS)}-${below(1_000)}.openai.azure.com`,
    () => `https://${one(WORDS)}${one(WORDS)}${below(100)}.services.ai.azure.com`,
    () => `https://${one(WORDS)}-${text(LOWER + DIGITS, 5)}.cognitiveservices.azure.com/`,
    () => `https://${one(WORDS)}.openai.azure.com/openai/deployments/${one(WORDS)}-${one(WORDS)}`,
    () =>
      `${one(["us", "europe", "asia"])}-${one(["central", "west", "southeast"])}${1 + below(9)}`,
    () => `us-gov-${one(["east", "west"])}-${1 + below(3)}`,
    () =>
      `projects/${one(WORDS)}-${below(1_000_000)}/locations/us-central1/endpoints/${below(10 ** 9)}`,
    () =>
      `arn:aws:bedrock:us-east-1:${text(DIGITS, 12)}:inference-profile/${one(WORDS)}.${one(WORDS)}-v1`,
  ])();

describe("a name or place that people give", () => {
  it.for([
    "Production OpenAI key",
    "team-42 eu-west-1 (2026)",
    "0190f3a2-7c1e-7b3a-9f00-0123456789ab",
    "key 0190F3A2-7C1E-7B3A-9F00-0123456789AB of the platform team",
    "https://my-resource.openai.azure.com",
    "https://contoso-prod-eastus2-openai-0190f3a2.openai.azure.com",
    "https://my-resource.services.ai.azure.com/api/projects/my-project-0042",
    "us-central1",
    "ann.lee+openai@example.com",
    "Rechtsschutzversicherungsgesellschaften",
    "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft",
    "Grundstücksverkehrsgenehmigungszuständigkeitsübertragungsverordnung",
    "risk-assessment-team",
    "helpdesk-production-key",
    "task-management-platform-europe",
    "disk-encryption-service-account",
    "sk-bratislava-production",
    "SLOVAKIABRATISLAVATEAMPRODUCTION",
    "FAQ.production-team-europe-2026",
    "bedrock-api-key-for-production",
    "maxai-production_team_europe_2026",
    "xai-production_team_europe",
    "OpenAI/Anthropic/Google/Mistral/DeepSeek",
    "MyVeryLongDescriptiveCamelCaseNameForTheProductionKey",
    "ACME_PLATFORM_PRODUCTION_OPENAI_KEY_2026_Q4",
    "backup20261121productioneuropewest",
    "sk-ant-...wxyz",
    "キー・プロダクション",
    "ключ для прода",
  ])("may be %j", (name) => {
    expect(checkText("name", name)).toStrictEqual([]);
  });

  it("is taken for a credential less than once in 1,000", () => {
    const { below } = dice(13);
    const wrong: string[] = [];
    const count = 50_000;
    for (let nth = 0; nth < count; nth++) {
      const roll = dice(below(2 ** 32));
      const text = nth % 4 ? plausibleName(roll) : placeOf(roll);
      if (looksLikeSecret(text)) wrong.push(text);
    }
    expect(wrong.length / count, wrong.slice(0, 5).join("\n")).toBeLessThan(0.001);
  });
});

describe("a value of an allow-list", () => {
  it.for([
    "anthropic/claude-sonnet-4.5",
    "user_2NNEqL2nrIRdJ194ndJqAHwEfxC",
    "4f1c2f0a6f0e4b5f9a433f1d7d0f5b9e4f1c2f0a6f0e4b5f9a433f1d7d0f5b9e",
    "xPz3kQ9vLm2TnR8sWd4YbC7eGh1J",
    "0190f3a2-7c1e-7b3a-9f00-0123456789ab",
    "*",
  ])("may be the id or hash %s", (value) => {
    expect(checkAllowList("list", [value])).toStrictEqual([]);
  });

  it("is refused where it begins like a key, with its place in the list", () => {
    const key = formats.anthropic?.(dice(1)) ?? "";
    const [violation, ...others] = checkAllowList("list", ["ok", key]);
    expect(violation?.field).toBe("list[1]");
    expect(violation?.description).not.toContain(key.slice(0, 16));
    expect(others).toStrictEqual([]);
  });
});

describe("a UUID of a request", () => {
  it("is lower case and whole", () => {
    expect(checkUuid("id", "0190f3a2-7c1e-7b3a-9f00-0123456789ab")).toStrictEqual([]);
    for (const wrong of ["", "x", "0190F3A2-7C1E-7B3A-9F00-0123456789AB"]) {
      expect(checkUuid("id", wrong)).toMatchObject([{ field: "id" }]);
    }
  });
});

describe("a check", () => {
  it("costs little, whatever it is given", () => {
    for (const text of [
      "a".repeat(255),
      "a-".repeat(127),
      "aA1".repeat(85),
      "sk-".repeat(85),
      "A/".repeat(127),
      "eyJ".repeat(85),
    ]) {
      for (let times = 0; times < 200; times++) looksLikeSecret(text);
    }
    // 1,200 calls; a backtracking pattern would take minutes.
    expect(looksLikeSecret("a".repeat(100_000))).toBe(false);
    expect(looksLikeSecret("xai-".concat("a".repeat(100_000)))).toBe(false);
    expect(looksLikeSecret("AQ.".concat("-".repeat(100_000)))).toBe(false);
  });
});
