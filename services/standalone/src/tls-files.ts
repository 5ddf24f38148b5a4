import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { Fault } from "@keyledger/core";
import type { GrpcTls } from "@keyledger/keyring";
import type { StandaloneConfig } from "./config.ts";

/** Reads and checks what the TLS settings name. @throws {Fault} that names the setting and the file. */
export function readTlsFiles(tls: NonNullable<StandaloneConfig<unknown>["tls"]>): GrpcTls {
  const read = (flag: string, path: string, check: (content: Buffer) => unknown): Buffer => {
    let content: Buffer;
    try {
      content = readFileSync(path);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
      throw new Fault(`${flag}: ${path} cannot be read (${code})`, { retryable: false });
    }
    try {
      check(content);
    } catch {
      throw new Fault(`${flag}: ${path} does not hold what it should, in PEM form`, {
        retryable: false,
      });
    }
    return content;
  };
  const certificate = read("--tls-cert", tls.cert, (content) => new X509Certificate(content));
  const key = read("--tls-key", tls.key, (content) => createPrivateKey(content));
  if (!new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) {
    throw new Fault(`--tls-key: ${tls.key} is not the key of the certificate in ${tls.cert}`, {
      retryable: false,
    });
  }
  const clientCa =
    tls.clientCa === undefined
      ? undefined
      : read("--tls-client-ca", tls.clientCa, (content) => new X509Certificate(content));
  return { certificate, key, clientCa };
}
