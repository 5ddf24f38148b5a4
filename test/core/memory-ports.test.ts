import { eventLogContract } from "../contract/event-log.contract.ts";
import { readModelsContract } from "../contract/read-models.contract.ts";
import { secretStoreContract } from "../contract/secret-store.contract.ts";
import { MemoryEventLog } from "./support/memory-feeds.ts";
import { MemoryModels, MemorySecrets } from "./support/memory-stores.ts";

// A fake that is more forgiving than the real thing would prove nothing.
eventLogContract(
  "The event log of these tests",
  async () => {
    const log = new MemoryEventLog();
    const opened = Object.assign(log, { [Symbol.asyncDispose]: async () => {} });
    return { open: async () => opened, [Symbol.asyncDispose]: async () => {} };
  },
  { gapFree: true, seesEveryId: true },
);

secretStoreContract("The secret store of these tests", async () => {
  const secrets = Object.assign(new MemorySecrets(), { [Symbol.asyncDispose]: async () => {} });
  return { open: async () => secrets, [Symbol.asyncDispose]: async () => {} };
});

readModelsContract("The views of these tests", () => {
  const models = Object.assign(new MemoryModels(), { [Symbol.dispose]: () => {} });
  return { open: () => models, [Symbol.dispose]: () => {} };
});
