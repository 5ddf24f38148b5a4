import { connect } from "node:net";
import { Code } from "@connectrpc/connect";
import { type CallOptions, type KeyringClient, restPlugin } from "@keyledger/rest";
import { createHttpEdge } from "@keyledger/runtime";
import { describe, expect, it } from "vitest";
import { FakeKeyring, vaultError } from "./fake-keyring.ts";

const PATH = "/api/v1/byok/providers/openai";
const UPSERT = JSON.stringify({ api_key: "sk-1" });
const HEADERS = { "x-api-key": "team", "content-type": "application/json" };

async function listening(overrides: Partial<KeyringClient>, deadlineMs = 5_000) {
  const keyring = new FakeKeyring();
  const faults: unknown[] = [];
  const edge = createHttpEdge();
  edge.app.register(
    restPlugin({
      client: { ...keyring.client, ...overrides },
      dialects: new Set(["neo"]),
      settings: { deadlineMs, probeDeadlineMs: deadlineMs },
      onInternalError: (error) => faults.push(error),
    }),
  );
  const url = await edge.app.listen({ host: "127.0.0.1", port: 0 });
  return {
    url,
    port: Number(new URL(url).port),
    keyring,
    faults,
    [Symbol.asyncDispose]: () => edge.drain(0),
  };
}

const never = () => new Promise<never>(() => {});

describe("A client that goes away", () => {
  it("ends the vault's work for it", async () => {
    const calls: CallOptions[] = [];
    await using rest = await listening({
      upsertKey: (_request, options) => {
        calls.push(options);
        return never();
      },
    });
    const leaving = new AbortController();
    const request = fetch(`${rest.url}${PATH}`, {
      method: "PATCH",
      headers: HEADERS,
      body: UPSERT,
      signal: leaving.signal,
    });
    await expect.poll(() => calls.length, { timeout: 5_000 }).toBe(1);
    expect(calls[0]?.signal.aborted).toBe(false);
    leaving.abort();
    await expect(request).rejects.toThrow();
    await expect.poll(() => calls[0]?.signal.aborted, { timeout: 5_000 }).toBe(true);
  });

  it("before its body is there leaves no call and no fault behind", async () => {
    await using rest = await listening({});
    const head = `PATCH ${PATH} HTTP/1.1\r\nHost: a\r\nX-Api-Key: team\r\nContent-Type: application/json\r\n`;
    await new Promise<void>((resolve) => {
      const socket = connect(rest.port, "127.0.0.1", () => {
        socket.write(`${head}Content-Length: 100\r\n\r\n{"api_key":"sk-`, () => socket.destroy());
      });
      socket.on("close", () => resolve());
    });
    await expect.poll(() => rest.keyring.methods, { timeout: 5_000 }).toStrictEqual(["getMode"]);
    expect(rest.faults).toStrictEqual([]);
  });

  it("after its answer leaves the call as it was", async () => {
    await using rest = await listening({});
    await (
      await fetch(`${rest.url}${PATH}`, { method: "PATCH", headers: HEADERS, body: UPSERT })
    ).text();
    expect(rest.keyring.calls[0]?.options.signal.aborted).toBe(false);
  });
});

describe("A vault that does not heed its deadline", () => {
  it("is given up: 503, and the call is told to end", async () => {
    const calls: { options: CallOptions; secret: Uint8Array | undefined }[] = [];
    await using rest = await listening(
      {
        upsertKey: ({ secret }, options) => {
          calls.push({ options, secret });
          return never();
        },
      },
      100,
    );
    const response = await fetch(`${rest.url}${PATH}`, {
      method: "PATCH",
      headers: HEADERS,
      body: UPSERT,
    });
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({
      code: "unavailable",
      detail: "deadline_exceeded",
    });
    expect(calls[0]?.options.signal.aborted).toBe(true);
    // It may be about to seal them.
    expect(Buffer.from(calls[0]?.secret ?? []).toString()).toBe("sk-1");
  });

  it("is given up when asked who may make a bad request, too", async () => {
    await using rest = await listening({ getMode: never }, 100);
    const response = await fetch(`${rest.url}${PATH}`, {
      method: "PATCH",
      headers: HEADERS,
      body: "{}",
    });
    expect(response.status).toBe(503);
  });
});

describe("A secret whose call ended early", () => {
  it.for([
    ["DEADLINE_EXCEEDED", Code.DeadlineExceeded],
    ["CANCELLED", Code.Canceled],
  ] as const)(
    "is left alone after %s: the vault may be about to seal it",
    async ([reason, code]) => {
      const secrets: (Uint8Array | undefined)[] = [];
      await using rest = await listening({
        upsertKey: ({ secret }) => {
          secrets.push(secret);
          return Promise.reject(vaultError(reason, code));
        },
      });
      await (
        await fetch(`${rest.url}${PATH}`, { method: "PATCH", headers: HEADERS, body: UPSERT })
      ).text();
      expect(Buffer.from(secrets[0] ?? []).toString()).toBe("sk-1");
    },
  );
});

describe("A body that is too large", () => {
  const chunks = (count: number) =>
    new ReadableStream({
      start: (controller) => {
        for (let sent = 0; sent < count; sent++) controller.enqueue(Buffer.alloc(16_384, " "));
        controller.close();
      },
    });

  it("is refused before it is read, by its length", async () => {
    await using rest = await listening({});
    const answer = await new Promise<string>((resolve) => {
      let heard = "";
      const socket = connect(rest.port, "127.0.0.1", () => {
        const head = `PATCH ${PATH} HTTP/1.1\r\nHost: a\r\nX-Api-Key: team\r\nContent-Type: application/json\r\n`;
        socket.write(`${head}Content-Length: 10000000\r\n\r\n{`);
      });
      socket.on("data", (data) => {
        heard += data;
      });
      socket.on("close", () => resolve(heard));
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toMatch(/^connection: close\r$/im);
    expect(answer).toContain('"detail":"body_too_large"');
  });

  it("is refused at the first byte too many where it has no length", async () => {
    await using rest = await listening({});
    const response = await fetch(`${rest.url}${PATH}`, {
      method: "PATCH",
      headers: HEADERS,
      body: chunks(5),
      duplex: "half",
    } as RequestInit);
    expect(response.status).toBe(413);
  });

  it("is read from its chunks where it is not", async () => {
    await using rest = await listening({});
    const body = new ReadableStream({
      start: (controller) => {
        for (const piece of ['{"api_', 'key":"s', "k-1", '"}'])
          controller.enqueue(Buffer.from(piece));
        controller.close();
      },
    });
    const response = await fetch(`${rest.url}${PATH}`, {
      method: "PATCH",
      headers: HEADERS,
      body,
      duplex: "half",
    } as RequestInit);
    expect(response.status).toBe(200);
    expect(rest.keyring.keys.get("openai")?.secret).toBe("sk-1");
  });
});
