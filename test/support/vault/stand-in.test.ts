import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import type { VaultStandIn } from "./api.ts";
import { createAuthority } from "./certificate.ts";
import { askVault, at, textAt, type VaultAnswer } from "./client.ts";
import type { Fault } from "./control.ts";
import { KEK_NAME } from "./layout.ts";
import { provisionVault } from "./provision.ts";
import { startVaultStandIn } from "./stand-in.ts";

const ENCRYPT = `/v1/keyledger-transit/encrypt/${KEK_NAME}`;
const DECRYPT = `/v1/keyledger-transit/decrypt/${KEK_NAME}`;
const body = { plaintext: "aGVsbG8=", context: "b25l" };

const encrypt = (vault: VaultStandIn, token: string | null = vault.rootToken) =>
  askVault(vault, { method: "POST", path: ENCRYPT, token, body });

const healthOf = async (vault: VaultStandIn): Promise<number> =>
  (await askVault(vault, { method: "GET", path: "/v1/sys/health" })).status;

const inject = (vault: VaultStandIn, fault: Fault, times = 1): Promise<void> =>
  vault.control.inject({ fault, times, path: "^keyledger-transit/" });

describe("The Vault stand-in", () => {
  it("refuses as often as it is told to, and says when to come again", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    await inject(vault, { kind: "status", status: 429, retryAfterSeconds: 3 }, 2);
    const answers = [await encrypt(vault), await encrypt(vault), await encrypt(vault)];
    expect(answers.map(({ status }) => status)).toStrictEqual([429, 429, 200]);
    expect(answers[0]?.headers["retry-after"]).toBe("3");
  });

  it("answers late", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    await inject(vault, { kind: "delay", delayMs: 200 });
    const before = performance.now();
    expect((await encrypt(vault)).status).toBe(200);
    expect(performance.now() - before).toBeGreaterThanOrEqual(195);
  });

  it("hangs until its faults are cleared", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    await inject(vault, { kind: "hang" });
    const hanging = encrypt(vault);
    hanging.catch(() => undefined);
    await expect.poll(() => vault.requests.at(-1)?.path).toBe(ENCRYPT.slice("/v1/".length));
    expect(await Promise.race([hanging, healthOf(vault)])).toBe(200);
    await vault.control.clearFaults();
    await expect(hanging).rejects.toMatchObject({ code: "ECONNRESET" });
    expect((await encrypt(vault)).status).toBe(200);
  });

  it("resets a connection before it does anything, or after", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    const write = (path: string) =>
      askVault(vault, {
        method: "POST",
        path: `/v1/keyledger-kv/data/records/${path}`,
        token: vault.rootToken,
        body: { options: { cas: 0 }, data: { a: "1" } },
      });
    for (const kind of ["reset", "lost-answer"] as const) {
      await vault.control.inject({ fault: { kind }, times: 1, path: "records/" });
      await expect(write(kind)).rejects.toMatchObject({ code: "ECONNRESET" });
    }
    expect((await write("reset")).status).toBe(200);
    expect((await write("lost-answer")).status).toBe(400);
  });

  it("sends half an answer", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    await inject(vault, { kind: "truncated" });
    const answer = await encrypt(vault);
    expect(answer.status).toBe(200);
    expect(answer.body).toBeTypeOf("string");
    expect(answer.body).toMatch(/^\{"request_id"/);
  });

  it("sends the answer to another request of the kind", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    const sealed = [await seal(vault, "one"), await seal(vault, "two")];
    const open = async (ciphertext: string): Promise<VaultAnswer> => {
      const asked = { ciphertext, context: body.context };
      const call = { method: "POST", path: DECRYPT, token: vault.rootToken, body: asked };
      return askVault(vault, call);
    };
    for (const ciphertext of sealed) await open(ciphertext);
    await inject(vault, { kind: "another-answer" });
    const answer = await open(sealed[1] ?? "");
    expect(Buffer.from(textAt(answer.body, "data.plaintext"), "base64").toString()).toBe("one");
  });

  it("fails the items of a batch it is told to, and no others", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    await inject(vault, { kind: "failed-items", items: [1] });
    const answer = await askVault(vault, {
      method: "POST",
      path: ENCRYPT,
      token: vault.rootToken,
      body: { batch_input: [body, body, body], partial_failure_response_code: 200 },
    });
    const items = at(answer.body, "data.batch_results") as readonly object[];
    expect(items.map((item) => "ciphertext" in item)).toStrictEqual([true, false, true]);
    expect(answer.status).toBe(200);
  });

  it("lets a fault befall one role alone", async () => {
    await using vault = await startVaultStandIn();
    const provisioned = await provisionVault(vault);
    const token = await provisioned.login("command");
    await vault.control.inject({
      fault: { kind: "status", status: 500 },
      role: "keyledger-command",
    });
    expect((await encrypt(vault, token)).status).toBe(500);
    expect((await encrypt(vault)).status).toBe(200);
  });

  it("is sealed and opened, and a standby that still answers", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    await vault.control.seal();
    expect([await healthOf(vault), (await encrypt(vault)).status]).toStrictEqual([503, 503]);
    await vault.control.unseal();
    await vault.control.setStandby(true);
    expect([await healthOf(vault), (await encrypt(vault)).status]).toStrictEqual([429, 200]);
    await vault.control.setStandby(false);
    expect(await healthOf(vault)).toBe(200);
  });

  it("ends the tokens of a role for ever, and lets it log in again", async () => {
    await using vault = await startVaultStandIn();
    const provisioned = await provisionVault(vault);
    const [command, resolver] = [
      await provisioned.login("command"),
      await provisioned.login("resolver"),
    ];
    await vault.control.expireTokens(["keyledger-command"]);
    expect((await encrypt(vault, command)).status).toBe(403);
    expect((await renew(vault, command)).status).toBe(403);
    expect((await renew(vault, resolver)).status).toBe(200);
    expect((await encrypt(vault, await provisioned.login("command"))).status).toBe(200);
  });

  it("prolongs a token by its ttl, but never beyond its longest life", async () => {
    await using vault = await startVaultStandIn();
    const provisioned = await provisionVault(vault);
    const token = await provisioned.login("command");
    const hour = 3_600_000;
    const leases: unknown[] = [];
    for (let half = 0; half < 47; half += 1) {
      await vault.control.advanceClock(hour / 2);
      leases.push(at((await renew(vault, token)).body, "auth.lease_duration"));
    }
    expect(leases.slice(0, 46)).toStrictEqual(Array(46).fill(3600));
    expect(leases.at(-1)).toBe(1800);
    await vault.control.advanceClock(hour / 2);
    expect((await renew(vault, token)).status).toBe(403);
  });

  it("refuses to prolong a token that is still good for everything else", async () => {
    await using vault = await startVaultStandIn();
    const provisioned = await provisionVault(vault);
    const token = await provisioned.login("command");
    await vault.control.refuseRenewals(true);
    expect((await renew(vault, token)).status).toBe(403);
    expect((await encrypt(vault, token)).status).toBe(200);
    await vault.control.refuseRenewals(false);
    expect((await renew(vault, token)).status).toBe(200);
  });

  it("remembers what it was asked, by whom and how much, and nothing of what it carried", async () => {
    await using vault = await startVaultStandIn();
    const provisioned = await provisionVault(vault);
    const token = await provisioned.login("command");
    const items = { batch_input: [body, body] };
    const headers = { "x-vault-namespace": "team" };
    await askVault(vault, { method: "POST", path: ENCRYPT, token, body: items, headers });
    expect(vault.requests.at(-1)).toMatchObject({
      method: "POST",
      url: ENCRYPT,
      path: ENCRYPT.slice("/v1/".length),
      items: 2,
      role: "keyledger-command",
      namespace: "team",
      status: 200,
    });
    const kept = JSON.stringify(await vault.control.requests());
    for (const secret of [body.plaintext, token, vault.rootToken])
      expect(kept).not.toContain(secret);
  });

  it("counts what is under way", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    await inject(vault, { kind: "delay", delayMs: 100 }, 10);
    await Promise.all(Array.from({ length: 10 }, () => encrypt(vault)));
    const inFlight = vault.requests.slice(-10).map((request) => request.inFlight);
    expect(inFlight.toSorted((a, b) => a - b)).toStrictEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it("speaks TLS, and shows another certificate when it is told to", async () => {
    const [trusted, other] = [createAuthority(), createAuthority("Another authority")];
    await using vault = await startVaultStandIn({ tls: trusted.issue() });
    const health = () =>
      askVault({ ...vault, ca: trusted.cert }, { method: "GET", path: "/v1/sys/health" });
    expect((await health()).status).toBe(200);
    await vault.control.swapCertificate(other.issue());
    await expect(health()).rejects.toThrow(/certificate/);
    await vault.control.swapCertificate(trusted.issue());
    expect((await health()).status).toBe(200);
  });

  it("refuses a body beyond 32 MiB", async () => {
    await using vault = await startVaultStandIn();
    const rawBody = " ".repeat(32 * 1024 * 1024 + 1);
    const call = { method: "POST", path: "/v1/sys/mounts/t", token: vault.rootToken, rawBody };
    expect((await askVault(vault, call)).status).toBe(413);
  });

  it("answers what is no HTTP with a plain 400", async () => {
    await using vault = await startVaultStandIn();
    const socket = connect(Number(new URL(vault.address).port), "127.0.0.1");
    socket.end("BREW /v1/pot HTTP/1.1\r\n\r\n");
    const [chunk] = await once(socket, "data");
    expect(String(chunk)).toMatch(/^HTTP\/1\.1 400 /);
  });

  it("pages through a folder", async () => {
    await using vault = await startVaultStandIn();
    await provisionVault(vault);
    for (const name of ["b", "a", "c/d", "c/e"]) {
      const path = `/v1/keyledger-kv/data/records/${name}`;
      const record = { options: { cas: 0 }, data: { a: "1" } };
      await askVault(vault, { method: "POST", path, token: vault.rootToken, body: record });
    }
    const list = async (query: string): Promise<unknown> => {
      const path = `/v1/keyledger-kv/metadata/records?list=true${query}`;
      const answer = await askVault(vault, { method: "GET", path, token: vault.rootToken });
      return at(answer.body, "data.keys");
    };
    expect(await list("")).toStrictEqual(["a", "b", "c/"]);
    expect(await list("&limit=2")).toStrictEqual(["a", "b"]);
    expect(await list("&after=b&limit=2")).toStrictEqual(["c/"]);
    expect(await list("&after=c/")).toBeUndefined();
  });
});

async function seal(vault: VaultStandIn, content: string): Promise<string> {
  const asked = { plaintext: Buffer.from(content).toString("base64"), context: body.context };
  const call = { method: "POST", path: ENCRYPT, token: vault.rootToken, body: asked };
  return textAt((await askVault(vault, call)).body, "data.ciphertext");
}

const renew = (vault: VaultStandIn, token: string) =>
  askVault(vault, { method: "POST", path: "/v1/auth/token/renew-self", token, body: {} });
