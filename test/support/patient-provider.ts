import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** A provider that answers when it is told to, and so keeps a probe under way for as long as a test needs it. */
export interface PatientProvider extends AsyncDisposable {
  /** For `--probe-endpoint openai=<url>`. */
  readonly url: string;
  /** Requests that wait for their answer. */
  waiting(): number;
  /** Lets those that wait, and all that come, have what OpenAI says to a good key. */
  answer(): void;
}

export async function startPatientProvider(): Promise<PatientProvider> {
  let waiting: (() => void)[] = [];
  let isAnswering = false;
  const server = createServer((_request, response) => {
    const answer = () => {
      response.setHeader("content-type", "application/json");
      response.end('{"object":"list","data":[]}');
    };
    if (isAnswering) answer();
    else waiting.push(answer);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/openai`,
    waiting: () => waiting.length,
    answer() {
      isAnswering = true;
      for (const answer of waiting) answer();
      waiting = [];
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
