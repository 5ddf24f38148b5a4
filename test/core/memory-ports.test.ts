import { eventLogContract } from "../contract/event-log.contract.ts";
import { MemoryEventLog } from "./support/memory-feeds.ts";

// A fake that is more forgiving than the real log would prove nothing.
eventLogContract(
  "The event log of these tests",
  async () => {
    const log = new MemoryEventLog();
    const opened = Object.assign(log, { [Symbol.asyncDispose]: async () => {} });
    return { open: async () => opened, [Symbol.asyncDispose]: async () => {} };
  },
  { gapFree: true, seesEveryId: true },
);
