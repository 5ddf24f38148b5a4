import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryDirectory } from "../keyledger-process.ts";
import { createAuthority } from "./certificate.ts";
import { askVault, at, textAt } from "./client.ts";
import { startVaultProcess } from "./process.ts";
import { provisionVault } from "./provision.ts";

describe("The Vault stand-in as a process", () => {
  it("is the same engine after it was killed while it was written to", async () => {
    await using directory = await temporaryDirectory();
    const stateFile = join(directory.path, "vault.jsonl");
    await using first = await startVaultProcess({ stateFile });
    const provisioned = await provisionVault(first);
    const token = await provisioned.login("command");
    const path = (n: number) => `/v1/keyledger-kv/data/records/user.u1/key-${n}`;
    const acknowledged: number[] = [];
    const writer = (async () => {
      for (let n = 0; ; n += 1) {
        const body = { options: { cas: 0 }, data: { n: String(n) } };
        const answer = await askVault(first, { method: "POST", path: path(n), token, body });
        if (answer.status === 200) acknowledged.push(n);
      }
    })().catch(() => undefined);
    await expect.poll(() => acknowledged.length).toBeGreaterThan(20);
    await first.kill("SIGKILL");
    await writer;

    await using second = await startVaultProcess({ stateFile, port: first.port });
    expect(second.address).toBe(first.address);
    const resolver = await provisioned.login("resolver");
    for (const n of acknowledged) {
      const answer = await askVault(second, { method: "GET", path: path(n), token: resolver });
      expect(at(answer.body, "data.data.n")).toBe(String(n));
    }
    const asked = { method: "GET", path: "/v1/auth/token/lookup-self", token };
    expect((await askVault(second, asked)).status).toBe(200);
  });

  it("is ruled over its control port", async () => {
    await using directory = await temporaryDirectory();
    await using vault = await startVaultProcess({ stateFile: join(directory.path, "v.jsonl") });
    const health = { method: "GET", path: "/v1/sys/health" };
    await vault.control.seal();
    expect((await askVault(vault, health)).status).toBe(503);
    await vault.control.unseal();
    await vault.control.inject({ fault: { kind: "status", status: 500 }, times: 1 });
    expect((await askVault(vault, health)).status).toBe(500);
    expect(textAt((await askVault(vault, health)).body, "version")).toBe("0.0.0-stand-in");
    const statuses = (await vault.control.requests()).map(({ status }) => status);
    expect(statuses).toStrictEqual([503, 500, 200]);
    const certificate = { cert: "", key: "" };
    await expect(vault.control.swapCertificate(certificate)).rejects.toThrow(/no TLS/);
  });

  it("speaks TLS", async () => {
    await using directory = await temporaryDirectory();
    const authority = createAuthority();
    const { cert, key } = authority.issue();
    const [certFile, keyFile] = ["cert.pem", "key.pem"].map((name) => join(directory.path, name));
    if (certFile === undefined || keyFile === undefined) throw new Error("no files");
    await writeFile(certFile, cert);
    await writeFile(keyFile, key, { mode: 0o600 });
    const stateFile = join(directory.path, "vault.jsonl");
    await using vault = await startVaultProcess({ stateFile, tls: { certFile, keyFile } });
    const answer = await askVault(
      { address: vault.address, ca: authority.cert },
      { method: "GET", path: "/v1/sys/health" },
    );
    expect(answer.status).toBe(200);
  });
});
