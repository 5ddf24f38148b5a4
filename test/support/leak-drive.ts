import {
  type DescMethod,
  type DescService,
  fromBinary,
  type Message,
  toBinary,
} from "@bufbuild/protobuf";
import * as contracts from "@keyledger/contracts";
import { parseCallerKey } from "@keyledger/core";
import { nodeHost } from "@keyledger/runtime";
import type { Canaries } from "./canary.ts";
import type { KeyledgerProcess } from "./keyledger-process.ts";
import { type RawGrpc, rawGrpc } from "./raw-grpc.ts";
import { exchange, type HttpRequest, readAnswer, requestBytes } from "./raw-http.ts";
import type { Witness } from "./witness.ts";

const { AdminService, ResolveService } = contracts;

/** Every service of the contract: one that is added is driven too. */
export const SERVICES: readonly DescService[] = Object.values<unknown>(contracts).filter(isService);

function isService(exported: unknown): exported is DescService {
  return (
    typeof exported === "object" &&
    exported !== null &&
    "kind" in exported &&
    exported.kind === "service"
  );
}

export const methodName = ({ parent, name }: DescMethod): string => `${parent.name}/${name}`;
export const pathOf = ({ parent, name }: DescMethod): string => `/${parent.typeName}/${name}`;

export const METHODS: readonly DescMethod[] = SERVICES.flatMap(({ methods }) => methods);

/** All that is needed to drive one process and to watch what it lets be seen. */
export interface Drive extends Disposable {
  readonly keyledger: KeyledgerProcess;
  readonly canaries: Canaries;
  readonly witness: Witness;
  readonly grpc: RawGrpc;
  /** What was called, as `gRPC <method>`, `Connect <method>` or `REST <method> <path>`. */
  readonly called: Set<string>;
}

export function newDrive(keyledger: KeyledgerProcess, canaries: Canaries, witness: Witness): Drive {
  const grpc = rawGrpc(keyledger.grpc);
  const drive: Drive = {
    keyledger,
    canaries,
    witness,
    grpc,
    called: new Set(),
    [Symbol.dispose]: () => grpc[Symbol.dispose](),
  };
  for (const [name, key] of Object.entries(keyledger.keys)) noteCallerKey(drive, name, key);
  return drive;
}

/** A caller key is a secret too: its text, and the bytes that prove it. */
export function noteCallerKey(
  { canaries }: Pick<Drive, "canaries">,
  name: string,
  key: string,
): void {
  canaries.note(`the text of ${name}`, key.slice("neo_sk_".length));
  const parsed = parseCallerKey(nodeHost().crypto, key);
  if (parsed) canaries.note(`the bytes of ${name}`, parsed.random);
}

interface Sent {
  readonly key?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeoutMs?: number;
  /** Is given what the call is meant to hand out, and nobody else sees. */
  readonly handedOut?: (secret: string) => void;
}

/** One gRPC call, witnessed but for what it is meant to hand out. */
export async function callGrpc(
  drive: Drive,
  method: DescMethod,
  request: Message | Uint8Array,
  { key, headers = {}, timeoutMs = 30_000, handedOut = () => {} }: Sent = {},
): Promise<{ readonly code: number }> {
  const { grpc, witness, called } = drive;
  const name = `gRPC ${methodName(method)}`;
  called.add(name);
  const bytes = request instanceof Uint8Array ? request : toBinary(method.input, request);
  const all = { ...(key && { authorization: `Bearer ${key}` }), ...headers };
  const raw = { headers: all, timeoutMs };
  const { code, messages, around } =
    method.methodKind === "server_streaming"
      ? await grpc.stream(pathOf(method), bytes, raw, (message) => isCaughtUp(method, message))
      : await grpc.unary(pathOf(method), bytes, raw);
  witness.saw(name, around);
  for (const message of messages)
    witness.saw(name, withoutIntended(drive, method, message, handedOut));
  return { code };
}

function isCaughtUp(method: DescMethod, message: Buffer): boolean {
  const { item } = fromBinary(method.output, message) as unknown as { item: { case?: string } };
  return item.case === "caughtUp";
}

/** Material and the text of a new caller key are what two methods are for. From then on both must stay hidden. */
function withoutIntended(
  drive: Drive,
  method: DescMethod,
  bytes: Buffer,
  handedOut: (secret: string) => void,
): Uint8Array {
  const isIssue = method === AdminService.method.issueApiKey;
  if (!isIssue && method !== ResolveService.method.resolve) return bytes;
  const answer = fromBinary(method.output, bytes) as Message & Record<string, unknown>;
  const field = isIssue ? "text" : "material";
  const secret = Buffer.from(answer[field] as Uint8Array).toString("utf8");
  if (isIssue && secret !== "") noteCallerKey(drive, `issued key ${drive.canaries.count}`, secret);
  handedOut(secret);
  answer[field] = new Uint8Array(0);
  return toBinary(method.output, answer);
}

/** One HTTP exchange, witnessed to the last byte. */
export async function callHttp(
  { keyledger, witness }: Drive,
  channel: string,
  request: HttpRequest | string,
  { isCut = false, address = keyledger.http } = {},
): Promise<{ readonly status: number; readonly body: Buffer }> {
  const bytes = typeof request === "string" ? request : requestBytes(request);
  const answer = await exchange(address, bytes, { isCut });
  witness.saw(channel, answer);
  return readAnswer(answer);
}

/** One Connect call in JSON. */
export async function callConnect(
  drive: Drive,
  method: DescMethod,
  json: string | Uint8Array,
  { key, headers = {} }: Sent = {},
): Promise<{ readonly status: number; readonly body: Buffer }> {
  const { keyledger, witness, called } = drive;
  const name = `Connect ${methodName(method)}`;
  called.add(name);
  const isStream = method.methodKind === "server_streaming";
  const content = Buffer.from(json);
  const envelope = Buffer.alloc(5);
  envelope.writeUInt32BE(content.length, 1);
  const request = {
    method: "POST",
    path: pathOf(method),
    headers: {
      "content-type": isStream ? "application/connect+json" : "application/json",
      // A stream of what is yet to come would never end by itself.
      ...(isStream && { "connect-timeout-ms": "50" }),
      ...(key && { authorization: `Bearer ${key}` }),
      ...headers,
    },
    body: isStream ? Buffer.concat([envelope, content]) : content,
  };
  const bytes = await exchange(keyledger.http, requestBytes(request));
  const { status, body } = readAnswer(bytes);
  if (method === AdminService.method.issueApiKey && status === 200) {
    const { text, ...rest } = JSON.parse(body.toString("utf8"));
    noteCallerKey(
      drive,
      `an issued key, ${drive.canaries.count}`,
      Buffer.from(text, "base64").toString("utf8"),
    );
    const head = bytes.subarray(0, bytes.indexOf("\r\n\r\n"));
    witness.saw(name, head);
    witness.saw(name, JSON.stringify(rest));
  } else {
    witness.saw(name, bytes);
  }
  return { status, body };
}

/** Several at a time: most of what is asked for waits for somebody. */
export async function inParallel<T>(
  items: readonly T[],
  act: (item: T) => Promise<unknown>,
  workers = 8,
): Promise<void> {
  const left = [...items];
  const work = async () => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await act(item);
  };
  await Promise.all(Array.from({ length: workers }, work));
}
