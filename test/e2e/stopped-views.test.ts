import { rm } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { AdminService, Role } from "@keyledger/contracts";
import { describe, expect, it } from "vitest";
import { grpcClient } from "../support/grpc-client.ts";
import { startKeyledger, temporaryDirectory } from "../support/keyledger-process.ts";

describe("a log that holds what nobody can read", () => {
  it("fails a start with its place, and leaves when told to", async () => {
    await using directory = await temporaryDirectory();
    {
      await using keyledger = await startKeyledger(directory.path);
      using admin = grpcClient(AdminService, keyledger.grpc, { key: keyledger.keys.operator_key });
      await admin.issueApiKey({ role: Role.SERVICE, label: "x" });
      await keyledger.end("SIGTERM");
    }
    const data = join(directory.path, "data");
    const log = new DatabaseSync(join(data, "log.db"));
    // What an administrator of the machine can do, and the log itself never does.
    const triggers = log.prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'").all();
    for (const { name } of triggers) log.exec(`DROP TRIGGER "${String(name)}"`);
    log.exec("UPDATE events SET data = replace(data, 'x', 'y') WHERE position = 2");
    log.close();
    await rm(join(data, "views.db"), { force: true });

    const failure = await startKeyledger(directory.path).then(
      () => "it started",
      (error: unknown) => String(error),
    );
    expect(failure).toContain("log.db");
    expect(failure).not.toContain("was not ready within");
  }, 60_000);
});
