import fastify from "fastify";
import { answerParent } from "./child.ts";

export interface EchoPage {
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}

/** Bare Fastify that answers one path with the bytes it was given. */
answerParent(async ({ path, contentType, body }: EchoPage): Promise<{ port: number }> => {
  const app = fastify();
  app.get(path, (_request, reply) => reply.type(contentType).send(body));
  await app.listen({ host: "127.0.0.1", port: 0 });
  const bound = app.server.address();
  if (bound === null || typeof bound === "string") throw new Error("the echo has no port");
  return { port: bound.port };
});
