import { type ClientHttp2Session, connect } from "node:http2";
import { type LoadJob, type LoadResult, Tally } from "./load-job.ts";

/** gRPC by hand on HTTP/2: half the price of a client library, so that the server is what is measured. */
export async function loadGrpc(job: LoadJob): Promise<LoadResult> {
  const sessions = await Promise.all(
    Array.from({ length: job.connections }, () => opened(`http://${job.address}`)),
  );
  const headers = {
    ":method": "POST",
    ":path": job.path,
    "content-type": "application/grpc",
    te: "trailers",
    ...job.headers,
  };
  const tally = new Tally(job);
  const caller = async (nth: number): Promise<void> => {
    const session = sessions[nth % sessions.length];
    for (let body = tally.next(); body && session; body = tally.next()) {
      tally.ended((await call(session, headers, body)) === "0");
    }
  };
  try {
    await Promise.all(Array.from({ length: job.inFlight }, (_, nth) => caller(nth)));
    return tally.result();
  } finally {
    for (const session of sessions) session.destroy();
  }
}

function opened(url: string): Promise<ClientHttp2Session> {
  return new Promise((resolve, reject) => {
    const session = connect(url);
    session.once("error", reject);
    session.once("connect", () => resolve(session));
  });
}

/** @returns the gRPC status, which stands in the trailers, or in the headers of an answer without a message. */
function call(
  session: ClientHttp2Session,
  headers: Readonly<Record<string, string>>,
  body: Uint8Array,
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const stream = session.request(headers);
    let status: string | undefined;
    const read = (given: Record<string, unknown>) => {
      if (typeof given["grpc-status"] === "string") status = given["grpc-status"];
    };
    stream.on("response", read);
    stream.on("trailers", read);
    stream.on("error", () => {});
    stream.on("close", () => resolve(status));
    stream.resume();
    stream.end(body);
  });
}
